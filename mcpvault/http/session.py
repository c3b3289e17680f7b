"""
``requests.Session`` with the guard in place: for users, and for the transports.

Decides how requests' own habits are kept out: environment, netrc, cookies,
redirects, missing timeouts, logs, and exceptions that carry headers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import requests
from requests import PreparedRequest, Request, Response
from requests.adapters import BaseAdapter
from requests.auth import AuthBase
from requests.hooks import dispatch_hook

from mcpvault._version import VERSION
from mcpvault.errors import ConfigurationError, HeaderRefusedError, McpVaultError, UsageError
from mcpvault.http.adapter import GuardedAdapter, RefusingAdapter
from mcpvault.http.auth import NoAuth, TokenAuth, auth_for
from mcpvault.http.response import GuardedResponse
from mcpvault.secret import RedactingFilter

if TYPE_CHECKING:
    from mcpvault.credentials import Credential
    from mcpvault.deadline import Deadline
    from mcpvault.http.policy import Allowance, OriginPolicy
    from mcpvault.http.proxies import Proxy
    from mcpvault.http.token_source import TokenSource
    from mcpvault.secret import Secret

# A filter on a parent does not see its children's records: each logger that speaks is named.
_SPEAKERS = (
    "requests",
    "urllib3",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)
_filter = RedactingFilter()


def new_session(
    policy: OriginPolicy,
    credential: Credential | None = None,
    *,
    headers: Mapping[str, Secret | str] | None = None,
    auth: AuthBase | None = None,
    tokens: TokenSource | None = None,
    env: Mapping[str, str] | None = None,
    pace: Callable[[Deadline], McpVaultError | None] | None = None,
) -> GuardedSession:
    """
    Return a session that talks to one origin, with its credential.

    Args:
        policy: The origin and its conditions.
        credential: Bound to that origin; None sends none.
        headers: The entry's further headers.
        auth: A caller's own authentication, in the credential's place.
        tokens: Signs each request when it is sent, in the place of both.
        env: Where the proxy variables are looked up; None: nowhere.
        pace: As ``GuardedAdapter``.

    Raises:
        ConfigurationError: The conditions contradict one another; the message names the field.
        OriginMismatchError: The credential is for another origin.
        HeaderRefusedError: A header must not be sent.
    """
    policy.check()
    proxy = _proxy_of(policy, env or {})
    if isinstance(proxy, ConfigurationError):
        env = None
        raise proxy
    for name in _SPEAKERS:
        logging.getLogger(name).addFilter(_filter)  # again is harmless
    signer: AuthBase
    if tokens is not None:
        signer = TokenAuth(policy, tokens, headers or {})
    else:
        signer = auth_for(policy, credential, headers=headers or {}, auth=auth)
    return GuardedSession(policy, signer, proxy, pace)


def _proxy_of(policy: OriginPolicy, env: Mapping[str, str]) -> Proxy | ConfigurationError | None:
    if not policy.proxies and not any(name.lower().endswith("_proxy") for name in env):
        return None
    from mcpvault.http.proxies import choose_proxy

    return choose_proxy(policy.scheme, policy.host, policy.port, configured=policy.proxies, env=env)


class GuardedSession(requests.Session):
    """
    A ``requests.Session`` for one origin; ``new_session`` makes it.

    Differences to requests: any other origin is refused; a number as ``timeout``
    limits the whole call; only 307 and 308 within the origin are followed;
    cookies are not kept; ``verify``, ``cert`` and ``proxies`` are the entry's;
    what is raised is a ``McpVaultError``.
    """

    def __init__(
        self,
        policy: OriginPolicy,
        auth: AuthBase,
        proxy: Proxy | None,
        pace: Callable[[Deadline], McpVaultError | None] | None = None,
    ) -> None:
        self._sealed = False
        super().__init__()
        self.policy = policy
        self.trust_env = False
        self.auth = auth
        self.headers["User-Agent"] = f"mcpvault/{VERSION}"
        self._signed: WeakKeyDictionary[PreparedRequest, AuthBase | None] = WeakKeyDictionary()
        self.guard = GuardedAdapter(policy, proxy, pace)
        self.adapters.clear()
        self.mount("", RefusingAdapter(policy))
        for prefix in policy.prefixes:
            self.mount(prefix, self.guard)
        self._sealed = True

    def mount(self, prefix: str | bytes, adapter: BaseAdapter) -> None:
        """Refuse another adapter: the mounted one is the guard."""
        if self._sealed:
            raise TypeError("the adapters of this session are fixed; timeouts and retries belong to the vault entry")
        super().mount(prefix, adapter)

    def prepare_request(self, request: Request) -> PreparedRequest:
        """
        Prepare *request*, its credential included; a token that changes is added when it is sent.

        Raises:
            OriginMismatchError: It is for another origin.
            HeaderRefusedError: A header must not be sent.
            UsageError: requests cannot make a request of it.
        """
        later = not request.auth and isinstance(self.auth, TokenAuth)
        if later or (not request.auth and not self.auth):
            request.auth = NoAuth()  # else requests may look into netrc
        failure: McpVaultError
        try:
            prepared = super().prepare_request(request)
        except McpVaultError as e:
            failure = e.with_traceback(None)
        except requests.exceptions.InvalidHeader:
            failure = HeaderRefusedError("a header is malformed; nothing was sent", server=self.policy.server)
        except requests.exceptions.RequestException as e:
            kind = type(e).__name__
            failure = UsageError(f"the request cannot be prepared ({kind})", server=self.policy.server)
        else:
            if not later:
                used = request.auth or self.auth
                self._signed[prepared] = used if isinstance(used, AuthBase) else None
            return prepared
        finally:
            if later:
                request.auth = None
        raise failure

    def blank(self, method: str, url: str) -> PreparedRequest:
        """
        Return what ``prepare_request`` makes of a request that has nothing but a URL, without its credential.

        requests would merge all that such a request does not have, which takes its time.

        Raises:
            UsageError: requests cannot make a request of it.
        """
        prepared = PreparedRequest()
        try:
            prepared.prepare(method, url, self.headers, params="", auth=NoAuth(), hooks=self.hooks)
            return prepared
        except requests.exceptions.RequestException as e:
            kind = type(e).__name__
        raise UsageError(f"the request cannot be prepared ({kind})", server=self.policy.server)

    def merge_environment_settings(  # type: ignore[override]
        self, url: str, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> dict[str, Any]:
        """Merge nothing: what is not given with the call is the policy's, whatever the environment says."""
        return {"proxies": proxies, "stream": stream, "verify": verify, "cert": cert}

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> Response:
        """Prepare and send a request, as requests does; see ``send`` for what it raises."""
        try:
            return super().request(method, url, *args, **kwargs)
        except McpVaultError as e:
            failure = e.with_traceback(None)
        # The frames in between held headers and body; this one must not either.
        del args
        kwargs.clear()
        raise failure

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """
        Send a prepared request; one that was not prepared here is signed first.

        Raises:
            ConfigurationError: *verify*, *cert* or *proxies* would bypass the entry's.
            OriginMismatchError: The request, or a redirect, is for another origin; it was not sent.
            TransportError: See ``GuardedAdapter.send``.
            RequestLostError: It may have been carried out; look before repeating it.
        """
        if isinstance(request, Request):
            raise ValueError("you can only send a PreparedRequest")
        try:
            return self._send(request, kwargs)
        except McpVaultError as e:
            failure = e.with_traceback(None)
        del request  # as in ``request``
        kwargs.clear()
        raise failure

    def _send(self, request: PreparedRequest, kwargs: dict[str, Any]) -> Response:
        follow = kwargs.pop("allow_redirects", True)
        stream = kwargs.pop("stream", None)
        allowance = self.policy.allowance(kwargs.pop("timeout", None))
        self._refuse_overrides(kwargs)
        if request not in self._signed:
            request = self._sign(request.copy())
        began = time.perf_counter()
        response = self._follow(request, allowance, follow)
        response.elapsed = timedelta(seconds=time.perf_counter() - began)
        if not (self.stream if stream is None else stream):
            response.content  # noqa: B018  # reads the body
        return response

    def send_once(self, request: PreparedRequest, allowance: Allowance, tokens: TokenAuth | None) -> Response:
        """Send one request, which *tokens* sign or which is signed, run its response hooks, follow nothing."""
        options: dict[str, Any] = {"stream": True, "timeout": allowance, "verify": True, "cert": None, "proxies": {}}
        adapter = self.get_adapter(request.url or "")
        if tokens is not None and isinstance(adapter, GuardedAdapter):
            response = adapter.send_signing(request, allowance, tokens.sign)
        else:
            response = adapter.send(request, **options)
        hooked: Response = dispatch_hook("response", request.hooks, response, **options)  # type: ignore[no-untyped-call]
        return hooked

    def _follow(self, request: PreparedRequest, allowance: Allowance, follow: bool) -> Response:
        history: list[Response] = []
        signer = self._signed.get(request)
        tokens = signer if isinstance(signer, TokenAuth) else None
        repeats = 0
        while True:
            response = self.send_once(request, allowance, tokens)
            following: PreparedRequest | McpVaultError | None = None
            if tokens is not None:
                following = self._again(request, response, tokens, repeats, allowance)
                repeats += following is not None
            if following is None and follow:
                following = self._hop(request, response, len(history), signer if tokens is None else None)
                if following is not None:
                    history.append(response)
            if following is None:
                response.history = [*history, *response.history]
                return response
            response.close()
            if isinstance(following, McpVaultError):
                raise following
            request = following

    def _again(
        self, request: PreparedRequest, response: Response, tokens: TokenAuth, repeats: int, allowance: Allowance
    ) -> PreparedRequest | McpVaultError | None:
        again = tokens.judge(request, response.status_code, response.headers, repeats, allowance.deadline)
        if again is not None and isinstance(response.raw, GuardedResponse):
            response.raw.finish()  # the connection is used again
        return again

    def _hop(
        self, request: PreparedRequest, response: Response, hops: int, signer: AuthBase | None
    ) -> PreparedRequest | McpVaultError | None:
        if not response.is_redirect:
            return None
        from mcpvault.http.redirects import next_hop

        return next_hop(request, response.status_code, response.headers, hops, policy=self.policy, auth=signer)

    def _sign(self, request: PreparedRequest) -> PreparedRequest:
        """Sign *request*; with a token that changes that is left to the moment of sending."""
        if not isinstance(self.auth, AuthBase):
            raise TypeError("session.auth: expected a requests.auth.AuthBase")
        if not isinstance(self.auth, TokenAuth):
            request = self.auth(request)
            request.prepare_content_length(request.body)
        self._signed[request] = self.auth
        return request

    def _refuse_overrides(self, options: Mapping[str, Any]) -> None:
        for name, field in (("verify", "tls.ca_file"), ("cert", "tls.client_cert_file"), ("proxies", "proxies")):
            value = options.get(name)
            if (value and value is not True) or value is False:
                raise ConfigurationError(
                    f"{name}: cannot be given per request",
                    hint=f"set {field} of this server",
                    server=self.policy.server,
                )

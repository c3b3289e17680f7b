"""
What an unknown server wants: its challenge, its metadata, and the command that adds it.

Decides what is asked, always without a credential. Leaves the meaning of documents to ``mcpvault.oauth``.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin, urlsplit

from mcpvault.deadline import Deadline
from mcpvault.errors import ConfigurationError, McpVaultError, TransportError
from mcpvault.grants import first_request
from mcpvault.http.asking import Asker
from mcpvault.mcp.sse import SSEDecoder
from mcpvault.oauth import challenge as challenges
from mcpvault.oauth import discovery, scope
from mcpvault.oauth.challenge import Challenge
from mcpvault.oauth.discovery import Discovery
from mcpvault.oauth.urls import shown
from mcpvault.oauth.wire import Answer, Ask, drive, json_object, unavailable
from mcpvault.tokens import AuthorizationServer
from vault_schema import SchemaError, origin_of
from vault_schema.record import Record

_CLOSED = (401, 403)


class Report(Record):
    """
    What was found out about *url*.

    ``status`` is that of a request without a credential; ``found`` what discovery came to, None where the server
    wants no OAuth or its metadata cannot be used (``problem`` says why; ``broken``: there is some).
    ``schemes`` are those of its challenges. ``speaks``: it answered as an MCP server does; ``media`` is the type of
    what came back, ``leads_to`` where it redirects.
    """

    url: str
    status: int
    schemes: tuple[str, ...] = ()
    challenge: Challenge | None = None
    found: Discovery | None = None
    problem: str | None = None
    broken: bool = False
    speaks: bool = False
    media: str = ""
    leads_to: str | None = None

    @property
    def verdict(self) -> str:
        """What the server wants, in a few words."""
        if self.found is not None:
            return f"wants OAuth ({self.status})"
        if self.status in _CLOSED:
            return f"wants a credential ({self.status})"
        if self.speaks:
            return "answers without a credential"
        if self.leads_to is not None:
            return f"redirects ({self.status})"
        return f"does not answer as an MCP server does ({', '.join(filter(None, (str(self.status), self.media)))})"

    @property
    def issuer(self) -> str | None:
        """The authorization server, byte for byte."""
        return self.found.server.issuer if self.found is not None else None

    @property
    def registration(self) -> tuple[str, ...]:
        """How a client can come to be known there."""
        if self.found is None:
            return ()
        server = self.found.server
        document = ("client ID metadata document",) if server.client_id_metadata_document_supported else ()
        return (*document, *(("dynamic registration",) if server.registration_endpoint else ()))

    @property
    def commands(self) -> tuple[str, ...]:
        """What to run, in order; nothing where the server has to be mended first, or is none."""
        if self.broken or not (self.speaks or self.status in _CLOSED):
            return ()
        name = suggested_name(self.url)
        add = f"mcpvault add {name} {shlex.quote(self.url)}"
        if self.found is None:
            if self.status not in _CLOSED:
                return (add,)
            if "bearer" in self.schemes or self.schemes == ("basic",):
                return (f"{add} {'--bearer-prompt' if 'bearer' in self.schemes else '--basic USER'}",)
            return (f"{add} --header-stdin X-API-Key   # or the header that it wants; or: --bearer-prompt",)
        server = self.found.server
        if not (server.authorization_endpoint or server.device_authorization_endpoint):
            known = f"--client-id ID --client-secret-stdin --issuer {shlex.quote(server.issuer)}"
            return (f"{add} --client-credentials {known}",)
        if self.no_login is not None:
            return ()
        add += " --oauth"
        if server.registration_endpoint is None:
            document = server.client_id_metadata_document_supported
            known = f"--client-id ID --issuer {shlex.quote(server.issuer)}"
            add += f" --client-metadata-url URL   # or: {known}" if document else f" {known}"
        if "bearer" not in self.schemes and "dpop" in self.schemes:
            add = add.replace(" --oauth", " --oauth --dpop")
        login = f"mcpvault login {name}"
        if _pkce(server) or not server.authorization_endpoint:
            return (add, login)
        if server.code_challenge_methods_supported:  # it says that it knows no S256
            return (add, f"{login} --method device")
        return (add, f"mcpvault set {name} auth.assume_pkce_s256 true   # if you know that it works", login)

    @property
    def no_login(self) -> str | None:
        """Why nobody can log in there as its metadata are, or None."""
        server = self.found.server if self.found is not None else None
        if server is None or server.authorization_endpoint is None or server.device_authorization_endpoint is not None:
            return None
        if _pkce(server) or not (named := server.code_challenge_methods_supported):
            return None
        return f"it offers PKCE by {', '.join(named)} only, and a login here takes S256: ask who runs it"

    @property
    def facts(self) -> dict[str, str]:
        """What was read, for people: the server's own words among it."""
        told: dict[str, str] = {}
        if self.challenge is not None:
            said = (f'{name}="{value}"' for name, value in self.challenge.parameters.items())
            told["challenge"] = " ".join((self.challenge.scheme, *said))
        elif self.schemes:
            told["challenge"] = ", ".join(self.schemes)
        if self.found is None:
            return told
        server = self.found.server
        named = server.code_challenge_methods_supported
        told["resource"] = self.found.resource or "none named"
        told["authorization server"] = server.issuer
        told["scopes asked for"] = self.scopes or "none"
        told["grants"] = ", ".join(server.grant_types_supported or ("authorization_code", "implicit (by default)"))
        told["PKCE"] = "S256" if _pkce(server) else f"{', '.join(named)} only" if named else "is not declared"
        told["registration"] = ", ".join(self.registration) or "by hand: its operator gives you a client id"
        methods = server.token_endpoint_auth_methods_supported
        told["clients prove themselves by"] = ", ".join(methods or ("client_secret_basic (by default)",))
        told["login on another device"] = "yes" if server.device_authorization_endpoint else "no"
        told["revocation"] = "yes" if server.revocation_endpoint else "no"
        return told

    @property
    def scopes(self) -> str | None:
        """The scopes that a login would ask for."""
        if self.found is None:
            return None
        return scope.initial(
            configured=None,
            challenge_scope=self.found.challenge_scope,
            resource_scopes=self.found.scopes_supported,
            server=self.found.server,
            wants_refresh=True,
        )

    def told(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        server = self.found.server if self.found is not None else None
        return {
            "url": self.url,
            "status": self.status,
            "verdict": self.verdict,
            "mcp": self.speaks,
            "challenge": {"scheme": self.challenge.scheme, **self.challenge.parameters} if self.challenge else None,
            "resource": self.found.resource if self.found else None,
            "scopes": self.scopes,
            "authorization_server": server.fields() if server else None,
            "registration": [*self.registration],
            "problem": self.problem,
            "commands": [*self.commands],
        }


def probe(url: str, *, env: Mapping[str, str], timeout: float = 30.0, allow_http: bool = False) -> Report:
    """
    Ask *url* without a credential, and read what its metadata says.

    Raises:
        ConfigurationError: It is no URL of an MCP server.
        TransportError: It cannot be reached.
    """
    problem: str | None = None
    try:
        origin_of(url)
    except SchemaError as error:
        problem = error.message
    if problem is not None:
        raise ConfigurationError(f"{url!r}: {problem}")
    try:
        return _asked(url, env=env, timeout=timeout, allow_http=allow_http)
    except McpVaultError as error:
        error.server = None  # no entry names it yet
        if "see: mcpvault doctor" in (error.hint or ""):
            error.hint = "is that its address, is it up, and may this host reach it?"
        elif "allow_http" in (error.hint or "") and not allow_http:
            error.hint = f"use https, or run: mcpvault probe {shlex.quote(url)} --allow-http"
        raise


def _asked(url: str, *, env: Mapping[str, str], timeout: float, allow_http: bool) -> Report:
    host = urlsplit(url).hostname or ""
    with Asker(
        server=suggested_name(url), deadline=Deadline(timeout), named_hosts={host}, allow_http=allow_http, env=env
    ) as ask:
        answer = ask(first_request(url))
        field = answer.headers.get("www-authenticate", "")
        seen = challenges.oauth(field)
        schemes = tuple(dict.fromkeys(each.scheme.lower() for each in challenges.parse(field)))
        report = Report(url=url, status=answer.status, schemes=schemes, challenge=seen)
        if failure := unavailable(answer, shown(url)):
            raise failure
        if answer.status not in _CLOSED:
            return _judged(report, answer)
        kept_back: list[bool] = []

        def read(step: Ask) -> Answer:
            document = ask(step)
            kept_back.append(document.status in (*_CLOSED, 404, 410))
            return document

        try:
            found = drive(discovery.discover(url, challenge=seen, allow_http=allow_http), read)
            if not found.server.assumed:
                report = report.replaced(found=found)
                return report.replaced(problem=report.no_login)
        except TransportError:
            raise
        except McpVaultError as error:
            # Many keep all that they have behind a key, and know nothing of OAuth: they name no metadata either.
            if not kept_back or not all(kept_back) or (seen is not None and seen.resource_metadata):
                return report.replaced(problem=error.message, broken=True)
        problem = "it publishes no metadata: it takes a static credential, or speaks OAuth of 2025-03-26"
        return report.replaced(problem=problem)


def _judged(report: Report, answer: Answer) -> Report:
    """Return *report* with what an *answer* to nobody in particular says of the server."""
    media = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    report = report.replaced(media=media, speaks=_is_mcp(answer.body, media))
    if report.speaks:
        return report
    leads_to = None
    if 300 <= answer.status < 400 and "location" in answer.headers:
        with suppress(ValueError):  # it is no address
            leads_to = shown(urljoin(report.url, answer.headers["location"]))
    if leads_to is not None:
        problem = f"it redirects to {leads_to}, and nothing is sent there unasked: if that is the server, probe it"
        return report.replaced(leads_to=leads_to, problem=problem)
    if answer.status in (404, 405):
        return report.replaced(
            problem="there is no MCP endpoint here: its documentation has the address; one that speaks HTTP+SSE only "
            "is added by hand, with transport set to auto"
        )
    return report.replaced(problem="what came back is no JSON-RPC: is this the address of its MCP endpoint?")


def _is_mcp(body: bytes, media: str) -> bool:
    """Tell whether *body* holds a JSON-RPC message, by itself or in a stream of events."""
    texts: Sequence[bytes | bytearray | memoryview]
    texts = [event.data for event in SSEDecoder().feed(body)] if media == "text/event-stream" else [body]
    told = [json_object(bytes(text)) for text in texts]
    return any(each is not None and each.get("jsonrpc") == "2.0" for each in told)


def _pkce(server: AuthorizationServer) -> bool:
    return "S256" in (server.code_challenge_methods_supported or ())


def suggested_name(url: str) -> str:
    """Return a name for an entry, from the host: ``mcp.linear.app`` → ``linear``."""
    labels = [label for label in (urlsplit(url).hostname or "").split(".") if label not in ("mcp", "api", "www")]
    name = labels[-2] if len(labels) > 1 and not labels[-1].isdigit() else labels[0] if labels else "server"
    return name if name and name[0].isalnum() and not name.isdigit() else "server"

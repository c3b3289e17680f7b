"""
What went wrong on the wire, in our words.

Decides which of our errors an exception of the socket, TLS, ``http.client`` or
urllib3 becomes. Nothing here raises: an exception that was raised while one of
theirs is being handled would carry it along, with every header in its frames.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from typing import TYPE_CHECKING

import urllib3.exceptions

from mcpvault.errors import (
    ConfigurationError,
    ConnectFailedError,
    DeadlineExceededError,
    LoginNeededError,
    McpVaultError,
    RemoteProtocolError,
    RequestLostError,
    UsageError,
)
from mcpvault.http.pool import Failure
from mcpvault.http.resolution import Unresolved

if TYPE_CHECKING:
    from mcpvault.http.policy import Allowance, OriginPolicy

_STATUS = r"\b[1-5][0-9][0-9]\b"


def while_connecting(e: Exception, policy: OriginPolicy, allowance: Allowance, through: str) -> Failure:
    """Judge an exception from before anything of the request was sent."""
    place = f"{policy.origin}{through}"
    hint = None
    lasting = False
    if isinstance(e, TimeoutError):
        if allowance.deadline.expired():
            return Failure(_late(policy, allowance, sent=False), sent=False, lasting=True)
        name = isinstance(e, Unresolved)
        reason = f"{'the host name was not resolved' if name else 'no connection'} within {allowance.connect:g} s"
    elif isinstance(e, ssl.SSLCertVerificationError):
        reason = f"certificate refused: {e.verify_message.lower().rstrip('.')}"
        hint = "if the server has a certificate of your own authority, name it in tls.ca_file"
        lasting = True
    elif isinstance(e, ssl.SSLError):
        reason = f"no TLS connection ({(e.reason or 'closed early').lower().replace('_', ' ')})"
    elif isinstance(e, socket.gaierror):
        reason = "the host name cannot be resolved"
    elif isinstance(e, OSError) and e.strerror:
        reason = e.strerror.lower()
    elif through and isinstance(e, OSError):
        # http.client: "Tunnel connection failed: 407 …", with the proxy's own words behind it.
        status = re.search(_STATUS, str(e))
        reason = f"the proxy answered {status.group()}" if status else "the proxy refused to connect"
        lasting = True
    else:
        reason = "no connection"
    hint = hint or ("try again later, or see: mcpvault doctor" + (f" {policy.server}" if policy.server else ""))
    return Failure(
        ConnectFailedError(f"{place}: {reason}", hint=hint, server=policy.server), sent=False, lasting=lasting
    )


def while_answering(e: BaseException, policy: OriginPolicy, allowance: Allowance) -> McpVaultError:
    """Judge an exception from after the request, or part of it, was sent."""
    place, server = policy.origin, policy.server
    # urllib3 wraps what the socket raised; the time is told by the clock all the same.
    if allowance.deadline.expired():
        return _late(policy, allowance)
    if isinstance(e, (TimeoutError, urllib3.exceptions.TimeoutError)):
        return DeadlineExceededError(f"{place}: silent for {allowance.read:g} s", server=server)
    reasons = [e, *(argument for argument in getattr(e, "args", ()) if isinstance(argument, BaseException))]
    if any(isinstance(r, ssl.SSLError) and "CERTIFICATE" in (r.reason or "") for r in reasons):
        return ConnectFailedError(
            f"{place}: the server did not accept our certificate",
            hint="set tls.client_cert_file and tls.client_key_file",
            server=server,
        )
    if isinstance(e, (urllib3.exceptions.DecodeError, urllib3.exceptions.InvalidChunkLength)):
        return RemoteProtocolError(f"{place}: the body of the answer is not encoded as its head says", server=server)
    broken = (OSError, http.client.RemoteDisconnected, http.client.IncompleteRead, urllib3.exceptions.ProtocolError)
    if isinstance(e, broken):
        return RequestLostError(
            f"{place}: the connection broke before the answer was complete",
            hint="the request may have been carried out; look before you repeat it",
            server=server,
        )
    if isinstance(e, http.client.HTTPException):
        return RemoteProtocolError(f"{place}: the answer is not HTTP", server=server)
    return UsageError(f"{place}: the request cannot be written as HTTP; nothing was sent", server=server)


def was_sent(error: McpVaultError) -> bool:
    """Tell whether a request that ended in *error* may have been carried out; False only where it cannot have been."""
    if isinstance(error, DeadlineExceededError):
        return error.sent
    return not isinstance(error, (ConnectFailedError, ConfigurationError, LoginNeededError, UsageError))


def unexpected_answer(policy: OriginPolicy, status: int) -> McpVaultError:
    """Return the error for an informational answer that nobody asked for."""
    return RemoteProtocolError(f"{policy.origin}: unexpected status {status}", server=policy.server)


def _late(policy: OriginPolicy, allowance: Allowance, *, sent: bool = True) -> McpVaultError:
    seconds = allowance.deadline.seconds or 0
    return DeadlineExceededError(f"{policy.origin}: no answer within {seconds:g} s", sent=sent, server=policy.server)

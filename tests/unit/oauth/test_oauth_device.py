"""The device flow: what a person is shown, and how patiently we ask."""

from __future__ import annotations

from typing import Any

import pytest
from token_peers import (
    ISSUER,
    NOW,
    RESOURCE,
    Peer,
    answer,
    client,
    confidential,
    granted,
    leaks,
    opened,
    refusal,
    registration,
    server,
)

from mcpvault.errors import (
    AuthorizationFailedError,
    ConfigurationError,
    ConnectFailedError,
    DeadlineExceededError,
    McpVaultError,
    RemoteProtocolError,
    RequestLostError,
    ServerUnavailableError,
)
from mcpvault.oauth.device import device_flow
from mcpvault.oauth.dpop import ProofKey
from mcpvault.oauth.wire import Answer, Ask, ShowCode, Wait, drive
from mcpvault.tokens import TokenSet

# RFC 8628 §3.2
EXAMPLE = {
    "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://example.com/device",
    "verification_uri_complete": "https://example.com/device?user_code=WDJB-MJHT",
    "expires_in": 1800,
    "interval": 5,
}
PENDING = refusal("authorization_pending")


class Room(Peer):
    """A peer, a person and a clock: waiting takes no time but moves the clock, and everything is written down."""

    def __init__(self, *answers: Answer | Exception) -> None:
        super().__init__(*answers)
        self.time = NOW
        self.shown: list[ShowCode] = []
        self.waits: list[float] = []

    def __call__(self, step: Any) -> Any:
        """Carry one step out."""
        if isinstance(step, ShowCode):
            self.shown.append(step)
        elif isinstance(step, Wait):
            self.waits.append(step.seconds)
            self.time += step.seconds
        return super().__call__(step)

    def clock(self) -> float:
        """Return the time."""
        return self.time


def run(room: Room, **options: Any) -> TokenSet:
    """Run the flow in *room*."""
    scope, resource = options.pop("scope", "example_scope"), options.pop("resource", RESOURCE)
    return drive(device_flow(client(**options), scope=scope, resource=resource, clock=room.clock), room)


def test_a_person_enters_a_code_while_we_ask() -> None:
    """RFC 8628 §3: the code is shown before the first question, and each question waits for its interval."""
    room = Room(answer(EXAMPLE), PENDING, PENDING, granted(refresh_token="r"))

    tokens = run(room)

    assert [f"{ISSUER}/device", *[f"{ISSUER}/token"] * 3] == [ask.url for ask in room.asked]
    assert {"client_id": "s6BhdRkqt3", "scope": "example_scope", "resource": RESOURCE} == room.forms[0]
    assert {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS",
        "resource": RESOURCE,
        "client_id": "s6BhdRkqt3",
    } == room.forms[3]
    assert [
        ShowCode(
            verification_uri="https://example.com/device",
            user_code="WDJB-MJHT",
            expires_in=1800.0,
            verification_uri_complete="https://example.com/device?user_code=WDJB-MJHT",
        )
    ] == room.shown
    assert [5.0, 5.0, 5.0] == room.waits
    assert ("example_scope", NOW + 15 + 3600, "example_scope") == (
        tokens.scope,
        tokens.expires_at,
        tokens.requested_scope,
    )
    assert tokens.refresh_token is not None


def test_a_device_asks_for_what_its_client_may_have() -> None:
    """RFC 7591 §3.2.1: of what is wanted; an answer without scope means what was asked for."""
    room = Room(answer(EXAMPLE), granted(scope=None))
    own = registration(source="dynamic", scope="read write", granted_scope="read")

    tokens = run(room, registration=own, scope="write read")

    assert ("read", "read", "write read") == (room.forms[0]["scope"], tokens.scope, tokens.requested_scope)


def test_the_code_is_shown_before_anything_waits() -> None:
    """The steps come in the order that a person needs them."""
    flow = device_flow(client(), scope=None, resource=None, clock=lambda: NOW)

    first = next(flow)
    second = flow.send(answer(EXAMPLE))
    third = flow.send(None)

    assert [Ask, ShowCode, Wait] == [type(step) for step in (first, second, third)]
    flow.close()


def test_slow_down_means_slower_for_good() -> None:
    """§3.5: five seconds more, for this and all further requests."""
    room = Room(
        answer({**EXAMPLE, "interval": 2}), PENDING, refusal("slow_down"), PENDING, refusal("slow_down"), granted()
    )

    run(room)

    assert [2.0, 2.0, 7.0, 7.0, 12.0] == room.waits


@pytest.mark.parametrize(
    ("interval", "expected"), [(None, 5.0), (0, 5.0), ("3", 3.0), (0.01, 1.0), (-1, 5.0), (90, 90.0), ([], 5.0)]
)
def test_the_interval_is_the_servers(interval: object, expected: float) -> None:
    """§3.2: five seconds where it says nothing of use, and never less than one."""
    room = Room(answer({**EXAMPLE, "interval": interval}), granted())

    run(room)

    assert [expected] == room.waits


@pytest.mark.parametrize(
    "trouble",
    [
        ConnectFailedError("no route"),
        RequestLostError("gone"),
        DeadlineExceededError("no answer within 1 s"),
        answer({}, 503),
        refusal("temporarily_unavailable"),
        Answer(200, {}, b"<html>"),
    ],
    ids=["no connection", "lost", "silent", "503", "busy", "captive portal"],
)
def test_trouble_on_the_way_only_slows_us_down(trouble: Answer | Exception) -> None:
    """§3.5: the interval doubles with every one, up to a minute; the person goes on typing."""
    room = Room(answer(EXAMPLE), *[trouble] * 5, granted())

    run(room)

    assert [5.0, 10.0, 20.0, 40.0, 60.0, 60.0] == room.waits


def test_a_server_says_when_to_come_back() -> None:
    """``Retry-After`` counts where it asks for more."""
    room = Room(answer(EXAMPLE), answer({}, 429, retry_after="200"), granted())

    run(room)

    assert [5.0, 200.0] == room.waits


def test_a_deadline_ends_it() -> None:
    """The time for the whole login is over: that is nothing to be patient about."""

    class Short(Room):
        def __call__(self, step: Any) -> Any:
            if isinstance(step, Wait) and self.waits:
                raise DeadlineExceededError("over")
            return super().__call__(step)

    room = Short(answer(EXAMPLE), DeadlineExceededError("no answer"))
    with pytest.raises(DeadlineExceededError, match="over"):
        run(room)
    assert 2 == len(room.asked)


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "invalid_grant", "invalid_client"])
def test_a_refusal_ends_it(error: str) -> None:
    """The person said no, or the server did: nobody is asked again."""
    room = Room(answer(EXAMPLE), PENDING, refusal(error))
    with pytest.raises(AuthorizationFailedError) as caught:
        run(room)

    assert (error, 3) == (caught.value.error, len(room.asked))
    assert [] == leaks(caught.value, [EXAMPLE["device_code"]])


@pytest.mark.parametrize(("told", "expected"), [(60, 60), ("60", 60), (None, 600)])
def test_a_code_that_nobody_enters_runs_out(told: object, expected: int) -> None:
    """``expires_in`` is obeyed without the server's help, ten minutes where it is missing."""
    room = Room(answer({**EXAMPLE, "expires_in": told}), *[PENDING] * 200)
    with pytest.raises(AuthorizationFailedError, match=f"nobody entered the code within {expected} s") as caught:
        run(room)

    assert ("expired_token", NOW + expected, "linear") == (caught.value.error, room.time, caught.value.server)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"verification_uri": None}, "verification_uri"),
        ({"verification_uri": "javascript:alert(1)"}, "verification_uri"),
        ({"verification_uri": "http://example.com/device"}, "verification_uri"),
        ({"verification_uri": "https://example.com/\x1b]0;x\x07"}, "verification_uri"),
        ({"user_code": None}, "user_code"),
        ({"user_code": ""}, "user_code"),
        ({"user_code": "AB\x1b[2J"}, "user_code"),
        ({"user_code": " AB"}, "user_code"),
        ({"user_code": "A" * 65}, "user_code"),
        ({"user_code": "AB\u202eCD"}, "user_code"),
    ],
)
def test_a_person_is_shown_a_link_and_a_short_word(changes: dict[str, Any], why: str) -> None:
    """Nothing that a terminal obeys, and no link that is not https, comes before a person."""
    room = Room(answer({**EXAMPLE, **changes}))
    with pytest.raises(RemoteProtocolError, match=f"{why} cannot be shown") as caught:
        run(room)

    assert [] == room.shown
    assert [] == leaks(caught.value, [EXAMPLE["device_code"]])


@pytest.mark.parametrize("complete", [None, 7, "javascript:alert(1)"])
def test_the_complete_link_is_a_convenience(complete: object) -> None:
    """Without a usable one the person types the code."""
    room = Room(answer({**EXAMPLE, "verification_uri_complete": complete}), granted())

    run(room)

    assert room.shown[0].verification_uri_complete is None


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (refusal("invalid_client", status=401), AuthorizationFailedError),
        (answer({}, 500), ServerUnavailableError),
        (answer({**EXAMPLE, "device_code": ""}), RemoteProtocolError),
        (answer({**EXAMPLE, "device_code": 7}), RemoteProtocolError),
        (answer({**EXAMPLE, "error": "invalid_scope"}), AuthorizationFailedError),
        (answer(EXAMPLE, 404), RemoteProtocolError),
    ],
    ids=["refused", "down", "empty", "number", "both", "not found"],
)
def test_without_a_device_code_there_is_nothing_to_show(told: Answer, kind: type[McpVaultError]) -> None:
    """What the device authorization endpoint says is judged like any other answer of the server."""
    room = Room(told)
    with pytest.raises(kind, match="linear: device authorization: the authorization server"):
        run(room)

    assert ([], []) == (room.shown, room.waits)


def test_a_server_without_the_flow_is_told_apart() -> None:
    """Nothing is asked, and the hint names another way to log in."""
    with pytest.raises(ConfigurationError, match="names no device_authorization_endpoint") as caught:
        run(Room(), server=server(device_authorization_endpoint=None))

    assert "run: mcpvault login linear --method paste" == caught.value.hint


def test_a_confidential_client_proves_itself_each_time() -> None:
    """§3.1, §3.4: client authentication and the DPoP proof go with every token request."""
    room = Room(answer(EXAMPLE), refusal("use_dpop_nonce", dpop_nonce="n"), PENDING, granted(token_type="DPoP"))

    tokens = run(room, registration=confidential(), proof_key=ProofKey.generate(), scope=None, resource=None)

    assert {4} == {sum("Authorization" in ask.headers for ask in room.asked)}
    assert [False, True, True, True] == ["DPoP" in ask.headers for ask in room.asked]
    assert [None, "n", None] == [opened(ask.headers["DPoP"])[1].get("nonce") for ask in room.asked[1:]]
    assert b"client_id=s6BhdRkqt3" == room.asked[0].body
    assert ("DPoP", None) == (tokens.token_type, tokens.scope)

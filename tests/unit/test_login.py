"""Which way of logging in fits the surroundings."""

from __future__ import annotations

import pytest

from mcpvault.deadline import Deadline
from mcpvault.errors import AuthorizationRequiredError, UsageError
from mcpvault.login import METHODS, Provided, choose_method

SSH = {"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}


@pytest.mark.parametrize("device", [True, False])
@pytest.mark.parametrize(
    ("platform", "env", "desktop"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": "localhost:10.0", **SSH}, False),
        ("darwin", {}, True),
        ("darwin", SSH, False),
        ("win32", {}, True),
    ],
)
def test_the_surroundings_choose(
    monkeypatch: pytest.MonkeyPatch, platform: str, env: dict[str, str], desktop: bool, device: bool
) -> None:
    """A browser on a desktop that nobody has come to by SSH; else a code where the server offers that; else paste."""
    monkeypatch.setattr("sys.platform", platform)

    chosen = choose_method(None, env=env, terminal=True, device_offered=device, server="x", scope=None)

    assert ("loopback" if desktop else "device" if device else "paste") == chosen


@pytest.mark.parametrize("named", METHODS)
def test_a_method_that_is_named_is_taken(named: str) -> None:
    """Whatever the surroundings are, a missing terminal included."""
    assert named == choose_method(named, env=SSH, terminal=False, device_offered=False, server="x", scope=None)


def test_without_a_terminal_nothing_is_chosen() -> None:
    """Nobody is there: exit 3 with the command; a method that does not exist is exit 2."""
    with pytest.raises(AuthorizationRequiredError) as caught:
        choose_method(None, env={"DISPLAY": ":0"}, terminal=False, device_offered=True, server="x", scope="a b")
    assert 'mcpvault login x --scope "a b"' == caught.value.login_command

    with pytest.raises(UsageError, match="expected one of loopback, paste, device"):
        choose_method("carrier pigeon", env={}, terminal=True, device_offered=True, server="x", scope=None)


class Forgetful:
    """A provider whose ``redirect`` forgets to return."""

    redirect_uri = "http://127.0.0.1:8765/callback"

    def redirect(self, url: str) -> str:
        """Return nothing."""
        return None  # type: ignore[return-value]


def test_a_provider_that_returns_no_text_is_named() -> None:
    """The slip is the caller's, and is told as that."""
    with pytest.raises(TypeError, match=r"^Forgetful\.redirect: expected the URL .*, got NoneType$"):
        Provided(Forgetful()).visit("https://as.example/authorize", lambda _: True, Deadline(None))

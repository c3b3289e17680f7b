"""End to end against the mcp SDK 2.x and 1.x and fastmcp, over stdio and HTTP, in every era that each speaks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcpvault import Callbacks, Session, carriers
from mcpvault.credentials import Credential
from mcpvault.entries import Concrete
from mcpvault.errors import DeadlineExceededError, ServerError
from vault_schema import origin_of

pytestmark = pytest.mark.peer

SERVER = str(Path(__file__).with_name("servers") / "sdk_server.py")
TOOLS = {
    *("echo", "weather", "draw", "fail", "count", "note", "wait", "forgone"),
    *("meet", "visit", "think", "roots", "change"),
}
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de")
REPLY = {"role": "assistant", "content": {"type": "text", "text": "four"}, "model": "m", "stopReason": "endTurn"}
NEWEST = {"mcp2": "modern", "fastmcp": "modern", "mcp1": "legacy"}
WAYS = [
    (sdk, how, era)
    for sdk in NEWEST
    for how in ("stdio", "http")
    for era in ("modern", "legacy")
    if era in ("legacy", NEWEST[sdk])
]


class Person:
    """Somebody who answers what a server asks, and keeps what it said."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.logged: list[Any] = []
        self.heard: list[str] = []

    def callbacks(self) -> Callbacks:
        """Return the callbacks of this person."""
        return Callbacks(
            on_elicitation=lambda form: form.accept({"name": "Ada"}),
            on_url=lambda visit: self.asked.append(visit.url) or visit.accept(),
            on_sampling=lambda params: self.asked.append(params) or REPLY,
            roots=["file:///srv/one", {"uri": "file:///srv/two", "name": "Two"}],
            on_log=self.logged.append,
            on_notification=lambda method, _: self.heard.append(method),
        )


@pytest.fixture(scope="module")
def endpoint(real_server: Callable[..., Any], peer_path: Callable[[str], str]) -> Callable[[str], str]:
    """Return what gives the endpoint of an SDK's server over HTTP: one process serves both eras."""
    running: dict[str, str] = {}

    def url(sdk: str) -> str:
        if sdk not in running:
            running[sdk] = str(real_server([peer_path(f"{sdk}/bin/python"), SERVER]).url)
        return running[sdk]

    return url


@pytest.fixture(scope="module", params=WAYS, ids=" ".join)
def way(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """Name SDK, transport and era."""
    found: tuple[str, str, str] = request.param
    return found


@pytest.fixture(scope="module")
def person() -> Person:
    """Give somebody to ask."""
    return Person()


@pytest.fixture(scope="module")
def session(
    way: tuple[str, str, str], endpoint: Callable[[str], str], peer_path: Callable[[str], str], person: Person
) -> Iterator[Session]:
    """Give a session with somebody to ask; the newest era that the SDK speaks is found out, the older one is wanted."""
    sdk, how, era = way
    facts: dict[str, Any] = {"name": "peer", "era": "auto" if era == NEWEST[sdk] else "legacy"}
    if how == "http":
        url = endpoint(sdk)
        entry = Concrete(kind="http", credential=Credential(kind="none", origin=origin_of(url)), url=url, **facts)
    else:
        credential = Credential(kind="none", origin="")
        command = peer_path(f"{sdk}/bin/python")
        entry = Concrete(kind="stdio", credential=credential, command=command, args=(SERVER,), **facts)
    carrier = carriers.transport(entry, env=os.environ, state=None)
    with Session(carrier, name="peer", timeout=60, callbacks=person.callbacks()) as session:
        yield session


def test_the_era_is_found(session: Session, way: tuple[str, str, str]) -> None:
    """Left to itself the client speaks the newest revision that the server has, and the older one where told to."""
    session.list_tools()

    assert {"modern": "2026-07-28", "legacy": "2025-11-25"}[way[2]] == session.protocol_version
    assert ("peer", "a peer") == (session.server_info["name"], session.instructions)


def test_tools_are_listed_and_called(session: Session) -> None:
    """Text, structured content and an image come back as the server made them; failure is told apart."""
    assert TOOLS == {tool.name for tool in session.list_tools()}
    assert "peer says: grüß \u2028 dich" == session.call_tool("echo", {"message": "grüß \u2028 dich"}).text()
    weather = session.call_tool("weather", {"city": "Bonn"}, validate=True)
    assert {"city": "Bonn", "celsius": 21.5} == weather.structured_content
    (image,) = session.call_tool("draw").content
    assert ("image/png", PNG) == (image.mime_type, image.data())
    assert session.call_tool("fail").is_error


def test_an_unknown_tool_is_no_success(session: Session) -> None:
    """It is an error of the protocol or of the tool, as the SDK has it, and never an answer."""
    try:
        assert session.call_tool("nope").is_error
    except ServerError as error:
        assert 5 == error.exit_code


def test_resources_are_read(session: Session) -> None:
    """Text, bytes and what a template makes."""
    assert {"peer://greeting", "peer://pixel"} == {resource.uri for resource in session.list_resources()}
    assert "grüß dich" == session.read_resource("peer://greeting")[0].text
    assert PNG == session.read_resource("peer://pixel")[0].data()
    assert ["peer://number/{n}"] == [one.uri_template for one in session.list_resource_templates()]
    assert "number 7" == session.read_resource("peer://number/7")[0].text
    with pytest.raises(ServerError):
        session.read_resource("peer://nowhere")


def test_prompts_are_got(session: Session) -> None:
    """A prompt's argument reaches its message."""
    assert ["greet"] == [prompt.name for prompt in session.list_prompts()]
    (message,) = session.get_prompt("greet", {"who": "Ada"}).messages
    assert ("user", "greet Ada") == (message.role, message.content.text)


def test_arguments_are_completed(session: Session) -> None:
    """For prompts, with what is filled in already, and for templates."""
    found = session.complete("who", "py", prompt="greet")

    assert (["python", "pytorch", "pyside"], 3, False) == (found.values, found.total, found.has_more)
    assert ["rust of 2015"] == session.complete("who", "r", prompt="greet", context={"since": "2015"}).values
    assert ["70"] == session.complete("n", "7", resource="peer://number/{n}").values


def test_progress_is_told(session: Session) -> None:
    """Every step reaches the callback before the answer."""
    told: list[Any] = []

    assert "counted to 3" == session.call_tool("count", {"steps": 3}, on_progress=told.append).text()
    assert [(1, 3), (2, 3), (3, 3)] == [(step["progress"], step["total"]) for step in told]


def test_logging_is_heard(session: Session, person: Person) -> None:
    """Messages from the level that is wanted, with that level."""
    person.logged.clear()

    assert "noted" == session.call_tool("note").text()
    heard = [(message.level, "fact" in str(message.data)) for message in person.logged]
    assert [("info", True), ("warning", False)] == heard


def test_a_form_is_filled_in(session: Session) -> None:
    """The default stands in for what was left out."""
    assert "accept: Ada, 7" == session.call_tool("meet").text()


def test_a_url_is_visited(session: Session, person: Person) -> None:
    """The whole URL reaches the person, and the consent reaches the server."""
    assert "accept" == session.call_tool("visit", {"url": "https://login.example/a?b=1#c"}).text()
    assert "https://login.example/a?b=1#c" == person.asked[-1]


def test_a_model_is_asked(session: Session, person: Person) -> None:
    """The question arrives, and the reply goes back."""
    assert "four" == session.call_tool("think", {"question": "2 + 2"}).text()
    assert ("2 + 2", 10) == (person.asked[-1]["messages"][0]["content"]["text"], person.asked[-1]["maxTokens"])


def test_roots_are_listed(session: Session) -> None:
    """The server gets them all, in their order."""
    assert "file:///srv/one file:///srv/two" == session.call_tool("roots").text()


def test_a_call_that_is_given_up_ends_at_the_server(session: Session, way: tuple[str, str, str]) -> None:
    """At the deadline the server's own work is cancelled, and the session goes on."""
    key = " ".join(way)
    with pytest.raises(DeadlineExceededError):
        session.call_tool("wait", {"key": key}, timeout=0.5)

    for _ in range(200):
        if key in session.call_tool("forgone").text():
            break
    else:
        pytest.fail("the server still works on it")


def test_changes_are_told(session: Session, person: Person, way: tuple[str, str, str]) -> None:
    """A subscription hears of tools and of a resource; elsewhere the change is told while a call goes on."""
    person.heard.clear()
    if way[::2] == ("mcp2", "modern"):
        with session.listen("peer://greeting", tools=True, timeout=20) as changes:
            session.call_tool("change")
            told = [next(changes).method for _ in range(2)]
        assert {"notifications/tools/list_changed", "notifications/resources/updated"} == {*told}
        return
    session.call_tool("change")
    for _ in range(200):  # over HTTP a legacy server says it on its own stream, which is read while a call waits
        if "notifications/tools/list_changed" in person.heard:
            return
        session.ping()
    pytest.fail("nothing was heard")


def test_what_cannot_be_listened_to_says_so(session: Session, way: tuple[str, str, str]) -> None:
    """Of the modern servers, fastmcp has no subscriptions: that is a typed error, and the session goes on."""
    if way[::2] == ("fastmcp", "modern"):
        with pytest.raises(ServerError) as caught:
            next(session.listen(tools=True, timeout=20))
        assert 5 == caught.value.exit_code
    assert "peer says: x" == session.call_tool("echo", {"message": "x"}).text()


def test_stderr_is_at_hand(session: Session, way: tuple[str, str, str]) -> None:
    """What a server on stdio prints to stderr can be read; one over HTTP keeps it."""
    session.call_tool("echo", {"message": "x"})
    session.list_tools()

    assert (way[1] == "stdio") == ("echoing" in session.stderr_tail)

"""What else server-everything does, over both transports: it asks, logs, notifies, links, zips, draws and completes."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from mcpvault import Callbacks
from mcpvault.connectors import HttpConnector, StdioConnector

pytestmark = pytest.mark.peer

REPLY = {"role": "assistant", "content": {"type": "text", "text": "four"}, "model": "m", "stopReason": "endTurn"}
ROOTS = ["file:///srv/one", {"uri": "file:///srv/two", "name": "Two"}]
DOCUMENT = "demo://resource/static/document/features.md"
FILLED_IN = {
    "name": "Ada", "check": True, "firstLine": "It was a dark and stormy night.", "email": "ada@example.com",
    "homepage": "https://ada.example/", "birthdate": "1815-12-10", "integer": 42, "number": 3.14,
    "untitledSingleSelectEnum": "Monica", "untitledMultipleSelectEnum": ["Guitar"], "titledSingleSelectEnum": "hero-1",
    "titledMultipleSelectEnum": ["fish-1"], "legacyTitledEnum": "pet-1",
}  # fmt: skip


class Person:
    """Somebody who answers what a server asks, and keeps what it said."""

    def __init__(self) -> None:
        self.forms: list[Any] = []
        self.urls: list[str] = []
        self.sampled: list[Any] = []
        self.logged: list[Any] = []
        self.heard: list[str] = []
        self.action = "accept"

    def callbacks(self) -> Callbacks:
        """Return the callbacks of this person."""
        return Callbacks(
            on_elicitation=self._fill_in,
            on_url=self._visit,
            on_sampling=lambda params: self.sampled.append(params) or REPLY,  # type: ignore[func-returns-value]
            roots=ROOTS,
            on_log=self.logged.append,
            log_level="debug",
            on_notification=lambda method, _: self.heard.append(method),
        )

    def _fill_in(self, form: Any) -> Any:
        self.forms.append(form)
        given = {key: value for key, value in FILLED_IN.items() if key in ("name", "check", "homepage", "birthdate")}
        return (
            form.accept({**given, "email": "ada@example.com"})
            if self.action == "accept"
            else getattr(form, self.action)()
        )

    def _visit(self, visit: Any) -> Any:
        self.urls.append(visit.url)
        return visit.accept() if self.action == "accept" else getattr(visit, self.action)()


@pytest.fixture
def person() -> Person:
    """Give somebody to ask."""
    return Person()


@pytest.fixture(params=["http", "stdio"])
def session(
    request: pytest.FixtureRequest, everything_stdio: list[str], person: Person, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Give a session with server-everything over each transport, and somebody to ask behind it."""
    # On stdio it does not end when its input does: it is told sooner than people's servers are.
    monkeypatch.setattr("mcpvault.transports.pipes.Child.close.__defaults__", (0.1,))
    if request.param == "http":
        connector: Any = HttpConnector(request.getfixturevalue("everything_http"), timeout=30)
    else:
        connector = StdioConnector(everything_stdio[0], everything_stdio[1:], timeout=30)
    with connector.session(person.callbacks()) as session:
        yield session


def test_what_we_can_answer_brings_more_tools(session: Any) -> None:
    """The server adds its tools for elicitation, sampling and roots to a client that declares them."""
    names = {tool.name for tool in session.list_tools()}

    assert {
        "trigger-elicitation-request",
        "trigger-url-elicitation",
        "trigger-sampling-request",
        "get-roots-list",
    } <= names
    assert 17 == len(names)


def test_a_form_is_filled_in(session: Any, person: Person) -> None:
    """Thirteen fields of every kind arrive; what is left out gets its default; the server reads back what was given."""
    result = session.call_tool("trigger-elicitation-request")

    (form,) = person.forms
    assert [*FILLED_IN] == [field.name for field in form.fields]
    raw = next(block.text for block in result.content if "Raw result" in (block.text or ""))
    answer = json.loads(raw.partition("Raw result:")[2])
    assert {"action": "accept", "content": FILLED_IN} == answer


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_form_is_not_filled_in(session: Any, person: Person, action: str) -> None:
    """Declining and cancelling reach the server as such."""
    person.action = action

    raw = session.call_tool("trigger-elicitation-request").content[-1].text

    assert {"action": action} == json.loads(raw.partition("Raw result:")[2])


def test_a_url_is_visited(session: Any, person: Person) -> None:
    """The whole URL reaches the person, and the consent reaches the server."""
    url = "https://login.example/authorize?state=1#top"

    first, raw = session.call_tool("trigger-url-elicitation", {"url": url}).content

    assert [url] == person.urls
    assert url in first.text
    assert {"action": "accept"} == json.loads(raw.text.partition("Raw result:")[2])


def test_a_url_that_is_wanted_first_is_visited(session: Any, person: Person) -> None:
    """Error -32042 names a page: the person visits it, and the call goes through afterwards."""
    url = f"https://login.example/first-{uuid.uuid4()}"
    arguments = {"url": url, "errorPath": True, "elicitationId": "one"}

    result = session.call_tool("trigger-url-elicitation", arguments)

    assert ["https://modelcontextprotocol.io", url] == person.urls
    assert url in result.text()


def test_a_model_is_asked(session: Any, person: Person) -> None:
    """The sampling request arrives whole, and the reply goes back whole."""
    text = session.call_tool("trigger-sampling-request", {"prompt": "2 + 2", "maxTokens": 10}).text()

    (asked,) = person.sampled
    content = {"type": "text", "text": "Resource trigger-sampling-request context: 2 + 2"}
    assert ([{"role": "user", "content": content}], 10, 0.7) == (
        asked["messages"], asked["maxTokens"], asked["temperature"],
    )  # fmt: skip
    assert REPLY == json.loads(text.partition("result:")[2])


def test_roots_are_listed(session: Any) -> None:
    """The server reads our roots back, those with a name by their names."""
    text = session.call_tool("get-roots-list").text()

    assert "(2 total)" in text
    assert [] == [part for part in ("URI: file:///srv/one", "Two", "URI: file:///srv/two") if part not in text]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("success", ("Operation completed successfully", ["user"], 0.7)),
        ("error", ("Error: Operation failed", ["user", "assistant"], 1)),
        ("debug", ("Debug: Cache hit ratio 0.95, latency 150ms", ["assistant"], 0.3)),
    ],
)
def test_annotations_are_kept(session: Any, kind: str, expected: tuple[str, list[str], float]) -> None:
    """A block's annotations arrive with it, and the image that was asked for."""
    block, image = session.call_tool("get-annotated-message", {"messageType": kind, "includeImage": True}).content
    told = block.raw["annotations"]

    assert expected == (block.text, told["audience"], told["priority"])
    assert ("image", "image/png", b"\x89PNG\r\n\x1a\n") == (image.type, image.mime_type, image.data()[:8])


def test_an_image_is_bytes(session: Any) -> None:
    """The tiny image is a whole PNG."""
    image = session.call_tool("get-tiny-image").content[1]

    assert (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82") == (image.data()[:8], image.data()[-8:])


def test_links_lead_somewhere(session: Any) -> None:
    """Each link to a resource can be read by its URI."""
    links = [
        block
        for block in session.call_tool("get-resource-links", {"count": 4}).content
        if block.type == "resource_link"
    ]

    assert ["blob/1", "text/2", "blob/3", "text/4"] == ["/".join(link.raw["uri"].split("/")[-2:]) for link in links]
    for number, link in enumerate(links, 1):
        (part,) = session.read_resource(link.raw["uri"])
        assert part.data().startswith(f"Resource {number}: This is a".encode())


@pytest.mark.parametrize("kind", ["Text", "Blob"])
def test_an_embedded_resource_is_whole(session: Any, kind: str) -> None:
    """A resource inside a result has its URI, and text or bytes."""
    block = session.call_tool("get-resource-reference", {"resourceType": kind, "resourceId": 3}).content[1]

    assert f"demo://resource/dynamic/{kind.lower()}/3" == block.raw["resource"]["uri"]
    assert block.data().startswith(b"Resource 3: This is a")


def test_a_zip_comes_back(session: Any, person: Person) -> None:
    """A compressed file comes embedded and as a link; both unpack to what was sent, and are announced."""
    arguments = {"name": "greeting.gz", "data": "data:text/plain,hello%20there"}
    embedded = session.call_tool("gzip-file-as-resource", {**arguments, "outputType": "resource"}).content[0]
    link = session.call_tool(
        "gzip-file-as-resource", {**arguments, "name": "b.gz", "outputType": "resourceLink"}
    ).content[0]

    assert b"hello there" == gzip.decompress(embedded.data())
    assert b"hello there" == gzip.decompress(session.read_resource(link.raw["uri"])[0].data())
    assert {"demo://resource/session/greeting.gz", link.raw["uri"]} <= {one.uri for one in session.list_resources()}
    for _ in range(20):  # over HTTP it comes by the side stream, which is read while a call waits
        if "notifications/resources/list_changed" in person.heard:
            break
        session.ping()
    assert "notifications/resources/list_changed" in person.heard


def test_blobs_are_bytes(session: Any) -> None:
    """A binary resource of a template arrives as its bytes."""
    (part,) = session.read_resource("demo://resource/dynamic/blob/2")

    assert part.text is None
    assert part.data().startswith(b"Resource 2: This is a base64 blob created at ")


def test_every_prompt_is_got(session: Any) -> None:
    """Prompts without, with optional, with completable arguments and with a resource say what they should."""
    (simple,) = session.get_prompt("simple-prompt").messages
    (both,) = session.get_prompt("args-prompt", {"city": "Bonn", "state": "NRW"}).messages
    (team,) = session.get_prompt("completable-prompt", {"department": "Sales", "name": "David"}).messages
    intro, resource = session.get_prompt("resource-prompt", {"resourceType": "Text", "resourceId": "3"}).messages

    assert ("user", "This is a simple prompt without arguments.") == (simple.role, simple.content.text)
    assert "What's weather in Bonn, NRW?" == both.content.text
    assert "Please promote David to the head of the Sales team." == team.content.text
    assert "Text resource with id: 3" in intro.content.text
    assert resource.content.text.startswith("Resource 3: This is a plaintext resource")


def test_arguments_are_completed(session: Any) -> None:
    """Completion works for prompts, with what is filled in already, and for templates."""
    template = "demo://resource/dynamic/text/{resourceId}"
    context = {"department": "Engineering"}

    assert ["Engineering"] == session.complete("department", "E", prompt="completable-prompt").values
    everybody = session.complete("name", "", prompt="completable-prompt", context=context)
    assert (["Alice", "Bob", "Charlie"], 3, False) == (everybody.values, everybody.total, everybody.has_more)
    assert ["7"] == session.complete("resourceId", "7", resource=template).values


def test_logging_is_heard(session: Any, person: Person) -> None:
    """Log messages reach the callback with level and logger, from the level that is wanted."""
    session.list_tools()
    with session.listen(DOCUMENT, timeout=20) as changes:  # the server logs each subscription
        assert changes.acknowledged["resourceSubscriptions"] == [DOCUMENT]
        for _ in range(20):  # over HTTP it comes by the side stream, which is read while a call waits
            session.ping()
            if any(DOCUMENT in str(message.data) for message in person.logged):
                break
    session.ping()

    subscribed = [message for message in person.logged if DOCUMENT in str(message.data)]
    assert "info" == subscribed[0].level
    assert "ubscribe Resource request" in str(subscribed[0].data)

    session.set_log_level("emergency")
    before = len(person.logged)
    with session.listen(DOCUMENT, timeout=20):
        pass
    assert [] == [message for message in person.logged[before:] if message.level == "info"]


def test_simulated_logging_starts_and_stops(session: Any, person: Person) -> None:
    """The tool that toggles logging says so both times; what it logs is one of the eight levels."""
    started = session.call_tool("toggle-simulated-logging").text()
    stopped = session.call_tool("toggle-simulated-logging").text()
    session.ping()

    assert ("Started", "Stopped") == (started.split()[0], stopped.split()[0])
    levels = {"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}
    assert {message.level for message in person.logged} <= levels


def test_a_subscribed_resource_is_told(session: Any) -> None:
    """Once subscribed, updates of the resource come out of the iterator with its URI."""
    with session.listen(DOCUMENT, timeout=20) as changes:
        assert session.call_tool("toggle-subscriber-updates").text().startswith("Started")
        change = next(changes)
        assert session.call_tool("toggle-subscriber-updates").text().startswith("Stopped")

    assert ("notifications/resources/updated", DOCUMENT, False) == (change.method, change.uri, change.missed)


def test_a_tool_that_wants_to_be_a_task_says_so(session: Any) -> None:
    """The tasks of 2025-11-25, which we do not speak, are refused by the server in words, not by a broken session."""
    result = session.call_tool("simulate-research-query", {"topic": "locks"})

    assert result.is_error
    assert "requires task augmentation" in result.text()
    session.ping()

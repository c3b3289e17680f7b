"""What a server asks for in the middle of a call, in both eras: the same callbacks, the same answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mcpvault import Callbacks, Session
from mcpvault.errors import InputDeclinedError, RemoteProtocolError, RpcError, UsageError
from mcpvault.mcp.elicitation import FormElicitation, UrlElicitation
from mcpvault.testing import FakeMcpServer
from mcpvault.testing.interactive import META_CAPABILITIES, URL

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
Talk = Callable[..., tuple[FakeMcpServer, Session]]
REPLY = {"role": "assistant", "content": {"type": "text", "text": "four"}, "model": "m", "stopReason": "endTurn"}


def asked(session: Session, tool: str, **arguments: Any) -> Any:
    """Call a tool that answers with JSON, and return that."""
    return json.loads(session.call_tool(tool, arguments).text())


def declared(server: FakeMcpServer) -> list[Any]:
    """Return the client capabilities of each request that declares some."""
    found = []
    for request in server.requests:
        params = (request.message or {}).get("params") or {}
        if request.rpc_method == "initialize":
            found.append(params["capabilities"])
        elif META_CAPABILITIES in params.get("_meta", {}):
            found.append(params["_meta"][META_CAPABILITIES])
    return found


@ERAS
def test_a_form_is_filled_in(era: str, talk: Talk) -> None:
    """The callback sees who asks and what for; what it leaves out gets the server's defaults."""
    seen: list[FormElicitation] = []

    def fill_in(form: FormElicitation) -> Any:
        seen.append(form)
        return form.accept({"name": "Ada"})

    _, session = talk(era, Callbacks(on_elicitation=fill_in))

    expected = {"action": "accept", "content": {"name": "Ada", "color": "green", "age": 7}}
    assert expected == asked(session, "ask")
    assert ("server", "who are you?") == (seen[0].server, seen[0].message)
    assert ["name", "color", "age"] == [field.name for field in seen[0].fields]


@ERAS
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda form: form.decline(), "decline"),
        (lambda form: form.cancel(), "cancel"),
        (lambda form: None, "decline"),
    ],
)
def test_no_is_an_answer(era: str, answer: Any, expected: str, talk: Talk) -> None:
    """Declining, cancelling and answering nothing reach the server, which decides what follows."""
    _, session = talk(era, Callbacks(on_elicitation=answer))

    assert {"action": expected} == asked(session, "ask")


@ERAS
def test_a_wrong_answer_does_not_leave(era: str, talk: Talk) -> None:
    """Content that breaks the form's schema is the callback's error; the message names the field."""
    server, session = talk(era, Callbacks(on_elicitation=lambda form: form.accept({"name": "A"})))

    with pytest.raises(UsageError, match="name: must be 2 characters or more"):
        session.call_tool("ask")
    assert [] == [r for r in server.requests if b'"accept"' in r.body]


@ERAS
def test_what_a_callback_raises_ends_the_call(era: str, talk: Talk) -> None:
    """The caller's own exception comes out of the call, and the session goes on."""

    class Enough(Exception):
        pass

    def refuse(form: FormElicitation) -> None:
        raise Enough(form.message)

    _, session = talk(era, Callbacks(on_elicitation=refuse))

    with pytest.raises(Enough):
        session.call_tool("ask")
    assert "still here" == session.call_tool("echo", {"message": "still here"}).text()


@ERAS
def test_a_url_is_visited_after_consent(era: str, talk: Talk) -> None:
    """The callback gets the whole URL and its host; nothing of ours has fetched it."""
    seen: list[UrlElicitation] = []

    def visit(asked: UrlElicitation) -> Any:
        seen.append(asked)
        return asked.accept()

    _, session = talk(era, Callbacks(on_url=visit))

    assert "accept" == session.call_tool("visit").text()
    assert [(URL, "example.com", ())] == [(each.url, each.host, each.warnings) for each in seen]


@pytest.mark.parametrize("url", ["https://%D0%B0pple.com/", r"https://evil.example\@good.example/"])
def test_a_url_that_leads_elsewhere_reaches_no_callback(url: str, talk: Talk) -> None:
    """A host that a browser may read otherwise is a typed error, or -32602 for a legacy server that asks."""
    seen: list[UrlElicitation] = []
    callbacks = Callbacks(on_url=seen.append)
    _, session = talk("modern", callbacks)
    with pytest.raises(RemoteProtocolError, match="the server wants a visit to"):
        session.call_tool("visit", {"url": url})

    _, legacy = talk("legacy", callbacks)
    error = json.loads(legacy.call_tool("visit", {"url": url}).text())["visit"]["error"]

    assert (-32602, True) == (error["code"], error["message"].startswith("the server wants a visit to"))
    assert [] == seen


def visit_first(server: FakeMcpServer, *urls: object, **times: int) -> None:
    """Let the server refuse calls until these pages were visited."""
    pages = [{"mode": "url", "message": "agree", "url": url, "elicitationId": "e"} for url in urls]
    server.misbehave("rpc-error", on="tools/call", code=-32042, message="visit", data={"elicitations": pages}, **times)


def test_pages_are_visited_before_a_legacy_call(talk: Talk) -> None:
    """``-32042`` names pages; once the person was at each, the call is sent again, under a new id."""
    seen: list[str] = []

    def visit(asked: UrlElicitation) -> Any:
        seen.append(asked.url)
        return asked.accept()

    server, session = talk("legacy", Callbacks(on_url=visit))
    visit_first(server, URL, f"{URL}&more", times=1)

    assert "x" == session.call_tool("echo", {"message": "x"}).text()
    assert [URL, f"{URL}&more"] == seen
    assert 2 == len({request.message["id"] for request in server.called("tools/call")})


def test_a_page_that_is_not_visited_ends_the_call(talk: Talk) -> None:
    """Without consent nothing is sent again; without a callback, or in 2026-07-28, it is the server's own error."""
    server, session = talk("legacy", Callbacks(on_url=lambda asked: asked.decline()))
    visit_first(server, URL)
    with pytest.raises(InputDeclinedError, match="a page must be visited first"):
        session.call_tool("echo", {"message": "x"})
    assert 1 == len(server.called("tools/call"))
    for era, callbacks in (("legacy", None), ("modern", Callbacks(on_url=lambda asked: asked.accept()))):
        server, session = talk(era, callbacks)
        visit_first(server, URL)
        with pytest.raises(RpcError) as caught:
            session.call_tool("echo", {"message": "x"})
        assert -32042 == caught.value.code


@pytest.mark.parametrize("urls", [(), (7,), ("javascript:alert(1)",), (URL,) * 11])
def test_pages_in_a_wrong_way_are_not_visited(urls: tuple[object, ...], talk: Talk) -> None:
    """None, too many, or what is no URL: the server breaks the protocol, and nobody is asked."""
    server, session = talk("legacy", Callbacks(on_url=lambda asked: pytest.fail("asked")))
    visit_first(server, *urls)

    with pytest.raises(RemoteProtocolError):
        session.call_tool("echo", {"message": "x"})


def test_there_is_an_end_to_visits(talk: Talk) -> None:
    """A server that is never content gets its error told."""
    server, session = talk("legacy", Callbacks(on_url=lambda asked: asked.accept()))
    visit_first(server, URL)

    with pytest.raises(RpcError):
        session.call_tool("echo", {"message": "x"})
    assert 5 == len(server.called("tools/call"))


@ERAS
def test_a_model_answers(era: str, talk: Talk) -> None:
    """The sampling callback gets the parameters and its message reaches the server."""
    prompts: list[Any] = []
    _, session = talk(era, Callbacks(on_sampling=lambda params: prompts.append(params["messages"]) or REPLY))

    assert REPLY == asked(session, "sample", prompt="2+2")
    assert [[{"role": "user", "content": {"type": "text", "text": "2+2"}}]] == prompts


def test_declined_sampling_in_each_era(talk: Talk) -> None:
    """A legacy server is told; a modern one has no word for it, so that the call ends."""
    callbacks = Callbacks(on_sampling=lambda params: None)
    _, legacy = talk("legacy", callbacks)
    _, modern = talk("modern", callbacks)

    assert {"model": {"error": {"code": -1, "message": "declined"}}} == asked(legacy, "sample")
    with pytest.raises(InputDeclinedError):
        modern.call_tool("sample")


@ERAS
@pytest.mark.parametrize("dynamic", [False, True])
def test_roots_are_listed(era: str, dynamic: bool, talk: Talk) -> None:
    """Roots are texts or objects, given once or asked for each time."""
    roots = ["file:///srv", {"uri": "file:///home", "name": "home"}]
    _, session = talk(era, Callbacks(roots=(lambda: roots) if dynamic else roots))

    assert {"roots": [{"uri": "file:///srv"}, {"uri": "file:///home", "name": "home"}]} == asked(session, "roots")


@ERAS
def test_nothing_is_declared_without_a_callback(era: str, talk: Talk) -> None:
    """A client that offers nothing says so, and a server that asks all the same is refused."""
    server, session = talk(era)

    if era == "modern":
        with pytest.raises(RpcError) as caught:
            session.call_tool("ask")
        assert -32021 == caught.value.code
    else:
        assert {"form": {"error": {"code": -32601, "message": "method not found"}}} == asked(session, "ask")
    assert {} == dict(*{tuple(each) for each in declared(server)})


@ERAS
@pytest.mark.parametrize(
    ("callbacks", "expected"),
    [
        (Callbacks(on_elicitation=lambda form: None), {"elicitation": {"form": {}}}),
        (Callbacks(on_url=lambda visit: None), {"elicitation": {"url": {}}}),
        (Callbacks(on_sampling=lambda params: None), {"sampling": {}}),
        (Callbacks(roots=[]), {"roots": {}}),
        (
            Callbacks(on_elicitation=lambda form: None, on_url=lambda visit: None, roots=[], on_log=print),
            {"elicitation": {"form": {}, "url": {}}, "roots": {}},
        ),
    ],
)
def test_each_callback_is_declared(era: str, callbacks: Callbacks, expected: Any, talk: Talk) -> None:
    """What is given is declared, once in the handshake or with each modern request, and nothing else is."""
    server, session = talk(era, callbacks)
    session.list_tools()

    known = [each for each in declared(server) if each]
    assert known
    assert all(expected == each for each in known)


@ERAS
def test_extensions_are_declared_and_read(era: str, talk: Talk) -> None:
    """The caller's go out beside what callbacks declare, and let nobody ask for anything; the server's can be read."""
    extensions = {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html"]}, "com.example/x-1.y_z": {}}
    server, session = talk(era, Callbacks(extensions=extensions))
    session.call_tool("echo", {"message": "x"})

    assert [{"extensions": extensions}] == [each for each in declared(server) if each][-1:]
    assert [] == [request for request in server.requests if request.method == "GET"]
    assert {"io.modelcontextprotocol/tasks": {}} == session.extensions()
    server, session = talk("modern", Callbacks(extensions=extensions, on_task=lambda task: None, roots=[]))
    session.list_tools()
    all_of_them = {"roots": {}, "extensions": {**extensions, "io.modelcontextprotocol/tasks": {}}}
    assert all_of_them == declared(server)[-1]


@ERAS
def test_a_request_of_an_extension(era: str, talk: Talk) -> None:
    """It goes out as it is, under an id of its own, and its result comes back; a server that knows none says so."""
    server, session = talk(era, Callbacks(extensions={"com.example/weather": {}}))
    server.misbehave("result-of-wrong-shape", on="com.example/forecast", result={"sun": 3}, times=1)

    assert {"sun": 3} == session.request("com.example/forecast", {"city": "Bern", "_meta": {"own": 1}})
    [asked] = server.called("com.example/forecast")
    assert ("Bern", 1) == (asked.message["params"]["city"], asked.message["params"]["_meta"]["own"])
    with pytest.raises(RpcError) as caught:
        session.request("com.example/forecast")
    assert -32601 == caught.value.code


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("initialize", {}),
        ("server/discover", None),
        ("subscriptions/listen", None),
        ("notifications/cancelled", {"requestId": 1}),
        ("com.example/forecast", {"_meta": {"io.modelcontextprotocol/protocolVersion": "1"}}),
    ],
)
def test_a_request_cannot_be_the_protocols_own(method: str, params: Any, talk: Talk) -> None:
    """Nothing is sent that would change the conversation itself."""
    server, session = talk("modern")
    before = len(server.requests)
    with pytest.raises(UsageError, match="the (session|protocol)'s own"):
        session.request(method, params)

    assert before == len(server.requests)


@pytest.mark.parametrize("extensions", [None, [], {}, {"a.b/c": None}, {"a.b/c": None, "a.b/d": {"n": 1}}], ids=str)
def test_an_extension_that_is_declared_wrongly_is_none(extensions: Any, talk: Talk) -> None:
    """What a server declares without settings counts as absent, and costs nothing else."""
    server, session = talk()
    server.offer.capabilities = {"tools": {}, "extensions": extensions}

    assert ({"a.b/d": {"n": 1}} if extensions and "a.b/d" in extensions else {}) == session.extensions()


@pytest.mark.parametrize(
    "extensions",
    [{name: {}} for name in ("plain", "/x", "a.b/", "1a/x", "a-/x", "a..b/x", "a/x/y", "a/-x", "a/x y", 7)]
    + [{"a.b/c": None}, {"a.b/c": []}, {"io.modelcontextprotocol/tasks": {}}],
    ids=str,
)
def test_an_extension_has_a_name_with_a_prefix_and_settings(extensions: Any, talk: Talk) -> None:
    """Whatever else is told before anything is sent; tasks are declared by their callback."""
    with pytest.raises(UsageError, match="extensions: "):
        talk("modern", Callbacks(extensions=extensions))


def test_an_undeclared_mode_is_refused_with_its_own_code(talk: Talk) -> None:
    """A legacy server that asks for a visit where only forms were declared gets -32602."""
    _, session = talk("legacy", Callbacks(on_elicitation=lambda form: form.accept()))

    answer = session.call_tool("visit")
    assert answer.is_error
    assert -32602 == json.loads(answer.text())["visit"]["error"]["code"]


def test_a_callback_may_use_the_session(talk: Talk) -> None:
    """A question can be answered with what the same server says."""
    held: list[Session] = []

    def look_up(form: FormElicitation) -> Any:
        return form.accept({"name": held[0].call_tool("echo", {"message": "Grace"}).text()})

    _, session = talk("legacy", Callbacks(on_elicitation=look_up))
    held.append(session)

    assert "Grace" == asked(session, "ask")["content"]["name"]


def test_questions_on_the_side_stream_are_answered(talk: Talk) -> None:
    """A server that asks on the stream that GET opens, and not on the call's own, gets its answer too."""
    server, session = talk("legacy", Callbacks(on_elicitation=lambda form: form.accept({"name": "Ada"})))
    assert server.streams is not None
    server.streams.aside = True

    assert ["Ada", "Ada"] == [asked(session, "ask")["content"]["name"] for _ in range(2)]
    assert 1 == len([request for request in server.requests if request.method == "GET"])


def test_what_a_callback_raises_on_the_side_stream_ends_the_call(talk: Talk) -> None:
    """An error of the kind that sockets raise is still the callback's own."""

    def refuse(form: FormElicitation) -> None:
        raise OSError("mine")

    server, session = talk("legacy", Callbacks(on_elicitation=refuse))
    assert server.streams is not None
    server.streams.aside = True

    with pytest.raises(OSError, match="mine"):
        session.call_tool("ask")
    assert "still here" == session.call_tool("echo", {"message": "still here"}).text()


@pytest.mark.parametrize("params", [{}, {"message": "m"}, {"message": "m", "requestedSchema": {"properties": []}}])
def test_a_malformed_question_is_refused(params: dict[str, Any]) -> None:
    """A question that is none does not reach the callback."""
    with pytest.raises(RemoteProtocolError):
        FormElicitation(params, "s")

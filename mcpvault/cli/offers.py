"""
What a server offers, found by name, and one call of a tool.

Decides what happens between a session and a verb: ``tools``, ``resources``, ``prompts``,
``call`` and the seed's ``client`` share it, and differ in which server they ask.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click

from mcpvault.cli import arguments as typed
from mcpvault.cli import output, render
from mcpvault.errors import McpVaultError, RpcError, ServerError, ToolError, UnknownToolError, UsageError

if TYPE_CHECKING:
    from mcpvault.cli.meanwhile import Meanwhile
    from mcpvault.cli.saving import Folder
    from mcpvault.mcp.session import Session

Json = dict[str, Any]
METHOD_NOT_FOUND, INVALID_PARAMS = -32601, -32602

pairs_option = click.option(
    "-a",
    "--argument",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="An argument, typed by the tool's schema; KEY:=JSON is taken as JSON. May be repeated.",
)


def show_tools(session: Session, tool: str | None, *, as_json: bool) -> None:
    """Print what the tools are called and do, or one of them with its arguments."""
    tools = [item.raw for item in session.list_tools()]
    if tool is None:
        output.table(
            [(render.one_line(item["name"]), render.label(item)) for item in tools], as_json=as_json, json=tools
        )
    else:
        found = find(tools, tool, server=session.name, what="tool")
        output.say(render.tool(found), as_json=as_json, json=found)


def show_resources(session: Session, uri: str | None, *, folder: str | None = None, as_json: bool) -> None:
    """Print the resources and templates, or the contents of one resource; with *folder* save the contents there."""
    if uri is not None:
        _read(session, uri, folder, as_json=as_json)
        return
    resources = [item.raw for item in session.list_resources()]
    templates = [item.raw for item in _templates(session)]
    rows = [*_named(resources, "uri"), *_named(templates, "uriTemplate")]
    output.table(
        rows, headings=("uri", "holds"), as_json=as_json, json={"resources": resources, "resourceTemplates": templates}
    )


def _read(session: Session, uri: str, folder: str | None, *, as_json: bool) -> None:
    parts = session.read_resource(uri)
    told = [part.raw for part in parts]
    if folder is not None:
        from mcpvault.cli.saving import Folder

        told = Folder(folder).keep_contents(parts)
    if as_json:
        output.json({"contents": told})
    elif folder is None:
        for part in parts:
            output.content(part.data() if part.text is None else part.text, part.mime_type)


def show_prompts(
    session: Session, prompt: str | None, text: str | None, pairs: Sequence[str], *, as_json: bool
) -> None:
    """
    Print the prompts, or one of them filled with its arguments.

    Raises:
        UsageError: A required argument is missing.
    """
    from mcpvault.mcp.prompts import Prompt

    if prompt is None:
        prompts = [item.raw for item in session.list_prompts()]
        output.table(
            [(render.one_line(item["name"]), render.label(item)) for item in prompts], as_json=as_json, json=prompts
        )
        return
    given = {
        key: as_text(value) for key, value in typed.add_pairs(typed.from_text(text, read_stdin), pairs, None).items()
    }
    found = find([item.raw for item in session.list_prompts()], prompt, server=session.name, what="prompt")
    declared = Prompt(found).arguments
    missing = [
        name
        for each in declared
        if isinstance(name := each.get("name"), str) and each.get("required") and name not in given
    ]
    if missing:
        raise UsageError(
            f"prompt {prompt!r}: missing {', '.join(map(repr, missing))}",
            hint="give each as -a name=text",
        )
    result = session.get_prompt(prompt, {key: as_text(value) for key, value in given.items()}).raw
    output.say(render.messages(result), as_json=as_json, json=result)


def call_tool(
    opening: AbstractContextManager[Session],
    meanwhile: Meanwhile,
    tool: str,
    text: str | None,
    pairs: Sequence[str],
    *,
    folder: str | None = None,
    detach: bool = False,
    as_json: bool,
) -> None:
    """
    Call *tool* and print what it returned; with *folder* save there what is no text.

    With *detach* a task that the server makes of the call is left to it, and its handle printed.

    The arguments are read before anything is opened. The list of tools is asked for only where
    a ``key=value`` needs its types, or where the server did not like the call.

    Raises:
        UsageError: The arguments cannot be read.
        ToolError: The tool reported a failure; its text has been printed on stderr.
        UnknownToolError: There is no such tool.
        RpcError: The server refused the call for another reason.
    """
    arguments = typed.from_text(text, read_stdin)
    place = None
    if folder is not None:
        from mcpvault.cli.saving import Folder

        place = Folder(folder)
    if not typed.need_schema(pairs):
        arguments = typed.add_pairs(arguments, pairs, None)
    with opening as session:
        server = session.name
        listed = False
        if typed.need_schema(pairs):
            tools = [item.raw for item in session.list_tools()]
            schema = find(tools, tool, server=server, what="tool").get("inputSchema")
            arguments, listed = typed.add_pairs(arguments, pairs, schema), True
        result = _called(session, meanwhile, tool, arguments, listed=listed, detach=detach)
    if "task" in result and detach:
        handle = result["task"]
        output.say(handle, as_json=as_json, json=result)
        output.note(f"the server goes on with it; its result: mcpvault tasks {server} {handle}")
        return
    show_result(result, meanwhile, tool, server, place=place, as_json=as_json)


def _called(session: Session, meanwhile: Meanwhile, tool: str, arguments: Json, *, listed: bool, detach: bool) -> Json:
    refused: ServerError | None = None
    result: Json = {}
    try:
        if detach:
            result = _submitted(session, tool, arguments)
        else:
            result = session.call_tool(tool, arguments, on_progress=meanwhile.on_progress).raw
    except UnknownToolError as error:
        refused = error
    except RpcError as error:
        if error.code not in (INVALID_PARAMS, METHOD_NOT_FOUND):
            raise
        refused = error
    # Some servers answer an unknown tool with a result that isError, so the list decides.
    if not listed and (refused is not None or result.get("isError")):
        names = _names(session)
        if names is not None and tool not in names:
            raise unknown(tool, names, server=session.name, what="tool")
    if refused is not None:
        raise refused
    return result


def _submitted(session: Session, tool: str, arguments: Json) -> Json:
    from mcpvault.mcp.tasks import Task

    begun = session.submit_tool(tool, arguments)
    return {"task": begun.handle, "status": begun.status} if isinstance(begun, Task) else begun.raw


def show_result(
    result: Json, meanwhile: Meanwhile, tool: str, server: str, *, place: Folder | None = None, as_json: bool
) -> None:
    """
    Print what a tool returned; save in *place* what is no text.

    Raises:
        ToolError: The tool reported a failure; its text has been printed on stderr.
    """
    meanwhile.close()
    saved = place is not None
    if place is not None:
        result = {**result, "content": place.keep(result.get("content") or (), tool)}
    failed = result.get("isError") is True
    structured = result.get("structuredContent")
    texts, notes = render.blocks(result.get("content") or ())
    if as_json:
        output.json(result if failed or saved or structured is None else structured)
    elif failed:
        output.note(render.printable(render.joined(texts)))
    else:
        _show_content(texts, structured, silent=saved and not texts)
    if not as_json:
        for note in notes:
            output.warn(note)
    if failed:
        raise ToolError(f"{server}: tool {tool!r} reported a failure", server=server)


def _show_content(texts: Sequence[render.Text], structured: Any, *, silent: bool) -> None:
    """Print the texts, and structured content where no text says the same; in a pipe it never follows a text."""
    if structured is not None and (not texts or _same(render.joined(texts), structured)):
        output.json(structured)
        return
    if not sys.stdout.isatty():
        if not silent:
            output.content(render.joined(texts))
        return
    for text, kind in texts:
        output.content(text, kind)
    if structured is not None:
        output.json(structured)


def _same(text: str, value: Any) -> bool:
    import json

    try:
        return bool(json.loads(text) == value)
    except (ValueError, RecursionError):
        return False


def find(items: Sequence[Json], wanted: str, *, server: str, what: str) -> Json:
    """
    Return the item called *wanted*.

    Raises:
        UnknownToolError: There is none; the hint names what looks like it.
    """
    for item in items:
        if item["name"] == wanted:
            return item
    raise unknown(wanted, [item["name"] for item in items], server=server, what=what)


def unknown(wanted: str, names: Sequence[str], *, server: str, what: str) -> McpVaultError:
    """Return the error for the name of a tool or prompt that the server does not know."""
    from difflib import get_close_matches

    close = get_close_matches(wanted, names, n=1)
    hint = f"did you mean {render.one_line(close[0])!r}?" if close else f"run: mcpvault {what}s {server}"
    return UnknownToolError(f"{server}: no {what} {wanted!r}", hint=hint, server=server)


def read_stdin() -> str:
    """
    Return all of stdin.

    Raises:
        UsageError: It is not UTF-8 text.
    """
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise UsageError("stdin: not UTF-8 text")


def _named(items: Sequence[Json], key: str) -> list[tuple[str, str]]:
    return [(render.one_line(item[key]), render.label(item)) for item in items]


def _templates(session: Session) -> Sequence[Any]:
    try:
        return session.list_resource_templates()
    except RpcError as error:
        if error.code != METHOD_NOT_FOUND:  # older servers have resources and no templates
            raise
    return ()


def _names(session: Session) -> list[str] | None:
    try:
        return [tool.name for tool in session.list_tools()]
    except ServerError:  # it refused the call and now refuses this: the first refusal is the one to tell
        return None


def as_text(value: Any) -> str:
    """Return *value* as the text that arguments of prompts are."""
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

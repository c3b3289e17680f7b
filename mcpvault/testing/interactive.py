"""
Tools that need something of the client: forms, visits, models, roots, mirrored headers, tasks.

Decides what each asks for and what it makes of the answers. A tool is a generator: it yields the
inputs it needs and returns its result. ``rounds`` runs one as a modern server does (nothing kept
between two requests); ``streams`` and the stdio server run one as a legacy server does.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from mcpvault.testing.offer import META_VERSION, Json, Offer, Progress, Refusal, text

META_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
TASKS = "io.modelcontextprotocol/tasks"
FORM: Json = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2, "title": "Your name"},
        "color": {"type": "string", "enum": ["red", "green"], "default": "green"},
        "age": {"type": "integer", "minimum": 0, "default": 7},
    },
    "required": ["name"],
}
URL = "https://example.com/visit?ticket=1"
Steps = Generator[Json, Json, Json]
_NEEDS = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}


def _form(message: str = "who are you?", schema: Json = FORM) -> Json:
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}}


def _ask(arguments: Json) -> Steps:
    answers = yield {"form": _form(schema=arguments.get("schema", FORM))}
    return text(json.dumps(answers["form"], sort_keys=True))


def _ask_twice(_: Json) -> Steps:
    first = yield {"one": _form("first")}
    second = yield {"one": _form("second"), "two": {"method": "roots/list"}}
    return text(json.dumps([first, second], sort_keys=True))


def _job(_: Json) -> Steps:
    # "Each request key in inputRequests MUST be unique over the lifetime of a single task."
    first = yield {"first": _form("first")}
    second = yield {"second": _form("second"), "roots": {"method": "roots/list"}}
    return text(json.dumps([first, second], sort_keys=True))


def _ask_for_ever(_: Json) -> Steps:
    while True:
        yield {"again": _form("again")}


def _think(_: Json) -> Steps:
    for _unused in range(3):
        yield {}
    return text("thought it over")


def _visit(arguments: Json) -> Steps:
    url = arguments.get("url", URL)
    params = {"mode": "url", "message": "log in over there", "url": url, "elicitationId": "visit-1"}
    answers = yield {"visit": {"method": "elicitation/create", "params": params}}
    return text(str(answers["visit"]["action"]))


def _sample(arguments: Json) -> Steps:
    message = {"role": "user", "content": {"type": "text", "text": str(arguments.get("prompt", "hello"))}}
    params = {"messages": [message], "maxTokens": 10}
    answers = yield {"model": {"method": "sampling/createMessage", "params": params}}
    return text(json.dumps(answers["model"], sort_keys=True))


def _roots(_: Json) -> Steps:
    answers = yield {"roots": {"method": "roots/list"}}
    return text(json.dumps(answers["roots"], sort_keys=True))


STEPS: dict[str, Callable[[Json], Steps]] = {
    "ask": _ask,
    "ask-twice": _ask_twice,
    "ask-for-ever": _ask_for_ever,
    "think": _think,
    "visit": _visit,
    "sample": _sample,
    "roots": _roots,
    "job": _job,
}
_NONE: Json = {"type": "object", "properties": {}}
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_SOUND = base64.b64encode(b"RIFF\x24\0\0\0WAVE").decode()
GALLERY: list[Json] = [
    {"type": "text", "text": "# Gallery\n\nA **pixel**, and a sound."},
    {"type": "image", "mimeType": "image/png", "data": _PIXEL},
    {"type": "audio", "mimeType": "audio/wav", "data": _SOUND},
    {"type": "resource", "resource": {"uri": "fake://shelf/plan.bin", "blob": "AP+Afw=="}},
    {"type": "resource", "resource": {"uri": "fake://shelf/note", "mimeType": "text/plain", "text": "a note"}},
    {"type": "resource_link", "uri": "fake://shelf/more", "name": "more"},
]
MIRRORED: Json = {
    "name": "mirrored",
    "description": "wants two of its arguments in headers",
    "inputSchema": {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "where": {"type": "object", "properties": {"rack": {"type": "integer", "x-mcp-header": "Rack"}}},
            "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        },
    },
}


class Interactive(Offer):
    """
    An offer with the tools of this module, and with resources that can be touched.

    Attributes:
        gallery: The content that the tool ``gallery`` answers with.
        tasks: The tasks of the tool ``job``, by id.
        hold: How often ``tasks/get`` says "working" before a task goes on.
        touched: Called with method and parameters of a notification when a tool changes something.
    """

    def __init__(self, *, wait: Callable[[float], object], page_size: int | None = None) -> None:
        super().__init__(page_size=page_size, wait=wait)
        self.tools += [{"name": name, "description": f"the tool {name}", "inputSchema": _NONE} for name in STEPS]
        self.tools += [MIRRORED, {"name": "touch", "description": "changes something", "inputSchema": _NONE}]
        more = {"log": "logs at every level", "gallery": "answers with every kind of content"}
        self.tools += [{"name": name, "description": what, "inputSchema": _NONE} for name, what in more.items()]
        self.gallery = GALLERY
        self.capabilities = {
            "tools": {"listChanged": True},
            "resources": {"subscribe": True, "listChanged": True},
            "prompts": {"listChanged": True},
            "completions": {},
            "logging": {},
            "extensions": {TASKS: {}},
        }
        self.tasks: dict[str, Job] = {}
        self.hold = 1
        self.touched: Callable[[str, Json], None] = lambda method, params: None

    def answer(self, method: str, params: Mapping[str, Any], progress: Progress | None = None) -> Json:
        """Return the result of *method*; a tool that asks is run as a modern server does."""
        capabilities = (params.get("_meta") or {}).get(META_CAPABILITIES) or {}
        if method in ("tasks/get", "tasks/update", "tasks/cancel"):
            _need({"extensions": {TASKS: {}}}, capabilities)
            return self._task(method, params)
        name = params.get("name") if method == "tools/call" else None
        if name == "touch":
            arguments = params.get("arguments") or {}
            self.touched(str(arguments["method"]), {key: each for key, each in arguments.items() if key != "method"})
            return text("touched")
        if name == "gallery":
            return {"content": self.gallery}
        if name in ("mirrored", "log"):
            return text(json.dumps(params.get("arguments") or {}, sort_keys=True))
        if name == "job" and META_VERSION in (params.get("_meta") or {}):
            _need({"extensions": {TASKS: {}}}, capabilities)
            task_id = secrets.token_urlsafe(16)
            self.tasks[task_id] = Job(task_id, STEPS["job"](params.get("arguments") or {}), self.hold)
            return {"resultType": "task", **self.tasks[task_id].state}
        if name in STEPS:
            return rounds(str(name), params, capabilities)
        return super().answer(method, params, progress)

    def check_mirrored(self, params: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Raise the Refusal for arguments that should be mirrored into headers, and are not."""
        tool = next((each for each in self.tools if each["name"] == params.get("name")), {})
        arguments = params.get("arguments") or {}
        expected = dict(_mirrored(tool.get("inputSchema") or {}, arguments))
        sent = {name: _decoded(value) for name, value in headers.items() if name.startswith("mcp-param-")}
        if expected != sent:
            raise Refusal(-32020, "Mcp-Param headers do not match the body", status=400)

    def _task(self, method: str, params: Mapping[str, Any]) -> Json:
        job = self.tasks.get(str(params.get("taskId")))
        if job is None:
            raise Refusal(-32602, "Failed to retrieve task: Task not found", status=400)
        if method == "tasks/get":
            return job.poll()
        if method == "tasks/update":
            job.answered(params.get("inputResponses") or {})
        else:
            job.state = {**job.state, "status": "cancelled"}
        return {}


class Job:
    """One task: its steps, and what ``tasks/get`` says of it."""

    def __init__(self, task_id: str, steps: Steps, hold: int) -> None:
        self._steps = steps
        self._hold = self._left = hold
        self._answers: Json = {}
        self._wanted: Json | None = None
        now = "2026-07-28T00:00:00Z"
        self.state: Json = {
            "taskId": task_id,
            "status": "working",
            "createdAt": now,
            "lastUpdatedAt": now,
            "ttlMs": None,
            "pollIntervalMs": 20,
        }

    def poll(self) -> Json:
        """Return the state, after a step if one is due."""
        if self.state["status"] not in ("working", "input_required"):
            return self.state
        if self._wanted is not None and not self._wanted.keys() <= self._answers.keys():
            return {**self.state, "status": "input_required", "inputRequests": self._wanted}
        if self._left:
            self._left -= 1
            return self.state
        self._left = self._hold
        try:
            self._wanted = self._steps.send(self._answers) if self._wanted is not None else next(self._steps)
        except StopIteration as end:
            self.state = {**self.state, "status": "completed", "result": end.value}
            return self.state
        self._answers = {}
        return self.poll()

    def answered(self, responses: Json) -> None:
        """Take inputs; those that nobody asked for are ignored."""
        self._answers.update({key: each for key, each in responses.items() if key in (self._wanted or {})})


def _mirrored(schema: Json, arguments: Any) -> Iterator[tuple[str, str]]:
    for name, below in (schema.get("properties") or {}).items():
        value = arguments.get(name) if isinstance(arguments, dict) else None
        if "x-mcp-header" in below and value is not None:
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            yield f"mcp-param-{below['x-mcp-header'].lower()}", shown
        yield from _mirrored(below, value)


def _decoded(value: str) -> str:
    inner = value.removeprefix("=?base64?").removesuffix("?=")
    return value if inner == value else base64.b64decode(inner).decode()


def rounds(name: str, params: Mapping[str, Any], capabilities: Mapping[str, Any]) -> Json:
    """Run a tool as far as the inputs of this round and the state of earlier ones reach."""
    state = params.get("requestState")
    given: list[Json] = json.loads(base64.b64decode(state)) if state is not None else []
    if "inputResponses" in params:
        given.append(params["inputResponses"])
    elif state is not None:
        given.append({})
    steps = STEPS[name](params.get("arguments") or {})
    try:
        wanted = next(steps)
        for answers in given:
            wanted = steps.send(answers)
    except StopIteration as end:
        return dict(end.value)
    except KeyError as missing:
        raise Refusal(-32602, f"missing input: {missing}", status=400) from None
    for request in wanted.values():
        _need(_needed(request), capabilities)
    found: Json = {"resultType": "input_required"}
    if wanted:
        found["inputRequests"] = wanted
    if given or not wanted or name != "ask":  # the tool "ask" needs no state in its only round
        found["requestState"] = base64.b64encode(json.dumps(given).encode()).decode()
    return found


def _needed(request: Json) -> Json:
    mode = request.get("params", {}).get("mode")
    return {_NEEDS[request["method"]]: {mode: {}} if mode else {}}


def _need(wanted: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
    for name, inner in wanted.items():
        if name not in declared:
            raise Refusal(-32021, "missing client capability", status=400, data={"requiredCapabilities": dict(wanted)})
        _need(inner, declared[name])

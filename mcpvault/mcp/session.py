"""
``Session``: what a script holds. Blocking calls on top of a ``Transport``.

Decides what each call asks and what its result must look like. Leaves how a request is carried
through to ``conversation``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from mcpvault.deadline import Deadline
from mcpvault.errors import RemoteProtocolError, UnknownToolError, UsageError
from mcpvault.mcp import types
from mcpvault.mcp.conversation import Conversation
from mcpvault.mcp.era import own_meta
from mcpvault.mcp.standing import AuthState as AuthState

if TYPE_CHECKING:
    from mcpvault.mcp import prompts, resources
    from mcpvault.mcp.listening import Listening
    from mcpvault.mcp.tasks import Task
    from mcpvault.mcp.wire import Json


class Session(Conversation):
    """A conversation with one server, and what can be asked in it."""

    _schemas: Mapping[str, types.Tool] = {}
    _edition: object = None  # of the tools that the schemas are from

    def discover(self, *, timeout: float | None = None) -> Json:
        """
        Return what a modern server says of itself, or the same facts from a legacy server's handshake.

        Raises:
            McpVaultError: See ``call_tool``.
        """
        deadline = self._deadline(timeout)
        self._open(deadline)
        if self._transport.era == "modern":
            return self._request("server/discover", None, deadline, keep=True)
        facts: Json = {"serverInfo": self.server_info, "capabilities": self.capabilities}
        return {**facts, "supportedVersions": [self.protocol_version], "instructions": self.instructions}

    def extensions(self, *, timeout: float | None = None) -> dict[str, Json]:
        """Return the extensions that the server declares, each with its settings; a modern server is asked."""
        capabilities = self.discover(timeout=timeout).get("capabilities")
        declared = capabilities.get("extensions") if isinstance(capabilities, dict) else None
        found = declared.items() if isinstance(declared, dict) else ()
        return {name: settings for name, settings in found if isinstance(settings, dict)}

    def ping(self, *, timeout: float | None = None) -> None:
        """Ask a legacy server whether it is there; a modern one, which has no ping, is asked to discover."""
        deadline = self._deadline(timeout)
        self._open(deadline)
        self._request("ping" if self._transport.era == "legacy" else "server/discover", None, deadline)

    def set_log_level(self, level: str, *, timeout: float | None = None) -> None:
        """Want messages of *level* and above from now on, for ``Callbacks.on_log``."""
        deadline = self._deadline(timeout)
        self._open(deadline)
        self._client.log_level = level
        self._tell_level(level, deadline)

    def list_tools(self, *, timeout: float | None = None) -> list[types.Tool]:
        """Return all tools, from all pages; those that the protocol forbids to call are left out."""
        edition = self._client.edition
        tools = [types.Tool(raw) for raw in self._list("tools/list", "tools", "name", timeout)]
        self._schemas, self._edition = {tool.name: tool for tool in tools}, edition
        return tools

    def list_resources(self, *, timeout: float | None = None) -> list[resources.Resource]:
        """Return all resources, from all pages."""
        from mcpvault.mcp.resources import Resource

        return [Resource(raw) for raw in self._list("resources/list", "resources", "uri", timeout)]

    def list_resource_templates(self, *, timeout: float | None = None) -> list[resources.ResourceTemplate]:
        """Return all resource templates, from all pages."""
        from mcpvault.mcp.resources import ResourceTemplate

        raws = self._list("resources/templates/list", "resourceTemplates", "uriTemplate", timeout)
        return [ResourceTemplate(raw) for raw in raws]

    def list_prompts(self, *, timeout: float | None = None) -> list[prompts.Prompt]:
        """Return all prompts, from all pages."""
        from mcpvault.mcp.prompts import Prompt

        return [Prompt(raw) for raw in self._list("prompts/list", "prompts", "name", timeout)]

    def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        validate: bool = False,
        on_progress: Callable[[Json], None] | None = None,
        retry: Literal["never", "safe"] = "never",
        meta: Mapping[str, Any] | None = None,
    ) -> types.CallToolResult:
        """
        Call a tool once; it is never repeated by itself.

        Args:
            name: The tool.
            arguments: Its arguments, as JSON can say them.
            timeout: Seconds for this call instead of the session's.
            validate: Check arguments and structured content against the tool's schemas; a schema that takes too long
                is a ``RemoteProtocolError``.
            on_progress: Called with the parameters of each progress notification.
            retry: ``safe`` says that calling it twice is the same as once: an answer that is lost is asked for again.
            meta: More for the request's ``_meta``.

        Returns:
            The result; ``is_error`` says whether the tool itself reported failure.

        Raises:
            LoginNeededError: The credential was refused; the hint says what to do.
            TransportError: Not reached, or out of time; nothing or not everything happened.
            RequestLostError: The connection broke after sending: it may have been executed.
            RpcError, UnknownToolError, ForbiddenError: The server says no.
            RemoteProtocolError: The server broke the protocol.
            InputDeclinedError: The server wanted something of us first, and a callback declined.
        """
        deadline = self._deadline(timeout)
        self._open(deadline)
        tool = self._tool(name, deadline) if validate else None
        params: Json = {"name": name, "arguments": dict(arguments or {})}
        if tool is not None:
            tool = self._fitting(tool, params["arguments"], deadline)
        try:
            result = self._request(
                "tools/call", params, deadline, on_progress=on_progress, meta=own_meta(meta), safe=retry == "safe"
            )
        except UnknownToolError:
            if self._cache is not None:
                self._cache.forget("tools/list")
            raise
        if result.get("resultType") == "task":
            answer = self._task_of(result, name).finish(deadline)
        else:
            answer = types.call_tool_result(result, server=self.name)
        if tool is not None and tool.output_schema is not None and not answer.is_error:
            from mcpvault.mcp.schema_check import check_output

            check_output(answer.structured_content, tool.output_schema, deadline, tool=name, server=self.name)
        return answer

    def submit_tool(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> types.CallToolResult | Task:
        """
        Call a tool and do not wait where the server makes a task of it: return the task, or else the result.

        A session of a vault remembers the task until its end was seen: another run finds it among ``tasks()``.
        Without a vault keep its ``id``, and take it up with ``task(id)``.

        Raises:
            McpVaultError: As ``call_tool``.
        """
        deadline = self._deadline(timeout)
        self._open(deadline)
        params: Json = {"name": name, "arguments": dict(arguments or {})}
        modern = self._transport.era == "modern"
        result = self._request("tools/call", params, deadline, meta=self._client.with_tasks() if modern else None)
        if result.get("resultType") == "task":
            return self._begun(result, name)
        return types.call_tool_result(result, server=self.name)

    def tasks(self) -> list[Task]:
        """Return the tasks that this host remembers and whose end nobody has seen, oldest first; nothing is asked."""
        from mcpvault.mcp.tasks import Task

        held = self._tasks().all() if self._tasks is not None else ()
        return [Task(each.id.reveal(), self, tool=each.tool, created=each.created) for each in held]

    def task(self, task_id: str) -> Task:
        """Return the task *task_id* that an earlier call, perhaps of another process, has begun; nothing is asked."""
        from mcpvault.mcp.tasks import Task

        return Task(task_id, self)

    def read_resource(self, uri: str, *, timeout: float | None = None) -> list[resources.ResourceContents]:
        """Return the parts of the resource *uri*."""
        from mcpvault.mcp.resources import ResourceContents

        deadline = self._deadline(timeout)
        self._open(deadline)
        result = self._request("resources/read", {"uri": uri}, deadline, keep=True)
        found = types.objects(result, "contents", method="resources/read", server=self.name)
        return [ResourceContents(raw) for raw in found["contents"]]

    def get_prompt(
        self, name: str, arguments: Mapping[str, str] | None = None, *, timeout: float | None = None
    ) -> prompts.GetPromptResult:
        """Return the prompt *name*, filled with *arguments*."""
        from mcpvault.mcp.prompts import GetPromptResult

        deadline = self._deadline(timeout)
        self._open(deadline)
        params: Json = {"name": name, "arguments": dict(arguments or {})}
        result = self._request("prompts/get", params, deadline)
        return GetPromptResult(types.objects(result, "messages", method="prompts/get", server=self.name))

    def complete(
        self,
        argument: str,
        value: str,
        *,
        prompt: str | None = None,
        resource: str | None = None,
        context: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> prompts.Completion:
        """
        Return what *value* may become.

        Args:
            argument: The argument of the prompt, or the variable of the template.
            value: What is typed already.
            prompt: The prompt's name, or else:
            resource: The template's URI.
            context: The arguments that are filled in already.
            timeout: Seconds for this call instead of the session's.

        Raises:
            McpVaultError: As ``call_tool``.
        """
        from mcpvault.mcp.prompts import completion

        if (prompt is None) == (resource is None):
            raise TypeError("complete() needs either prompt= or resource=")
        deadline = self._deadline(timeout)
        self._open(deadline)
        named: Json = {"type": "ref/resource", "uri": resource}
        if prompt is not None:
            named = {"type": "ref/prompt", "name": prompt}
        params: Json = {"ref": named, "argument": {"name": argument, "value": value}}
        if context:
            params["context"] = {"arguments": dict(context)}
        result = self._request("completion/complete", params, deadline)
        return completion(result, server=self.name)

    def listen(
        self,
        *uris: str,
        tools: bool = False,
        prompts: bool = False,
        resources: bool = False,
        tasks: Sequence[str] = (),
        timeout: float | None = None,
        reconnect: bool = True,
    ) -> Listening:
        """
        Listen for changes; iterate over the result, and close it or use it as a context manager.

        Args:
            uris: Resources whose changes are wanted.
            tools: Whether the list of tools is.
            prompts: Whether the list of prompts is.
            resources: Whether the list of resources is.
            tasks: Ids of tasks whose changes are wanted (modern servers).
            timeout: Seconds after which the iteration ends; by default it goes on until the server ends it.
                Until the server has agreed, the session's own time counts too.
            reconnect: Listen again when the stream breaks off; what was listened for then counts as changed.

        Raises:
            DeadlineExceededError: The server did not agree in time.
            McpVaultError: The server cannot be listened to.
        """
        from mcpvault.mcp.listening import Listening, wanted

        self._open(self._deadline(None))
        asked = wanted(uris, tools=tools, prompts=prompts, resources=resources, tasks=tasks)
        return Listening(self, asked, Deadline(timeout), reconnect=reconnect)

    def _tool(self, name: str, deadline: Deadline) -> types.Tool | None:
        if name not in self._schemas or self._edition is not self._client.edition:
            self.list_tools(timeout=deadline.remaining())
        return self._schemas.get(name)

    def _fitting(self, tool: types.Tool, arguments: Json, deadline: Deadline) -> types.Tool:
        """Return *tool* if *arguments* fit it; before they are refused the tools are listed anew, once."""
        from mcpvault.mcp.schema_check import check_arguments

        try:
            check_arguments(arguments, tool.input_schema, deadline, tool=tool.name, server=self.name)
        except UsageError:
            if self._cache is not None:
                self._cache.forget("tools/list")
            self.list_tools(timeout=deadline.remaining())
            now = self._schemas.get(tool.name, tool)
            if now.input_schema == tool.input_schema:
                raise
            check_arguments(arguments, now.input_schema, deadline, tool=tool.name, server=self.name)
            return now
        return tool

    def _task_of(self, result: Json, tool: str) -> Task:
        """Return the task that a server has made of a call, and tell the caller of it."""
        on_task = self._callbacks.on_task
        if on_task is None or self._transport.era != "modern":
            raise RemoteProtocolError(f"{self.name}: tools/call: a task, which was not asked for", server=self.name)
        task = self._begun(result, tool)
        on_task(task)
        return task

    def _begun(self, result: Json, tool: str) -> Task:
        from mcpvault.mcp.tasks import Task

        task = Task.of(result, self, tool=tool)
        task.keep()
        return task

"""The OpenAPI 3.1 document, made from the route table alone: it names no callables, so anybody may read it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec

from headbox.domain.states import STATES
from headbox.task_queue.figures import ShownQueue, ShownStatistics
from headbox.web.bodies import NewSchedule, NewTask, NewToken, NewUser, UserChange
from headbox.web.operations import Operation, Parameter
from headbox.web.representations import (
    DEFAULT_FIELDS,
    FIELDS,
    Schema,
    ShownCallable,
    ShownEvent,
    ShownToken,
    ShownUser,
    ShownWorker,
)

SUMMARIES: Final = {
    400: "What was sent cannot be understood; the detail says what would be right",
    401: "No credentials, or wrong ones",
    403: "The caller is not permitted to do this",
    404: "There is no such thing, or none that the caller may see",
    408: "The body did not arrive in time",
    409: "The present state does not allow it",
    413: "The body is larger than 1 MiB",
    415: "The body is not application/json",
    421: "The server does not answer to this Host",
    429: "Too many attempts or waiting calls; see Retry-After",
    503: "The database cannot be used now; see Retry-After",
}
NAMED: Final = {
    "Worker": ShownWorker,
    "Callable": ShownCallable,
    "User": ShownUser,
    "Token": ShownToken,
    "Event": ShownEvent,
    "Statistics": ShownStatistics,
    "Queue": ShownQueue,
}
BODIES: Final = (NewTask, NewSchedule, NewUser, UserChange, NewToken)
COMPONENTS: Final = "#/components/schemas/"
PICKLED: Final = ("callable", "args", "kwargs", "timeout", "schedule_threshold", "_progress_callback", "start_time",
                  "finish_time", "result", "exception", "traceback")  # fmt: skip
PATH_TEXT: Final = {"type": "string", "pattern": r"^[^/\x00-\x1f\x7f]+$"}
CONVERTOR: Final = re.compile(r"\{(\w+):\w+\}")


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The document for these calls; its paths are relative to wherever the API is mounted."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = CONVERTOR.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headbox",
            "version": version("headbox"),
            "description": "A durable task queue and scheduler, with the REST API of Pulp's tasking system.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(operation: Operation, path: str) -> dict[str, Any]:
    described = {
        "operationId": _identifier(operation.method, path),
        "summary": operation.summary,
        "description": _needs(operation),
        "tags": [path.split("/")[1].removesuffix(".json")],
        "security": [] if operation.need == "nobody" else [{"basic": []}, {"bearer": []}],
        "parameters": [*_path_parameters(path), *(_query_parameter(each) for each in operation.parameters)],
        "responses": _responses(operation),
    }
    if operation.body is not None:
        content = {"application/json": {"schema": {"$ref": COMPONENTS + operation.body.__name__}}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _identifier(method: str, path: str) -> str:
    words = [f"by_{part[1:-1]}" if part.startswith("{") else part for part in path.split("/") if part]
    return re.sub(r"\W", "_", "_".join([method.lower(), *words]))


def _needs(operation: Operation) -> str:
    match operation.need:
        case "nobody":
            return "Needs no credentials."
        case "caller":
            return "Needs credentials, of any user."
        case "super user":
            return "Needs a super user."
    return f"Needs the permission {operation.need}{', or to own the task.' if operation.owner_too else '.'}"


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": PATH_TEXT} for name in re.findall(r"\{(\w+)\}", path)
    ]


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    schema: Schema = {"type": "array", "items": parameter.schema} if parameter.repeated else parameter.schema
    return {"name": parameter.name, "in": "query", "description": parameter.description, "schema": schema}


def _responses(operation: Operation) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.answer is not None:
        answer["content"] = {"application/json": {"schema": _reference(operation.answer)}}
    problem = {"application/problem+json": {"schema": {"$ref": f"{COMPONENTS}Problem"}}}
    problems = {str(status): {"description": SUMMARIES[status], "content": problem} for status in _statuses(operation)}
    return {str(operation.status): answer, **problems}


def _statuses(operation: Operation) -> list[int]:
    statuses = {400, 421, *operation.problems}
    if operation.need != "nobody":
        statuses |= {401, 429, 503}
        statuses |= set() if operation.need == "caller" and not operation.is_unsafe else {403}
    if operation.is_unsafe:
        statuses |= {408, 413, 415}
    return sorted(statuses)


def _reference(answer: str) -> Schema:
    if answer.startswith("["):
        return {"type": "array", "items": _reference(answer[1:-1])}
    return {"$ref": COMPONENTS + answer}


def _schemas() -> dict[str, Schema]:
    types = [*NAMED.values(), *BODIES]
    _, components = msgspec.json.schema_components(types, ref_template=COMPONENTS + "{name}")
    names = {shown.__name__: name for name, shown in NAMED.items()}
    made = {names.get(name, name): schema | {"title": names.get(name, name)} for name, schema in components.items()}
    for body in BODIES:
        made[body.__name__]["additionalProperties"] = False
    tasks = {"type": "array", "items": {"$ref": f"{COMPONENTS}Task"}}
    return {
        "Task": _task(),
        "TaskSnapshot": _snapshot(),
        "Job": _object({"id": {"type": "string"}, "tasks": tasks}),
        "JobCancellation": _object({"id": {"type": "string"}, "completed": tasks, "cancelled": tasks}),
        "Health": _object({"status": {"type": "string"}}),
        "Count": _object({"count": {"type": "integer"}}),
        "Problem": _problem(),
        **made,
    }


def _object(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _task() -> Schema:
    properties = {name: field.schema for name, field in FIELDS.items()}
    described = f"A task. Unless `fields` asks for others it has exactly these keys: {', '.join(DEFAULT_FIELDS)}."
    return {"type": "object", "description": described, "properties": properties}


def _snapshot() -> Schema:
    text, maybe_text = {"type": "string"}, {"type": ["string", "null"]}
    pickled = {"type": "string", "description": "a pickle, as latin-1 text"}
    return _object(
        {
            "id": text,
            "snapshot_id": text,
            "task_class": text,
            "class_name": maybe_text,
            "method_name": text,
            "state": {"type": "string", "enum": list(STATES)},
            "failure_threshold": {"type": ["integer", "null"]},
            "cancel_attempts": {"type": "integer"},
            "progress": {},
            **dict.fromkeys(PICKLED, pickled),
        }
    )


def _problem() -> Schema:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "What was wrong (RFC 9457)",
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "errors": {"type": "array", "items": {"type": "object", "additionalProperties": text}},
            "task_id": text | {"description": "the task that is in the way of a unique one"},
        },
        "required": ["type", "title", "status", "detail"],
    }

"""The reference of the HTTP interface, from its OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from itertools import groupby
from tempfile import TemporaryDirectory
from typing import Any, Final

from starlette.testclient import TestClient

from docs._generate.markdown import page, table
from headbox import TaskQueue
from headbox.web import asgi_app
from headbox.web.documentation import about, kind
from headbox.web.openapi import COMPONENTS, SUMMARIES

INTRODUCTION: Final = """
Every call and every body, from the [OpenAPI 3.1 document](openapi.json) that a running server gives at
`/openapi.json` and shows at `/docs/`. Paths are exact: the trailing slash belongs to them. Errors are
`application/problem+json` (RFC 9457). Who may call what is said in [rights, keys and
files](../explanation/security.md).
"""
COMMON: Final = (400, 401, 403, 408, 413, 415, 421, 429, 503)  # said once, not with each call
Call = tuple[str, str, dict[str, Any]]


def openapi() -> dict[str, Any]:
    """The document, as a server gives it."""
    with TemporaryDirectory() as folder, TaskQueue(f"sqlite:///{folder}/headbox.db") as queue:
        client = TestClient(asgi_app(queue), base_url="http://localhost")
        found: dict[str, Any] = client.get("/openapi.json").raise_for_status().json()
        return found


def render_document() -> str:
    """The document as text."""
    return json.dumps(openapi(), indent=1)


def render() -> str:
    """The page."""
    document = openapi()
    calls = [
        (method.upper(), path, call) for path, methods in document["paths"].items() for method, call in methods.items()
    ]
    calls.sort(key=lambda call: call[2]["tags"][0])
    schemas = document["components"]["schemas"]
    return page(
        "# HTTP interface",
        INTRODUCTION,
        *(_group(tag, list(members)) for tag, members in groupby(calls, key=lambda call: str(call[2]["tags"][0]))),
        "## Answers that any call may give",
        table(("answer", "means"), ((_status(status), SUMMARIES[status]) for status in COMMON)),
        "## Bodies",
        *(_schema(name, schema) for name, schema in schemas.items()),
    )


def _group(tag: str, calls: list[Call]) -> str:
    return page(f"## {tag}", *(_call(*call) for call in calls))


def _call(method: str, path: str, call: dict[str, Any]) -> str:
    parameters = [(f"`{p['name']}`", p["in"], kind(p["schema"]), _text(p)) for p in call["parameters"]]
    body = call.get("requestBody")
    return page(
        f"### {method} {path}",
        f"{call['summary']}. {call['description']}",
        f"Body: {_reference(body['content']['application/json']['schema'])}." if body else "",
        table(("parameter", "in", "is", ""), parameters),
        table(("answer", "means", "body"), _answers(call["responses"])),
    )


def _text(parameter: dict[str, Any]) -> str:
    return "; ".join(filter(None, (parameter.get("description"), about(parameter["schema"]))))


def _answers(responses: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for status, answer in responses.items():
        if int(status) in COMMON:
            continue
        content = next(iter(answer.get("content", {}).values()), None)
        meaning = answer["description"] if answer["description"] != HTTPStatus(int(status)).phrase else ""
        yield _status(int(status)), meaning, _reference(content["schema"]) if content else ""


def _status(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


def _reference(schema: dict[str, Any]) -> str:
    if schema.get("type") == "array":
        return f"a list of {_reference(schema['items'])}"
    name = str(schema["$ref"]).removeprefix(COMPONENTS)
    return f"[{name}](#{name.lower()})"


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = [(f"`{each}`", kind(inner), about(inner)) for each, inner in schema.get("properties", {}).items()]
    return page(f"### {name}", schema.get("description", ""), table(("key", "is", ""), rows))

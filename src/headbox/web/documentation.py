"""The page to browse the API with: made once, on the server, from the OpenAPI document. It needs no script, and
nothing from any other host."""

from __future__ import annotations

from importlib.resources import files
from itertools import groupby
from typing import Any, Final

from jinja2 import Environment, PackageLoader

from headbox.web.openapi import COMPONENTS
from headbox.web.replies import Header

POLICY: Final[tuple[Header, ...]] = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)


def page(document: dict[str, Any]) -> bytes:
    """The document as HTML."""
    environment = Environment(loader=PackageLoader("headbox.web"), autoescape=True, trim_blocks=True)
    environment.filters |= {"kind": kind, "about": about}
    calls = [
        _call(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    calls.sort(key=lambda call: call["tags"][0])
    groups = [(group, list(members)) for group, members in groupby(calls, key=lambda call: call["tags"][0])]
    template = environment.get_template("docs.html")
    schemas = {
        name: {"properties": {}, "description": ""} | schema
        for name, schema in document["components"]["schemas"].items()
    }
    return template.render(info=document["info"], groups=groups, schemas=schemas).encode()


def style() -> bytes:
    """Its style sheet."""
    return files("headbox.web").joinpath("static", "docs.css").read_bytes()


def _call(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody")
    answer = next(iter(operation["responses"].values())).get("content", {}).get("application/json")
    parameters = [{"description": ""} | parameter for parameter in operation["parameters"]]
    return operation | {
        "path": path,
        "method": method.upper(),
        "parameters": parameters,
        "body": body and _name(body["content"]["application/json"]["schema"]),
        "answer": answer and _named(answer["schema"]),
    }


def _named(schema: dict[str, Any]) -> dict[str, str]:
    if schema.get("type") == "array":
        return {"many": "a list of ", "name": _name(schema["items"])}
    return {"many": "", "name": _name(schema)}


def _name(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).removeprefix(COMPONENTS)


def kind(schema: dict[str, Any]) -> str:
    """What a property holds, in a word or two."""
    if "$ref" in schema:
        return _name(schema)
    if "anyOf" in schema:
        return " or ".join(kind(each) for each in schema["anyOf"])
    found = schema.get("type", "any")
    name = " or ".join(found) if isinstance(found, list) else str(found)
    return f"{name} of {kind(schema['items'])}" if schema.get("items") else name


def about(schema: dict[str, Any], before: str = "") -> str:
    """What is to be known of a property, behind `before` if there is anything."""
    if "anyOf" in schema:
        return " ".join(filter(None, (about(each) for each in schema["anyOf"])))
    said = [schema.get("description"), ", ".join(schema["enum"]) if "enum" in schema else None]
    bounds = [("from", "minimum"), ("to", "maximum"), ("at least", "minLength"), ("at most", "maxLength")]
    said += [f"{word} {schema[key]}{' characters' if 'Length' in key else ''}" for word, key in bounds if key in schema]
    found = "; ".join(filter(None, said))
    return before + found if found else ""

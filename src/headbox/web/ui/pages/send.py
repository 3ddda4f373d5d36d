"""Sending a task: pick what workers have published, fill in its arguments, say when."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import msgspec

from headbox.storage import records
from headbox.web.bodies import NewTask, read_body
from headbox.web.operations import Operation, Parameter
from headbox.web.permissions import Permission
from headbox.web.problems import Problem
from headbox.web.query import single
from headbox.web.replies import Reply
from headbox.web.request import Request
from headbox.web.routes.changes import accept, find_callable
from headbox.web.ui import schedule_form
from headbox.web.ui.call_form import read_call, read_fields
from headbox.web.ui.layout import Layout
from headbox.web.ui.notice import lead_to
from headbox.web.ui.page import Page
from headbox.web.ui.schedule_form import Built, build

SHOWN: Final = 200  # callables on the page; a search finds the others
OPTIONS: Final = {
    "queue": "default", "priority": "0, from -9 to 9", "weight": "1", "timeout": "PT30M", "attempts": "1",
    "failure_threshold": "none", "schedule_threshold": "PT5M", "job_id": "none",
}  # fmt: skip
DEFAULTS: Final = ("queue", "priority", "weight", "attempts")  # that a decorator's are shown for; the others are spans
NUMBERS: Final = ("priority", "weight", "attempts", "failure_threshold")
METHOD: Final = Parameter("method", {"type": "string"}, "the callable that the form is for")
TEXT: Final = Parameter("text", {"type": "string"}, "what a callable's name or docstring has in it")


def load(request: Request) -> dict[str, Any]:
    """The callables that can be sent, or the form for one of them."""
    name = single(request.query, "method")
    if name is not None:
        return form_for(find_callable(request.store, name), request, {}, {})
    text = single(request.query, "text") or ""
    found = [each for each in request.store.callables() if _has(each, text.casefold())]
    return {"callable": None, "text": text, "callables": found[:SHOWN], "more": len(found) - SHOWN}


def _has(callable: records.Callable, text: str) -> bool:
    names = (callable.name, callable.short_name, *callable.aliases, callable.docstring or "")
    return any(text in each.casefold() for each in names)


def form_for(
    callable: records.Callable, request: Request, given: dict[str, str], trouble: dict[str, str], **more: Any
) -> dict[str, Any]:
    """What the form shows; `given` is what was typed, `trouble` what is wrong with it, by field."""
    return {
        "title": f"Send {callable.short_name}",
        "callable": callable,
        "summary": (callable.docstring or "").strip().partition("\n\n"),
        "fields": read_fields(callable.signature),
        "options": OPTIONS,
        "defaults": {
            name: value for name, value in callable.defaults.items() if name in ("queue", "weight", "attempts")
        },
        "given": given,
        "trouble": trouble,
        "whens": schedule_form.WHENS,
        "units": schedule_form.UNITS,
        "built": Built(),
        "is_unfolded": any(given.get(name) for name in (*OPTIONS, "unique")) or bool(trouble.keys() & OPTIONS.keys()),
    } | more


async def preview(layout: Layout, request: Request) -> Reply:
    """`POST /ui/send/preview/`: the form again, with what its schedule means. Changes nothing."""
    callable, given = await _read(request)
    built = build(given, request.now)
    fields = await request.call(form_for, callable, request, given, {}, built=built)
    return await layout.show(request, FORM, **fields)


async def send(layout: Layout, request: Request) -> Reply:
    """`POST /ui/send/`: enqueues, or shows the form again with what is wrong."""
    callable, given = await _read(request)
    typed = {name.removeprefix("arg."): value for name, value in given.items() if name.startswith("arg.")}
    args, kwargs, wrong = read_call(read_fields(callable.signature), typed)
    trouble = {f"arg.{name}": sentence for name, sentence in wrong.items()}
    built = build(given, request.now)
    if built.wrong is not None:
        trouble["schedule"] = built.wrong
    status = 400
    try:
        body = read_body(_body(callable, args, kwargs, built, given), NewTask)
        if not trouble:
            task = await accept(request, body)
            return lead_to(request, f"/ui/tasks/{task.id}/", "It is sent.")
    except Problem as problem:
        if problem.status not in (400, 409):
            raise
        trouble, status = _named(problem) | trouble, problem.status
    fields = await request.call(form_for, callable, request, given, trouble, built=built)
    return await layout.show(request, FORM, status, **fields)


async def _read(request: Request) -> tuple[records.Callable, dict[str, str]]:
    form = await request.form()
    given = {name: values[-1] for name, values in form.items() if name != "form_token"}
    return await request.call(find_callable, request.store, given.get("method", "")), given


def _body(
    callable: records.Callable, args: list[Any], kwargs: dict[str, Any], built: Built, given: dict[str, str]
) -> bytes:
    """The body of `POST /tasks/` that says the same."""
    options: dict[str, Any] = {name: given[name].strip() for name in OPTIONS if given.get(name, "").strip()}
    options |= {name: int(value) for name, value in options.items() if name in NUMBERS and _is_whole(value)}
    if given.get("unique") == "1":
        options["unique"] = True
    said = {"method_name": callable.name, "args": args, "kwargs": kwargs, "schedule": built.expression}
    return msgspec.json.encode(said | options)


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isascii() and text.removeprefix("-").isdecimal() and len(text) < 18


def _named(problem: Problem) -> dict[str, str]:
    """What the API says is wrong, by field of the form; what no field is to blame for under no name."""
    found = {each["pointer"].removeprefix("#/"): each["detail"] for each in problem.errors or ()}
    return {(name if name in OPTIONS else ""): detail for name, detail in found.items()} or {"": problem.detail}


PAGE: Final = Page(
    path="/ui/send/",
    title="Send a task",
    template="ui/send.html",
    load=load,
    need=Permission.CREATE,
    parameters=(METHOD, TEXT),
)
FORM: Final = Page(path=PAGE.path, title=PAGE.title, template=PAGE.template, load=lambda _: {}, need=Permission.CREATE)


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table."""
    posts = (("/ui/send/", send, None), ("/ui/send/preview/", preview, False))
    return (
        layout.operation(PAGE),
        *(
            Operation(
                method="POST",
                path=path,
                need=Permission.CREATE,
                summary="",
                handler=partial(handler, layout),
                audited=audited,
            )
            for path, handler, audited in posts
        ),
    )

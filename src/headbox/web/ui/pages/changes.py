"""What changes tasks: one from its page, or many that a search finds or somebody ticked, after one confirmation that
says how many they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from headbox.domain.errors import InvalidSchedule
from headbox.domain.schedulers import parse_schedule
from headbox.domain.states import INCOMPLETE, Event, State
from headbox.storage.records import Filter
from headbox.web.operations import Need, Operation
from headbox.web.permissions import Permission, Principal
from headbox.web.problems import Problem
from headbox.web.query import Query, parse_query
from headbox.web.replies import Reply
from headbox.web.request import Request
from headbox.web.routes.changes import changeable_task
from headbox.web.ui.layout import Layout
from headbox.web.ui.notice import lead_to
from headbox.web.ui.page import Page
from headbox.web.ui.pages.tasks import may_change
from headbox.web.ui.search import PARAMETERS, Search, filter_of, read_search
from headbox.web.ui.wording import show_number

BATCH: Final = 500  # tasks changed in one transaction
PATIENCE: Final = 20.0  # seconds that one form may work; it says what is left
LISTED: Final = 10  # tasks that the confirmation names
COUNTED: Final = 250_000  # a quarter of a second or so; beyond that it only says that there are more


class Verb(msgspec.Struct, frozen=True):
    """Something to be done with tasks: what it is called before and after, which of them it is for, what it means."""

    event: Event
    label: str
    done: str
    states: tuple[State, ...]
    meant: tuple[State, ...]  # where no state is looked for
    explanation: str


VERBS: Final = {
    verb.event: verb
    for verb in (
        Verb("cancel", "Cancel", "canceled", INCOMPLETE, INCOMPLETE,
             "What waits does not run, what runs is interrupted; a schedule goes on with its next occurrence."),
        Verb("suspend", "Suspend", "suspended", ("waiting", "reset", "running"), ("waiting", "reset", "running"),
             "Nothing of them starts until they are resumed; what runs ends first."),
        Verb("resume", "Resume", "resumed", ("suspended",), ("suspended",),
             "They wait again, schedules for their next occurrence."),
        Verb("reset", "Run again", "set to run again", ("finished", "error", "timed_out", "canceled"),
             ("error", "timed_out"), "Each that is complete runs once more; its failures count from zero."),
    )
}  # fmt: skip
SINGLE: Final = {
    "cancel": "It is canceled, or will be in a moment.",
    "suspend": "It is suspended; what runs ends first.",
    "resume": "It waits again.",
    "reset": "It runs again.",
    "remove": "It is removed.",
}
CONFIRM: Final = Page(path="/ui/tasks/change/", title="Confirm", template="ui/confirm.html", load=lambda _: {})


class Choice(msgspec.Struct, frozen=True):
    """The tasks that are meant: those ticked, or all that a search finds."""

    verb: Verb
    search: Search
    ids: tuple[str, ...] = ()

    def filter(self, request: Request) -> Filter:
        """Those of them that the verb is for and that the caller may change."""
        me, states = request.principal, self.verb.states
        if self.ids:
            chosen = Filter(ids=self.ids, visible_to=own_only(me))
        else:
            chosen = filter_of(self.search, me, request.now)
            states = tuple(state for state in states if state in (self.search.state or self.verb.meant))
        if self.verb.event == "reset":
            return msgspec.structs.replace(chosen, states=("archived",), exactly=(), outcomes=states, final=True)
        return msgspec.structs.replace(chosen, states=(), outcomes=(), exactly=states)


def own_only(me: Principal) -> str | None:
    """`visible_to` of what a caller may change."""
    return None if me.may(Permission.UPDATE) else me.name


def read_choice(form: Query, request: Request) -> Choice:
    """What the form means; 400 where it means nothing, 403 for who may not."""
    verb = VERBS.get(form.get("verb", [""])[-1])  # type: ignore[call-overload]
    if verb is None:
        raise Problem(400, "choose what to do with the tasks")
    if not may_change(request.principal):
        raise Problem(403, "this takes the permission UPDATE; a super user can give you a role that has it")
    search = read_search(parse_query(form.get("search", [""])[-1].encode(), PARAMETERS)).fixed(request.now)
    if form.get("all", [""])[-1] == "1":
        if search.ended != (verb.event == "reset"):
            raise Problem(400, "the search finds none that this could be done with")
        return Choice(verb, search)
    ids = tuple(dict.fromkeys(form.get("id", ())))
    if not ids:
        raise Problem(400, "no task is chosen; tick some, or all that the search finds")
    return Choice(verb, search, ids)


async def change_many(layout: Layout, request: Request) -> Reply:
    """`POST /ui/tasks/change/`: asks first, and with `confirmed` does it."""
    form = await request.form()
    choice = read_choice(form, request)
    filter = choice.filter(request)
    back = f"/ui/tasks/?{choice.search.query()}"
    if form.get("confirmed", [""])[-1] != "1":
        found = await request.call(request.store.find, filter, request.now, LISTED, None, COUNTED + 1)
        return await layout.show(request, CONFIRM, choice=choice, found=found, counted=COUNTED, back=back)
    changed, is_done = await request.call(change_all, request, choice.verb, filter)
    request.note = f"{choice.verb.event}: {changed} tasks"
    notice = f"{show_number(changed)} {'task is' if changed == 1 else 'tasks are'} {choice.verb.done}."
    return lead_to(request, back, notice if is_done else f"{notice} There are more: do it again for the rest.")


def change_all(request: Request, verb: Verb, filter: Filter) -> tuple[int, bool]:
    """How many were changed, and whether all were: a form works for so long and no longer."""
    deadline = time.monotonic() + PATIENCE
    changed = 0
    for ids in _batches(request, filter):
        if time.monotonic() > deadline:
            return changed, False
        changed += len(request.store.change_each(verb.event, ids, request.now))
    return changed, True


def _batches(request: Request, filter: Filter) -> Iterator[list[str]]:
    """The ids that the filter finds. Their order does not change with what is done to them."""
    cursor = None
    while True:
        page = request.store.find(filter, request.now, BATCH, cursor)
        yield list(dict.fromkeys(task.id for task in page.tasks))
        cursor = page.cursor
        if cursor is None:
            return


async def change_one(verb: str, request: Request) -> Reply:
    """`POST /ui/tasks/<id>/<verb>/`."""
    task = await changeable_task(request)
    await request.call(getattr(request.store, verb), task.id, request.now)
    return lead_to(request, f"/ui/tasks/{task.id}/", SINGLE[verb])


async def reschedule(request: Request) -> Reply:
    """`POST /ui/tasks/<id>/reschedule/`."""
    task = await changeable_task(request)
    text = (await request.form()).get("schedule", [""])[-1].strip()
    try:
        scheduler = parse_schedule(text)
    except InvalidSchedule as error:
        raise Problem(400, f"the schedule: {error}") from None
    await request.call(request.store.reschedule, task.id, scheduler, request.now)
    request.note = text
    return lead_to(request, f"/ui/tasks/{task.id}/", "It has another schedule.")


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table."""
    return (
        _post(CONFIRM.path, "caller", partial(change_many, layout)),
        *(
            _post(
                f"/ui/tasks/{{id}}/{verb}/", "super user" if verb == "remove" else "caller", partial(change_one, verb)
            )
            for verb in SINGLE
        ),
        _post("/ui/tasks/{id}/reschedule/", "caller", reschedule),
    )


def _post(path: str, need: Need, handler: Any) -> Operation:
    return Operation(method="POST", path=path, need=need, summary="", handler=handler)

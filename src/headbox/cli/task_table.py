"""How tasks look to people: one line each, and all that is known about one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from headbox.cli.progress import describe
from headbox.cli.table import Column, Styled, show_list
from headbox.cli.terminal import compact, printable
from headbox.cli.times import local_now, seconds_between, show_both, show_span, show_time

Task = Mapping[str, Any]

FAILURES: Final = ("error", "timed_out", "canceled")
COMPLETE: Final = ("finished", *FAILURES)
STYLES: Final = {
    "running": "cyan",
    "finished": "green",
    "error": "red",
    "timed_out": "red",
    "canceled": "yellow",
    "reset": "yellow",
    "suspended": "dim",
}
FIELDS: Final = (
    "id,job_id,class_name,method_name,args,kwargs,state,start_time,finish_time,due_time,exception,progress,waiting_for,"
    "run,scheduler"
)
COLUMNS: Final = (
    Column("ID", 36, whole=True, rank=3),
    Column("STATE", 9, whole=True, rank=1),
    Column("TASK", 14, rank=0),
    Column("WHEN", 10, rank=2),
    Column("NOTE", 10, rank=4),
)


def fields(*, as_json: bool) -> dict[str, str]:
    """The query that asks of the API what is going to be shown."""
    return {"fields": "all" if as_json else FIELDS}


def show_tasks(tasks: Iterable[Task], *, as_json: bool, utc: bool = False, header: bool = True) -> None:
    """The tasks as a table, or as JSON."""
    now = local_now()
    show_list(tasks, COLUMNS, lambda task: row(task, now, utc=utc), as_json=as_json, header=header)


def row(task: Task, now: datetime, *, utc: bool = False) -> tuple[Any, ...]:
    """The cells of one task."""
    return task["id"], state_cell(task["state"]), call_text(task), when(task, now, utc=utc), note(task)


def note(task: Task) -> str:
    """What else there is to say: the error of one that failed, what one that is due waits for, how far one has come."""
    if task["state"] in FAILURES:
        return task.get("exception") or ""
    return "; ".join(reasons(task, besides=("time", "suspended"))) or describe(task.get("progress"))


def reasons(task: Task, *, besides: Sequence[str] = ()) -> list[str]:
    """Why the task does not run yet, in words, but for reasons that are told otherwise."""
    return [reason["text"] for reason in task.get("waiting_for") or () if reason["reason"] not in besides]


def state_cell(state: str) -> Styled:
    """The state in its colour."""
    return Styled(printable(state), STYLES.get(state, ""))


def call_text(task: Task) -> str:
    """What is called, as it is written in Python: `Repo.sync("fedora", rate=5)`."""
    args, kwargs = task.get("args"), task.get("kwargs")
    values = [compact(value) for value in args] if isinstance(args, list) else ["…"]
    if isinstance(kwargs, Mapping):
        values += [f"{printable(name)}={compact(value)}" for name, value in kwargs.items()]
    name = ".".join(filter(None, (task.get("class_name"), task["method_name"])))
    return f"{printable(name)}({', '.join(values)})"


def when(task: Task, now: datetime, *, utc: bool = False) -> str:
    """What time has to do with the task's state: since when it runs, when it is due, when it ended and what it took."""
    start, finish = task.get("start_time"), task.get("finish_time")
    if task["state"] == "running":
        return f"for {show_span(seconds_between(start, now))}" if start else "starts"
    if task["state"] in COMPLETE:
        took = f", took {show_span(seconds_between(start, finish))}" if start and finish else ""
        return f"{show_time(finish, now, utc=utc)}{took}"
    if task["state"] == "suspended":
        return ""
    if any(reason.get("reason") == "callable" for reason in task.get("waiting_for") or ()):
        return "no worker knows it"
    due = task.get("due_time")
    return show_time(due, now, utc=utc) if due and seconds_between(now, due) > 0 else "ready"


def known(task: Task, *, utc: bool = False) -> Iterator[tuple[str, str]]:
    """Every attribute that has a value, as people read it; the traceback last."""
    now = local_now()
    for name, value in sorted(task.items(), key=lambda pair: pair[0] == "traceback"):
        if name == "state":
            yield name, value
            yield "task", call_text(task)
        elif name.endswith("_time") and value:
            yield name, show_both(value, now, utc=utc)
        elif name == "waiting_for" and value:
            yield name, "; ".join(reasons(task))
        elif name == "progress" and value is not None:
            yield name, describe(value)
        elif value not in (None, [], {}, False) and name not in ("args", "kwargs", "class_name", "method_name"):
            yield name, value if isinstance(value, str) and name != "result" else compact(value)

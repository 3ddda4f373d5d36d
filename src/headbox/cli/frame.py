"""`headbox top` as lines of text: what is going on, in as many columns and rows as there are. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from headbox.cli.look import Look, Worker
from headbox.cli.progress import bar, describe, measures
from headbox.cli.table import Column, Line, Styled, cells_of, cut, cut_line, lay_out
from headbox.cli.task_table import STYLES, Task, call_text
from headbox.cli.terminal import printable
from headbox.cli.times import coarse, in_zone, seconds_between, show_span, show_time

NARROW: Final = 80  # columns, where none are given
BARS: Final = ((100, 24), (60, 14), (0, 8))  # from so many columns on, a bar is so long
BLOCKS: Final = "▁▂▃▄▅▆▇█"
ENDS: Final = ("finished", "error", "timed_out", "canceled")
INDENT: Final = 2
KEYS: Final = "q quit  p pause  ↑↓ scroll"

RUNNING: Final = (
    Column("TASK", 14, rank=0),
    Column("BAR", 8, whole=True, rank=2),
    Column("FOR", 5, whole=True, rank=1),
    Column("PROGRESS", 10, rank=3),
    Column("WORKER", 10, rank=4),
)
WORKERS: Final = (
    Column("HOST", 12, rank=0),
    Column("LOAD", 8, whole=True, rank=1),
    Column("HEARD", 8, whole=True, rank=2),
    Column("APP", 10, rank=3),
    Column("QUEUES", 6, rank=4),
)
DUE: Final = (Column("WHEN", 8, whole=True, rank=1), Column("TASK", 14, rank=0))


class View(NamedTuple):
    """How it is looked at. `trouble` is why the server does not answer."""

    width: int | None
    height: int | None = None
    scroll: int = 0
    paused: bool = False
    trouble: str = ""


def frame(look: Look, view: View, now: datetime) -> list[Line]:
    """The lines: a heading that stays, as much of the rest as there is room for, and what keys do."""
    width = view.width or NARROW
    head = [_heading(look, view, now, width), *_summary(look, width)]
    body = _body(look, view.width, now)
    if view.height is None:
        return [*head, *body]
    head = head[: max(view.height - 2, 1)]
    rows = max(view.height - len(head) - 1, 0)
    start = top_line(view.scroll, len(body), rows)
    shown = body[start : start + rows]
    filler: list[Line] = [[] for _ in range(rows - len(shown))]
    lines = [*head, *shown, *filler, _footer(start, rows, len(body), width)]
    return lines[: view.height]


def last_scroll(look: Look, view: View, now: datetime) -> int:
    """How far one can scroll."""
    if view.height is None:
        return 0
    head = min(1 + len(_summary(look, view.width or NARROW)), max(view.height - 2, 1))
    return max(len(_body(look, view.width, now)) - max(view.height - head - 1, 0), 0)


def top_line(scroll: int, count: int, rows: int) -> int:
    """The first line that is shown of `count`, when `rows` are."""
    return min(max(scroll, 0), max(count - rows, 0))


def _heading(look: Look, view: View, now: datetime, width: int) -> Line:
    right = Styled(f"{now:%H:%M:%S}", "dim")
    if view.trouble:
        right = Styled(f"no answer for {coarse((now - look.time).total_seconds())}", "red")
    elif view.paused:
        right = Styled(f"paused at {look.time.astimezone(now.tzinfo):%H:%M:%S}", "yellow")
    left = cut(f"headbox  {printable(look.url)}", max(width - cells_of(right.text) - 2, 1))
    gap = " " * max(width - cells_of(left) - cells_of(right.text), 1)
    return cut_line([Styled(left, "bold"), Styled(gap, ""), right], width)


def _summary(look: Look, width: int) -> list[Line]:
    statistics = look.statistics
    if statistics is None:
        return [[]]
    lines = [states_line(statistics), _halted(statistics), _throughput(statistics, width), _lateness(statistics)]
    return [*(cut_line(line, width) for line in lines if line), []]


def states_line(statistics: Mapping[str, Any]) -> Line:
    """How many tasks are in each state, and how long the oldest that could run has waited."""
    line = _joined([Styled(f"{count:,} {state}", STYLES.get(state, "")) for state, count in _counts(statistics)])
    oldest = statistics.get("oldest_ready_seconds")
    return line if oldest is None else [*line, Styled(f"   oldest ready for {show_span(oldest)}", "dim")]


def _halted(statistics: Mapping[str, Any]) -> Line:
    """The queues of which nothing is started, and how much waits in each for that."""
    halted = [queue for queue in statistics.get("queues", ()) if queue.get("is_suspended")]
    told = (f"{printable(queue['name'])} ({queue['waiting'] + queue['reset']:,} waiting)" for queue in halted)
    return [Styled(f"suspended queues: {', '.join(told)}", "yellow")] if halted else []


def _counts(statistics: Mapping[str, Any]) -> list[tuple[str, int]]:
    """How many tasks are in each state, what runs first; a state without any is left out, but for two."""
    states = statistics["states"]
    order = ("running", "waiting", *(state for state in states if state not in ("running", "waiting")))
    return [(state, states[state]) for state in order if states.get(state) or state in ("running", "waiting")]


def _throughput(statistics: Mapping[str, Any], width: int) -> Line:
    ended = [sum(minute[end] for end in ENDS) for minute in statistics["minutes"]]
    second, hour = statistics["throughput"]["second"], statistics["throughput"]["hour"]
    counts = [Styled(f"{hour[end]:,} {end}", STYLES.get(end, "")) for end in ENDS if hour[end] or end == "finished"]
    rate = Styled(f"{sum(second[end] for end in ENDS):,.1f}/s", "bold")
    chart = Styled(sparkline(ended[-60 if width >= 100 else -20 if width >= 60 else -10 :]), "green")
    return [chart, Styled(" ", ""), rate, Styled("   last hour: ", "dim"), *_joined(counts)]


def _lateness(statistics: Mapping[str, Any]) -> Line:
    hour = statistics["lateness"]["hour"]
    if not hour["starts"]:
        return []
    spans = [f"{name} {show_span(hour[f'{name}_seconds'])}" for name in ("p50", "p95", "max")]
    late = Styled(f"{hour['late']:,} late", "red" if hour["late"] else "")
    return [Styled("starts after they were due: ", "dim"), Styled("  ".join(spans) + "  ", ""), late]


def sparkline(values: Sequence[float]) -> str:
    """A block for each value, the highest a full one; the lowest is for none at all."""
    top = max(values, default=0)
    steps = len(BLOCKS) - 1
    return "".join(BLOCKS[0 if value <= 0 else max(1, round(value / top * steps))] for value in values)


def _body(look: Look, width: int | None, now: datetime) -> list[Line]:
    inner = None if width is None else max(width - INDENT, 1)
    size = next(size for columns, size in BARS if (width or NARROW) >= columns)
    places = {worker["id"]: f"{worker['host']}:{worker['pid']}" for worker in look.workers}
    running = [_running(task, places, size, now) for task in look.running]
    workers = [_worker(worker, _taken(worker, look), size, now) for worker in look.workers]
    lines = [
        *_section(f"RUNNING {len(running):,}{'+' if look.more else ''}", RUNNING, running, inner, "nothing runs now"),
        *_section(
            f"WORKERS {len(workers):,}", WORKERS, workers, inner, "no worker is there: `headbox work` starts one"
        ),
    ]
    if look.due is not None:
        due = [_due(task, now) for task in look.due]
        lines += _section("NEXT DUE", DUE, due, inner, "nothing is due")
    return [cut_line(line, width) if width else line for line in lines[:-1]]


def _section(title: str, columns: Sequence[Column], rows: Sequence[Line], width: int | None, none: str) -> list[Line]:
    """Its title, its rows and an empty line."""
    lines = lay_out(columns, rows, width) if rows else [[Styled(none, "dim")]]
    return [[Styled(title, "bold")], *([Styled(" " * INDENT, ""), *line] for line in lines), []]


def _running(task: Task, places: Mapping[str, str], size: int, now: datetime) -> Line:
    fraction = next((measure.fraction for measure in measures(task["progress"]) if measure.fraction is not None), None)
    shown = "" if fraction is None else f"{bar(fraction, size)} {int(fraction * 100):3d}%"
    since = coarse(max(seconds_between(task["start_time"], now), 0)) if task["start_time"] else "starts"
    return [
        Styled(call_text(task), ""),
        Styled(shown, "cyan"),
        Styled(since, ""),
        Styled(describe(task["progress"]), "dim"),
        Styled(printable(places.get(task["worker"], "")), "dim"),
    ]


def _taken(worker: Worker, look: Look) -> int | None:
    """The weights of what the worker runs, as it says or else as they are known; None where not all of them are."""
    said: int | None = worker.get("weight")
    if said is None and not look.more:
        return sum(int(task["weight"]) for task in look.running if task["worker"] == worker["id"])
    return said


def _worker(worker: Worker, taken: int | None, size: int, now: datetime) -> Line:
    whole = worker["concurrency"]
    load = f"{whole} children" if taken is None else f"{bar(taken / whole if whole else 0, size)} {taken}/{whole}"
    heard = worker["heartbeat_time"]
    return [
        Styled(printable(f"{worker['host']}:{worker['pid']}"), ""),
        Styled(load, "cyan"),
        Styled(show_time(heard, now), "red" if seconds_between(heard, now) > 60 else ""),
        Styled(printable(worker["app"] or "housekeeping only"), "dim"),
        Styled(printable(", ".join(worker["queues"]) or "all queues"), "dim"),
    ]


def _due(task: Task, now: datetime) -> Line:
    due = task["due_time"]
    known = due is not None and in_zone(due, now) is not None
    return [Styled(show_time(due, now) if known else "", ""), Styled(call_text(task), "")]


def _footer(start: int, rows: int, count: int, width: int) -> Line:
    place = f"  {start + 1}–{min(start + rows, count)} of {count}" if count > rows else ""
    return [Styled(cut(KEYS + place, width), "dim")]


def _joined(parts: Sequence[Styled]) -> Line:
    """The parts with a gap between them."""
    return [piece for part in parts for piece in (part, Styled("  ", ""))][:-1]

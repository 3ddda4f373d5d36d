"""What is going on at one moment, as the API tells it: the counts, what runs, who runs it, and what is due next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from headbox.cli.client import Client, Refused
from headbox.cli.task_table import Task

SHOWN: Final = 200  # running tasks
SOON: Final = 500  # tasks among which the next are looked for
WINDOWS: Final = (60, 3600, None)  # seconds ahead in which they are
MANY: Final = 20_000  # waiting tasks, from which on looking for the next would cost the server too much
FIELDS: Final = "id,class_name,method_name,args,kwargs,state,start_time,progress,worker,weight"
DUE_FIELDS: Final = "id,class_name,method_name,args,kwargs,state,due_time"

Worker = Mapping[str, Any]


class Look(NamedTuple):
    """One moment. `statistics` is None where the server has none, `due` where too many wait to tell."""

    url: str
    time: datetime
    statistics: Mapping[str, Any] | None
    running: Sequence[Task]
    more: bool
    workers: Sequence[Worker]
    due: Sequence[Task] | None

    def document(self) -> dict[str, Any]:
        """The same for scripts."""
        time = self.time.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return {**self._asdict(), "time": time}


def take_look(client: Client) -> Look:
    """What the API says now."""
    statistics = client.get_if_known("statistics/")
    running, more = client.first("tasks/", {"state": "running", "fields": FIELDS}, SHOWN)
    workers = client.get("workers/")
    waiting = statistics["states"]["waiting"] if statistics else 0
    due = None if waiting > MANY else next_due(client, datetime.now(UTC))
    return Look(client.url, datetime.now(UTC), statistics, running, more, workers, due)


def next_due(client: Client, now: datetime) -> list[Task]:
    """The tasks that are due next, the soonest first: of those in the widest window that one answer holds."""
    nearest: list[Task] = []
    for seconds in WINDOWS:
        query = {"state": "waiting", "scheduled_after": spell(now), "fields": DUE_FIELDS}
        if seconds is not None:
            query["scheduled_before"] = spell(now + timedelta(seconds=seconds))
        found, more = client.first("tasks/", query, SOON)
        if not more or not nearest:
            nearest = found
        if more:
            break
    return sorted(nearest, key=lambda task: task["due_time"] or "")


def spell(time: datetime) -> str:
    """The instant as the API takes it."""
    return time.isoformat().replace("+00:00", "Z")


def is_final(error: Refused) -> bool:
    """Whether asking again is in vain: the caller has no right to see this, or lost it."""
    return error.status in (401, 403)

"""What is going on at one moment, as the API tells it: the counts, what runs, who runs it, and what is due next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from headbox.cli.client import Client, Refused
from headbox.cli.task_table import Task

SHOWN: Final = 200  # running tasks
SOON: Final = 20  # tasks that are due next
FIELDS: Final = "id,class_name,method_name,args,kwargs,state,start_time,progress,worker,weight"
DUE_FIELDS: Final = "id,class_name,method_name,args,kwargs,state,due_time"

Worker = Mapping[str, Any]


class Look(NamedTuple):
    """One moment. `statistics` and `due` are None where the server is too old to tell."""

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
    due = client.get_if_known("tasks/upcoming/", {"limit": SOON, "fields": DUE_FIELDS})
    return Look(client.url, datetime.now(UTC), statistics, running, more, workers, due)


def is_final(error: Refused) -> bool:
    """Whether asking again is in vain: the caller has no right to see this, or lost it."""
    return error.status in (401, 403)

"""Changes to many things, one after the other: what cannot be changed is said, and the rest is done all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from headbox.cli.client import Client, Refused, segment
from headbox.cli.failure import DONE, FAILED, failure_of, say
from headbox.cli.filters import REMOVE, Verb, count_tasks, find
from headbox.cli.meter import metering
from headbox.cli.task_table import fields, show_tasks
from headbox.cli.terminal import print_json_list

CHUNK: Final = 100  # ids in one call: its URL is short enough for any proxy
HOPELESS: Final = (None, 401)  # statuses after which the next one would not fare better


Change = Callable[[Sequence[str]], list[Any]]
"""Changes what has these ids, and gives what they are then."""


class Changes:
    """Makes changes one after the other and remembers what came of them."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._end: Refused | None = None
        self.refused = 0

    def each(self, chunks: Iterable[Sequence[str]], change: Change) -> Iterator[Any]:
        """What each is after its change. Says which were refused; ends early where there is no hope for the rest."""
        for ids in chunks:
            try:
                yield from change(ids)
            except Refused as error:
                if error.status in HOPELESS or (error.status or 0) >= 500:
                    self._end = error
                    return
                self.refused += len(ids)
                rest = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
                say(failure_of(error)._replace(sentence=f"{ids[0]}{rest}: {error.message}"), as_json=self._as_json)

    def status(self) -> int:
        """The exit status; what ended them early is raised here, once all that was done is shown."""
        if self._end is not None:
            raise self._end
        return FAILED if self.refused else DONE


def change_each(ids: Sequence[str], change: Change, show: Callable[[Any], None], *, as_json: bool) -> int:
    """Changes each and shows what it is then. The exit status."""
    changes = Changes(as_json=as_json)
    changed = changes.each(singly(ids), change)
    if as_json:
        print_json_list(changed)
    else:
        for value in changed:
            show(value)
    return changes.status()


def change_named(client: Client, verb: Verb, ids: Sequence[str], *, as_json: bool) -> int:
    """Changes the tasks and shows each. The exit status."""
    change = single(client, verb, fields(as_json=as_json))
    return change_each(ids, change, lambda task: show_tasks([task], as_json=False, header=False), as_json=as_json)


def change_found(client: Client, verb: Verb, filters: Mapping[str, Any], *, confirmed: bool, as_json: bool) -> int:
    """Changes all that the filters find, once that is confirmed, and says how many those were. The exit status."""
    ids = find(client, verb, filters, confirmed=confirmed)
    query = fields(as_json=True) if as_json else {"fields": "id"}
    changes = Changes(as_json=as_json)
    with metering(verb.name, len(ids)) as meter:
        if verb is REMOVE:
            changed = changes.each(meter.over(singly(ids)), single(client, verb, query))
        else:
            changed = changes.each(meter.over(chunked(ids)), together(client, verb, {**filters, **query}))
        done = list(changed)
    if as_json:
        print_json_list(done)
    else:
        print(f"{verb.done} {count_tasks(len(done))}{gone_on(len(ids) - len(done) - changes.refused)}")
    return changes.status()


def gone_on(count: int) -> str:
    """What is said of tasks that were found and then not changed."""
    return f"; {count_tasks(count)} had gone on meanwhile" if count else ""


def single(client: Client, verb: Verb, query: Mapping[str, Any]) -> Change:
    """The call that changes one task."""
    if verb is REMOVE:
        return lambda ids: [client.delete(f"tasks/{segment(ids[0])}/", query)]
    return lambda ids: [client.post(f"tasks/{segment(ids[0])}/{verb.name}/", query=query)]


def together(client: Client, verb: Verb, query: Mapping[str, Any]) -> Change:
    """The call that changes those of the tasks that the filters still find and whose state still allows it."""
    return lambda ids: list(client.post(f"tasks/{verb.name}/", query={**query, "id": ids}))


def singly(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Each in a chunk of its own."""
    return ([id] for id in ids)


def chunked(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The ids, as many at a time as one call takes."""
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))

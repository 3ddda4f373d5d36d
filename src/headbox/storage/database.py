"""The seam below the verbs: what a database must offer. The verbs (lifecycle.py, presence.py, …) are written once over
it and know nothing of SQLite or PostgreSQL; their statements stand in `sql/`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

from headbox.domain.task import Instant, Work
from headbox.storage.records import Worker
from headbox.storage.tally import Tally

T = TypeVar("T")
Row = tuple[Any, ...]
Rows = Sequence[Sequence[Any]]


class Level(NamedTuple):
    """Ready tasks that are claimed in one order."""

    queue: str
    is_async: bool
    priority: int
    first_time: Instant  # the earliest due time


class Ask(NamedTuple):
    """How many tasks to claim of a level, behind how many that it gave in the same claim."""

    level: Level
    share: int
    passed: int


class Transaction(Protocol):
    """An open transaction that runs named statements. `tally`: what its verb changes in how many tasks there are."""

    tally: Tally

    def one(self, name: str, /, **parameters: Any) -> Row | None:
        """The first row, or None."""
        ...

    def all(self, name: str, /, **parameters: Any) -> list[Row]:
        """Every row."""
        ...

    def change(self, name: str, /, **parameters: Any) -> int:
        """Runs a statement that changes rows; how many."""
        ...

    def many(self, name: str, /, names: tuple[str, ...], rows: Rows) -> int:
        """Runs a statement for each row of parameters; how many rows changed in all."""
        ...

    def batch(self, name: str, /, names: tuple[str, ...], rows: Rows, **parameters: Any) -> int:
        """Runs one statement over a whole set of rows, with parameters beside them; how many rows changed. SQLite sees
        what differs between them as JSON in `rows`, PostgreSQL one array for each of `names`."""
        ...

    def batch_rows(self, name: str, /, names: tuple[str, ...], rows: Rows, **parameters: Any) -> list[Row]:
        """`batch` for a statement that gives back what it has changed."""
        ...

    def claim(self, asks: Sequence[Ask], *, limit: int, most_bytes: int, worker: str, **terms: Any) -> list[Work]:
        """Claims from levels, one after the other, until there are `limit` tasks or `most_bytes` of arguments."""
        ...

    def of_levels(self, name: str, levels: Sequence[Level], **parameters: Any) -> Iterator[Row]:
        """Runs a statement that asks something of levels: the answers, in the order of the levels."""
        ...

    def select(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        """The rows of a statement that was put together from a filter (reading.py), one by one."""
        ...


class Database(Protocol):
    """Connections, transactions and what only this kind of database can tell."""

    url: str
    searched: str  # whether any text of a task that may be searched is like `:pattern`, a text in small letters (where
    # bytes beyond ASCII are told in octal: like `:octal`); letters beyond ASCII are compared as they are

    def write(
        self, work: Callable[[Transaction], T], *, is_repeatable: bool = False, dies_with_machine: bool = False
    ) -> T:
        """Runs `work` in a write transaction and commits; several threads' works may share one commit.
        `is_repeatable`: it may be run again where nobody knows whether it was committed. `dies_with_machine`: where the
        database's machine is the one that stops, nobody who knows of the work is left, so it may be undone."""
        ...

    def write_alone(self, work: Callable[[Transaction], T]) -> T:
        """The same for a work of one statement that may be repeated: it is a transaction by itself."""
        ...

    def is_wanted(self) -> bool:
        """Whether others cannot write until the write transaction that is open here ends, and wait for that."""
        ...

    def is_in_demand(self) -> bool:
        """Whether that was so a moment ago."""
        ...

    def read(self, work: Callable[[Transaction], T], *, is_long: bool = False) -> T:
        """Runs `work` on one consistent reading. `is_long`: it takes several statements, or ones that take long."""
        ...

    def reading(self) -> AbstractContextManager[Transaction]:
        """One consistent reading, for rows that are consumed as they come."""
        ...

    def join(self, connection: Any) -> AbstractContextManager[Transaction]:
        """The caller's own transaction: what is done in here is undone alone if it fails."""
        ...

    def is_unique_violation(self, error: Exception) -> bool: ...

    def enlist(self, worker: str) -> None:
        """Marks a worker of this process alive."""
        ...

    def discharge(self, worker: str) -> None: ...

    def is_alive(self, worker: Worker, now: Instant) -> bool: ...

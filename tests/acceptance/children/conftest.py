"""A supervisor for these tests: the real forkserver and real children, driven through Nursery and ChildLink."""

from __future__ import annotations

import json
import select
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from headbox.domain.task import Work
from headbox.worker.child_link import ChildLink
from headbox.worker.journal import JournalFile, Journals
from headbox.worker.nursery import Gone, Nursery
from headbox.worker.protocol import ChildReady, Ended, Exited, Failed, FromChild, FromForkserver, Kind, Ready, Started

PATIENCE = 30  # seconds; nothing here takes that long
Message = TypeVar("Message")


class Family:
    """One nursery with its children, and all that was heard of them, by child (None: the forkserver)."""

    def __init__(self, app: str | None, database: str | None = None, *, preload: bool = True) -> None:
        self.nursery = Nursery(app, database, preload=preload)
        self.links: dict[int, ChildLink] = {}
        self.heard: dict[int | None, list[FromChild | FromForkserver | Gone]] = defaultdict(list)
        self.folder = tempfile.TemporaryDirectory(prefix="headbox-journals-")
        self.journals = Journals(Path(self.folder.name))
        self._files: dict[int, JournalFile] = {}
        self._last_number = 0

    def start(self) -> Ready | Failed:
        self.nursery.start()
        return self.hear(None, (Ready, Failed))

    def child(self, kind: Kind = "sync") -> ChildLink:
        """A child that is ready, an async one for a hundred runs at a time."""
        link = self.newborn(kind)
        self.hear(link, ChildReady)
        if kind == "async":
            link.limit(100)
        return link

    def newborn(self, kind: Kind = "sync") -> ChildLink:
        self._last_number += 1
        journal = self._files[self._last_number] = self.journals.open("family", self._last_number)
        link = self.links[self._last_number] = self.nursery.raise_child(self._last_number, kind, journal.descriptor)
        return link

    def hear(self, of: ChildLink | None, kind: type[Message] | tuple[type[Message], ...]) -> Message:
        """The next message of that kind; takes it out of what was heard."""
        heard = self.heard[of.number if of else None]
        found = self.until(lambda: [message for message in heard if isinstance(message, kind)])
        heard.remove(found[0])
        return found[0]

    def ended(self, link: ChildLink) -> Ended:
        return self.hear(link, Ended)

    def started(self, link: ChildLink) -> list[int]:
        """The runs that an async child has said to have started."""
        return [seq for message in self.heard[link.number] if isinstance(message, Started) for seq in message.seqs]

    def exited(self, link: ChildLink) -> Exited:
        """The child's death, after all it has said was heard."""
        self.until(lambda: [message for message in self.heard[None] if _is_exit(message, link)])
        self.until(lambda: link.closed)
        exits = [message for message in self.heard[None] if _is_exit(message, link)]
        self.heard[None].remove(exits[0])
        return exits[0]

    def in_progress(self, link: ChildLink, seq: int) -> None:
        """Waits until that run is in progress."""
        self.until(lambda: (run := link.slot.in_progress()) and run.seq == seq)

    def until(self, condition: Callable[[], Any]) -> Any:
        """Listens until the condition holds. What it gives."""
        deadline = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline, f"in vain; heard: {dict(self.heard)}"
            self._listen()
        return value

    def close(self) -> None:
        self.nursery.stop()
        for link in [*self.links.values()]:
            self.forget(link)
        self.journals.close()
        self.folder.cleanup()

    def forget(self, link: ChildLink) -> None:
        """Closes the link of a child that has ended."""
        del self.links[link.number]
        self._files.pop(link.number).is_over = True
        self.journals.note_recorded(self.journals.heard())
        link.close()

    def _listen(self) -> None:
        links = {link.fileno(): link for link in self.links.values() if not link.closed}
        sources = [*links] + ([self.nursery.fileno()] if self.nursery.pid else [])
        readable, _, _ = select.select(sources, [], [], 0.01)
        for source in readable:
            if source in links:
                self.heard[links[source].number] += links[source].receive() or ()
            else:
                self.heard[None] += self.nursery.receive()


def _is_exit(message: object, link: ChildLink) -> bool:
    return isinstance(message, Exited) and message.number == link.number


class Tasks:
    """Makes work of the application's tasks: `work.add(1, 2)`."""

    def __getattr__(self, name: str) -> Callable[..., Work]:
        return lambda *args: Work(f"{name}-id", 1, f"tasks:{name}", args=json.dumps(args).encode(), method_name=name)


@pytest.fixture
def work() -> Tasks:
    return Tasks()


@pytest.fixture
def make_family(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Family]]:
    """Starts families in a folder: this one, whose application is `tasks:queue`, unless another is given."""
    monkeypatch.setenv("HEADBOX_DATABASE", f"sqlite:///{tmp_path}/headbox.db")
    families = []

    def make(app: str | None = "tasks:queue", *, folder: Path = Path(__file__).parent, **options: Any) -> Family:
        monkeypatch.chdir(folder)
        family = Family(app, **options)
        families.append(family)
        return family

    yield make
    for family in families:
        family.close()


@pytest.fixture
def family(make_family: Callable[..., Family]) -> Family:
    family = make_family()
    ready = family.start()
    assert isinstance(ready, Ready), ready
    return family

"""What a child has noted is found when its worker is dead, whole and in order, and by one alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from headbox.domain.errors import StorageUnavailable
from headbox.domain.task import Work
from headbox.task_queue.running import Ending
from headbox.worker import journal
from headbox.worker.journal import HALF, HEADER, TURN, End, Journal, JournalFile, Journals, folder_of, left_behind
from headbox.worker.protocol import Ended, Frames, FromChild

WORK = Work("01a2", 3, "f")


def ended(seq: int, result: bytes = b"null", *, interrupted: bool = False) -> Ended:
    return Ended(seq, 10, 20, interrupted, Ending("succeed", result))


class Files:
    """A worker's journals and its children's sides of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journals = Journals(folder)
        self.descriptors: list[int] = []
        self.children: list[Journal] = []

    def child(self, worker: str = "w", number: int = 1) -> tuple[JournalFile, Journal]:
        file = self.journals.open(worker, number)
        self.descriptors.append(file.descriptor)
        self.children.append(Journal(file.descriptor))
        return file, self.children[-1]

    def die(self) -> None:
        """Every process of the worker ends at once."""
        for child in self.children:
            child.close()
        for descriptor in self.descriptors:
            os.close(descriptor)
        for file in self.journals._files:
            file.close()
        self.descriptors.clear()
        self.children.clear()
        self.journals._files.clear()

    def left(self, *dead: str, known: tuple[str, ...] = ()) -> dict[str, list[End]]:
        with left_behind(self.folder, set(dead), {*dead, *known}) as ends:
            assert ends is not None
            return ends


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    files = Files(tmp_path / "ends")
    yield files
    files.die()


def test_what_was_noted_is_what_was_sent_and_what_is_found(files: Files) -> None:
    _, child = files.child()
    ends = [ended(seq, b'"%d"' % seq) for seq in (1, 2)]
    frames: Frames[FromChild] = Frames(FromChild)  # type: ignore[type-arg]
    assert frames.feed(b"".join(child.note(WORK, end) for end in ends)) == ends
    files.die()
    assert files.left("w") == {"w": [End("01a2", 3, end) for end in ends]}


def test_what_was_found_is_deleted_once_it_is_recorded(files: Files) -> None:
    _, child = files.child()
    child.note(WORK, ended(1))
    files.die()
    with suppress(StorageUnavailable), left_behind(files.folder, {"w"}, {"w"}):
        raise StorageUnavailable("the database is away")
    assert len(files.left("w")["w"]) == 1
    assert files.left("w") == {} and not [*files.folder.iterdir()]


def test_the_end_of_an_interrupted_run_is_for_the_supervisor_to_judge(files: Files) -> None:
    _, child = files.child()
    child.note(WORK, ended(1, interrupted=True))
    files.die()
    assert files.left("w") == {"w": []}


def test_a_living_workers_journal_is_left_alone(files: Files) -> None:
    _, child = files.child()
    child.note(WORK, ended(1))
    assert files.left(known=("w",)) == {} and files.left() == {}
    assert len([*files.folder.iterdir()]) == 1


def test_a_dead_workers_journal_is_waited_for_while_a_child_of_it_is_dying(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, child = files.child()
    child.note(WORK, ended(1))
    monkeypatch.setattr(journal.time, "sleep", lambda _: files.die())
    assert len(files.left("w")["w"]) == 1


def test_what_a_worker_left_that_nobody_knows_goes_unread(files: Files) -> None:
    _, child = files.child()
    child.note(WORK, ended(1))
    files.die()
    assert files.left("another") == {} and not [*files.folder.iterdir()]


def test_of_two_who_look_the_second_is_told_to_look_again_later(files: Files) -> None:
    _, child = files.child()
    child.note(WORK, ended(1))
    files.die()
    with ExitStack() as stack:
        assert stack.enter_context(left_behind(files.folder, {"w"}, {"w"}))
        assert stack.enter_context(left_behind(files.folder, {"w"}, {"w"})) is None


def test_recorded_ends_give_room_to_new_ones_and_the_rest_is_kept(files: Files) -> None:
    file, child = files.child()
    result = b"1" * 1000
    for seq in range(1, 2000):  # some two megabytes
        child.note(WORK, ended(seq, result))
        file.recorded = max(0, seq - 3)
    files.die()
    found = [end.ended.seq for end in files.left("w")["w"]]
    assert {1997, 1998, 1999} <= set(found)
    assert len(found) <= 2 * TURN // len(result) + 2


def test_without_room_the_oldest_are_kept_and_nothing_is_overwritten(files: Files) -> None:
    _, child = files.child()
    for seq in range(1, 2000):
        child.note(WORK, ended(seq, b"1" * 1000))
    child.note(WORK, ended(2000, b"1" * 2 * HALF))
    files.die()
    found = [end.ended.seq for end in files.left("w")["w"]]
    assert found == [*range(1, len(found) + 1)] and len(found) > HALF // 1100


def test_what_a_kill_has_cut_short_does_not_count(files: Files) -> None:
    file, child = files.child()
    child.note(WORK, ended(1))
    path = files.folder / "w-1"
    filled = memoryview(os.pread(file.descriptor, HEADER, 0)).cast("Q")[journal.FILLED]
    files.die()
    with path.open("r+b") as written:
        written.seek(HEADER + filled)
        written.write(b"\0\0\0\1\2ab\0\0\1")
    assert [end.ended.seq for end in files.left("w")["w"]] == [1]


@pytest.mark.parametrize("rubbish", [b"", b"\xff" * 20, b"\xff" * (HEADER + 2 * HALF)])
def test_a_file_that_holds_something_else_is_said_and_does_no_harm(
    files: Files, caplog: pytest.LogCaptureFixture, rubbish: bytes
) -> None:
    files.folder.mkdir()
    (files.folder / "w-1").write_bytes(rubbish)
    assert files.left("w") == {"w": []}
    assert "w-1 cannot be read" in caplog.text


def test_where_no_file_can_be_had_memory_does_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    files = Files(tmp_path / "file" / "ends")
    for number in (1, 2):
        file, child = files.child(number=number)
        child.note(WORK, ended(1))
        file.heard, file.recorded, file.is_over = 1, 1, True
    assert len(caplog.records) == 1 and "runs that have ended and are not recorded yet will run again" in caplog.text
    files.journals.note_recorded(files.journals.heard())
    assert files.journals.heard() == ()
    files.die()


def test_a_journal_stays_until_all_that_its_child_has_told_is_recorded(files: Files) -> None:
    file, _ = files.child()
    file.heard = 1
    marks = files.journals.heard()
    file.heard, file.is_over = 2, True
    files.journals.note_recorded(marks)
    assert not files.journals.are_recorded and len(files.journals.heard()) == 1
    files.journals.note_recorded(files.journals.heard())
    assert files.journals.are_recorded and files.journals.heard() == () and not [*files.folder.iterdir()]


def test_what_is_not_recorded_outlives_a_worker_that_ends(files: Files) -> None:
    unrecorded, _ = files.child(number=1)
    files.child(number=2)
    unrecorded.heard = 1
    files.journals.close()
    assert [path.name for path in files.folder.iterdir()] == ["w-1"]


def test_journals_are_beside_the_database_or_in_a_folder_of_the_users() -> None:
    def identify() -> str:
        return "this database"

    assert folder_of(Path("/a/b.db"), identify) == Path("/a/b.db.ends")
    name = folder_of(None, identify, {"HOME": "/home/x"}).name
    assert folder_of(None, identify, {"HOME": "/home/x"}) == Path("/home/x/.local/state/headbox") / name
    assert folder_of(None, identify, {"HOME": "/h", "XDG_RUNTIME_DIR": "/run/x"}) == Path("/run/x/headbox") / name
    assert folder_of(None, identify, {"STATE_DIRECTORY": "/var/lib/headbox:/b"}) == Path("/var/lib/headbox") / name
    assert folder_of(None, lambda: "another database", {"HOME": "/h"}).name != name

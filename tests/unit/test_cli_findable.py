"""What a service leaves for commands beside it, and how it says what to type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headbox.assemble import leave_password, make_admin, open_queue, recall_password
from headbox.cli import findable
from headbox.cli.findable import Findable, example_call, hints, needs_nothing
from headbox.cli.local_service import find
from headbox.config import Settings
from headbox.storage.records import Callable, Worker
from headbox.task_queue.queue import TaskQueue


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskQueue]:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    queue = open_queue(Settings(database=f"sqlite:///{tmp_path}/headbox.db"))
    yield queue
    queue.store.close()


@pytest.fixture
def clock_now(queue: TaskQueue) -> int:
    return queue.clock.now()


def test_from_stay_to_leave_it_is_found_with_a_token_that_is_good(queue: TaskQueue) -> None:
    make_admin(queue, "a password", is_watched=False)
    service = Findable(queue, "http://127.0.0.1:8000/")
    service.stay()
    (found,) = find()
    assert (found.url, found.database) == ("http://127.0.0.1:8000/", queue.store.url)
    assert found.token and [token.name for token in queue.store.tokens()] == ["local service"]
    service.leave()
    assert find() == [] and queue.store.tokens() == []


def test_without_a_super_user_it_is_found_without_a_token(queue: TaskQueue) -> None:
    service = Findable(queue, "http://127.0.0.1:8000/")
    service.stay()
    assert [found.token for found in find()] == [None]
    service.leave()


def test_a_renewal_keeps_the_token_before_and_all_end_with_the_service(
    queue: TaskQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findable, "RENEWAL", 3600.0)
    make_admin(queue, "a password", is_watched=False)
    service = Findable(queue, "http://127.0.0.1:8000/")
    service.stay()
    before = find()[0].token
    service._renew()
    assert find()[0].token != before and len(queue.store.tokens()) == 2
    service.leave()
    assert queue.store.tokens() == []


def test_a_place_that_cannot_be_written_is_a_warning(
    queue: TaskQueue, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "headbox.db"))  # no directory
    service = Findable(queue, "http://127.0.0.1:8000/")
    service.stay()
    assert "need --url and --token" in caplog.text
    service.leave()


def task(name: str, signature: str, docstring: str | None = None) -> Callable:
    return Callable(name=f"shop:{name}", short_name=name, signature=signature, docstring=docstring)


def test_without_tasks_the_hints_propose_none(queue: TaskQueue) -> None:
    assert [line.strip() for line in hints(queue, "headbox").splitlines()[1:]] == [
        "headbox task watch",
        "headbox task list",
    ]


def test_a_docstrings_example_is_proposed_first() -> None:
    sync = task("sync", "(repository)", "Syncs.\n\nheadbox task enqueue sync 'my tools' --wait\n")
    assert example_call([task("a", "()"), sync]) == "sync 'my tools' --wait"


def test_an_example_is_words_whatever_a_shell_would_read_into_it() -> None:
    sly = task("sly", "(x)", "headbox task enqueue sly $(reboot); reboot \x1b[2J")
    assert example_call([sly]) == "sly '$(reboot);' reboot '\\x1b[2J'"
    assert example_call([task("torn", "(x)", "headbox task enqueue torn 'x")]) is None


def test_a_task_that_needs_no_arguments_is_proposed_next() -> None:
    assert example_call([task("pack", "(what)"), task("ship", "(to='home')")]) == "ship --wait"


@pytest.mark.parametrize(
    "signature",
    ["()", "(a=1, *, b: 'int' = 2)", "(*args, **kwargs) -> 'None'", "(a='x, (y', /)"],
)
def test_a_signature_that_needs_nothing_is_known(signature: str) -> None:
    assert needs_nothing(signature)


@pytest.mark.parametrize(
    "signature",
    ["(a)", "(a, b=1)", "(*, a)", "(a, /)", "(…)", "(a=<object object at 0x7f>)", "(): pass\nprint()\nif ("],
)
def test_any_other_signature_is_not_proposed(signature: str) -> None:
    assert not needs_nothing(signature)


def test_where_no_call_can_be_proposed_the_signatures_are_shown(queue: TaskQueue, clock_now: int) -> None:
    worker = Worker(
        id="w", host="h", boot_id="b", pid=1, process_start=1, app="shop:queue", queues=(), concurrency=1,
        start_time=clock_now, heartbeat_time=clock_now, lease=1,
    )  # fmt: skip
    queue.store.register(worker, [task("pack", "(what, to='home')")], [], clock_now)
    assert hints(queue, "headbox").splitlines()[-1].strip() == "The tasks are pack(what, to='home')"


def test_the_password_is_shown_to_a_person_and_left_in_a_file_otherwise(queue: TaskQueue, tmp_path: Path) -> None:
    said = make_admin(queue, None, is_watched=True)
    assert "password" in said and "shown this once" in said
    assert not list(tmp_path.glob("*.admin-password"))
    assert recall_password(queue).endswith("sets another password")


def test_a_file_with_another_password_is_not_mentioned(queue: TaskQueue, tmp_path: Path) -> None:
    assert str(tmp_path / "headbox.db.admin-password") in make_admin(queue, None, is_watched=False)
    assert "was left in" in recall_password(queue)
    leave_password(queue, "not the password")
    assert "was left in" not in recall_password(queue)


def test_a_given_password_needs_no_word(queue: TaskQueue) -> None:
    assert make_admin(queue, "a password", is_watched=False) == ""
    assert "`headbox user passwd admin`" in make_admin(queue, "a password", is_watched=False)

"""What a service leaves for commands beside it, and how it says what to type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headbox.assemble import leave_password, make_admin, open_queue, recall_password
from headbox.cli import findable
from headbox.cli.findable import Findable, hints, typed_name
from headbox.cli.local_service import find
from headbox.config import Settings
from headbox.task_queue.queue import TaskQueue


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskQueue]:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    queue = open_queue(Settings(database=f"sqlite:///{tmp_path}/headbox.db"))
    yield queue
    queue.store.close()


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


def test_the_hints_are_as_they_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / ".venv" / "bin" / "headbox"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert typed_name(".venv/bin/headbox") == typed_name(str(program)) == ".venv/bin/headbox"
    monkeypatch.setenv("PATH", str(program.parent))
    assert typed_name(str(program)) == "headbox"
    assert typed_name("/usr/lib/headbox/cli/__main__.py") == "headbox"
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir("/")
    assert typed_name(str(program)) == str(program).lstrip("/")


def test_without_tasks_the_hints_name_none(queue: TaskQueue) -> None:
    assert "one of" not in hints(queue, "headbox")


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

"""The file by which commands find a `serve` of the same user on this machine."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest

from headbox.cli import connection, local_service
from headbox.cli.connection import authorize, connect, find_local
from headbox.cli.local_service import LocalService, absolute, find, leave, places, process_start


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    environ = {"XDG_RUNTIME_DIR": str(runtime), "HOME": str(tmp_path / "home")}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


def here(database: str = "sqlite:////a.db", url: str = "http://127.0.0.1:8000/", token: str = "secret") -> LocalService:
    return LocalService(os.getpid(), process_start(os.getpid()) or 0, url, database, token)


def another(service: LocalService, pid: int) -> LocalService:
    return service._replace(pid=pid, process_start=process_start(pid) or 0)


@pytest.fixture
def other_pid() -> int:
    return os.getppid()


def test_what_is_left_is_found_and_for_its_user_alone(environ: dict[str, str]) -> None:
    path = leave(here(), environ)
    assert path.parent == Path(environ["XDG_RUNTIME_DIR"]) / "headbox"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert find(environ) == [here()]


def test_it_is_written_anew_in_place(environ: dict[str, str]) -> None:
    leave(here(token="first"), environ)
    leave(here(token="second"), environ)
    assert [service.token for service in find(environ)] == ["second"]


def test_without_a_runtime_directory_it_lies_in_the_home_directory(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "gone")}
    assert leave(here(), environ).parent == tmp_path / ".local" / "state" / "headbox"
    assert places({"HOME": str(tmp_path)}) == [tmp_path / ".local" / "state" / "headbox"]


def test_a_service_that_was_started_without_the_session_is_found_from_within(environ: dict[str, str]) -> None:
    leave(here(), {"HOME": environ["HOME"]})
    assert find(environ) == [here()]


def test_the_file_of_a_process_that_died_is_taken_away(environ: dict[str, str]) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path = leave(here()._replace(pid=ended.pid), environ)
    assert find(environ) == [] and not path.exists()


def test_a_pid_that_was_used_again_is_another_process(environ: dict[str, str]) -> None:
    leave(here()._replace(process_start=1), environ)
    assert find(environ) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "\x00"])
def test_a_file_that_is_none_of_ours_is_passed_over(content: str, environ: dict[str, str]) -> None:
    path = leave(here(), environ)
    path.write_text(content)
    assert find(environ) == []


def test_a_file_that_others_can_read_is_not_trusted(environ: dict[str, str]) -> None:
    leave(here(), environ).chmod(0o644)
    assert find(environ) == []


def test_one_service_is_the_one_that_is_meant(environ: dict[str, str]) -> None:
    leave(here(), environ)
    client = connect(None, None, None)
    assert client.url == "http://127.0.0.1:8000/"


def test_a_url_brings_its_token_only_where_it_is_the_local_service(environ: dict[str, str]) -> None:
    leave(here(), environ)
    assert find_local("http://127.0.0.1:8000") == here()
    assert find_local("http://127.0.0.1:8001") is None


def test_of_several_the_configured_database_chooses(
    environ: dict[str, str], other_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(here("sqlite:////a.db"), environ)
    leave(another(here("sqlite:////b.db", "http://127.0.0.1:8001/"), other_pid), environ)
    with pytest.raises(click.ClickException, match=r"--url http://127\.0\.0\.1:8000/ \(sqlite:////a\.db\)"):
        find_local(None)
    monkeypatch.setenv("HEADBOX_DATABASE", "sqlite:////b.db")
    found = find_local(None)
    assert found is not None and found.url == "http://127.0.0.1:8001/"


def test_no_password_of_a_database_is_shown(
    environ: dict[str, str], other_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(here("postgresql://ann:hunter2@db/a"), environ)
    leave(another(here("postgresql://db/b?user=ann&password=hunter2", "http://127.0.0.1:8001/"), other_pid), environ)
    monkeypatch.setenv("HEADBOX_DATABASE", "postgresql://ann:hunter2@db/c")
    with pytest.raises(click.ClickException) as refusal:
        find_local(None)
    assert "hunter2" not in refusal.value.message
    for database in ("postgresql://ann:********@db/a", "db/b?user=ann", "postgresql://ann:********@db/c"):
        assert database in refusal.value.message
    monkeypatch.setenv("HEADBOX_DATABASE", "postgresql://ann:hunter2@db/a")
    assert find_local(None) == here("postgresql://ann:hunter2@db/a")


def test_two_services_of_one_database_are_as_good_as_one(environ: dict[str, str], other_pid: int) -> None:
    leave(here(), environ)
    leave(another(here(url="http://127.0.0.1:8001/"), other_pid), environ)
    assert find_local(None) is not None


def test_without_a_service_and_a_url_the_error_says_both_ways_out(environ: dict[str, str]) -> None:
    with pytest.raises(click.ClickException, match=r"`headbox serve`.*--url"):
        connect(None, None, None)


def test_a_relative_database_is_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("sqlite:///x.db") == f"sqlite:///{tmp_path}/x.db"
    assert absolute("sqlite:////y/x.db") == "sqlite:////y/x.db"
    assert absolute("postgresql://host/x") == "postgresql://host/x"


def test_credentials_become_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    assert authorize(None, None) is None
    assert authorize(None, "abc") == "Bearer abc"
    monkeypatch.setattr(connection, "ask_password", lambda prompt: "pässword")
    assert authorize("ann", "abc") == "Basic YW5uOnDDpHNzd29yZA=="


@pytest.mark.parametrize("token", ["two words", "new\nline", "ümlaut"])
def test_what_can_be_no_token_is_refused(token: str) -> None:
    with pytest.raises(click.UsageError, match="no token"):
        authorize(None, token)


def test_a_process_that_does_not_exist_has_no_start() -> None:
    assert local_service.process_start(2**22 + 1) is None

"""`serve --reload` notices a change of the code, and nothing else."""

from __future__ import annotations

import select
from collections.abc import Callable
from pathlib import Path

import pytest

from headbox.cli.code_watch import CodeWatch, directories, roots


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("shop", "shop/orders", ".git", "shop/__pycache__", "env/lib"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / "shop" / "tasks.py").write_text("1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_only_directories_of_the_users_own_code_are_watched(code: Path) -> None:
    assert sorted(directories(code)) == [code, code / "shop", code / "shop" / "orders"]


def first_change(watch: CodeWatch, act: Callable[[], object]) -> Path:
    act()
    while (path := watch.change()) is None:
        assert select.select([watch], [], [], 10)[0]
    return path


def test_a_file_that_is_written_replaced_or_removed_is_a_change(code: Path) -> None:
    path, draft = code / "shop" / "tasks.py", code / "shop" / "draft"
    draft.write_text("2")
    watch = CodeWatch(None)
    for act in (lambda: path.write_text("3"), lambda: draft.rename(path), path.unlink):
        assert first_change(watch, act) == path


def test_what_is_no_code_is_no_change(code: Path) -> None:
    def act() -> None:
        (code / "headbox.db").write_text("x")
        (code / "shop" / "__pycache__" / "tasks.py").write_text("x")
        (code / "last.py").write_text("x")

    assert first_change(CodeWatch(None), act) == code / "last.py"


def test_a_new_directory_is_watched_too(code: Path) -> None:
    watch = CodeWatch(None)
    (code / "new").mkdir()
    assert watch.change() is None
    assert first_change(watch, lambda: (code / "new" / "x.py").write_text("1")) == code / "new" / "x.py"


def test_an_application_that_lies_elsewhere_is_watched_without_being_imported(
    code: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "farm").mkdir()
    (elsewhere / "farm" / "__init__.py").write_text("raise SystemExit")
    (elsewhere / "barn.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(elsewhere)
    assert roots("farm.tasks:queue") == [code, elsewhere / "farm"]
    assert roots("barn:queue") == [code, elsewhere]
    assert roots("nowhere:queue") == [code]

"""Commands are shown so that they can be typed as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from headbox.cli.typed import as_typed, typed_name


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `headbox` in a virtual environment below the current directory, which is not on the PATH."""
    path = tmp_path / "a room" / "bin" / "headbox"
    path.parent.mkdir(parents=True)
    path.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    return path


def test_a_program_is_called_by_the_shortest_way_from_here(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed_name("a room/bin/headbox") == typed_name(str(program)) == "'a room/bin/headbox'"
    monkeypatch.chdir(program.parents[1])
    assert typed_name(str(program)) == "bin/headbox"


def test_one_that_the_shell_finds_needs_no_path(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent))
    assert typed_name(str(program)) == "headbox"


def test_a_module_that_was_run_is_no_program(program: Path) -> None:
    assert typed_name("/usr/lib/headbox/__main__.py") == "headbox"


def test_the_commands_in_a_sentence_call_that_program(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(program.parents[1])
    sentence = "no headbox here: `headbox db upgrade` makes one (see 'headbox db --help')"
    expected = "no headbox here: `bin/headbox db upgrade` makes one (see 'bin/headbox db --help')"
    assert as_typed(sentence, "bin/headbox") == expected
    assert as_typed(sentence, "__main__.py") == sentence

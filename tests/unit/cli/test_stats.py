"""The statistics as tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headbox.cli import connection
from headbox.cli.main import run

ENDS = {"finished": 0, "error": 0, "timed_out": 0, "canceled": 0, "reset": 0}
STATISTICS: dict[str, Any] = {
    "time": "2026-11-24T13:20:04Z",
    "states": {"waiting": 120, "running": 4, "reset": 0, "suspended": 2},
    "queues": [
        {"name": "a\x1b", "is_suspended": False, "waiting": 118, "running": 4, "reset": 0, "suspended": 2}
        | {"oldest_ready_seconds": 12.5},
        {"name": "b", "is_suspended": True, "waiting": 2000, "running": 0, "reset": 0, "suspended": 0}
        | {"oldest_ready_seconds": None},
    ],
    "oldest_ready_seconds": 12.5,
    "throughput": {
        "second": {**dict.fromkeys(ENDS, 0.0), "finished": 812.4},
        "minute": {**ENDS, "finished": 48000, "error": 3},
        "hour": {**ENDS, "finished": 48000, "error": 3},
        "total": {**ENDS, "finished": 1234567, "error": 3},
    },
    "lateness": {
        "hour": {"starts": 410, "late": 2, "p50_seconds": 0.005, "p95_seconds": 0.02, "max_seconds": 5.0},
        "total": {"starts": 99120, "late": 31},
    },
    "minutes": [{**ENDS, "finished": number} for number in range(60)],
    "days": [],
}


class Server:
    def __init__(self, *words: Any) -> None:
        pass

    def get(self, path: str) -> Any:
        assert path == "statistics/"
        return STATISTICS

    def close(self) -> None:
        pass


def test_it_is_shown_as_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(connection, "connect", Server)
    assert run(["stats"]) == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "4 running 120 waiting 2 suspended oldest ready for 12 s"
    assert "finished 812.4 48,000 48,000 1,234,567" in lines and "error 0.0 3 3 3" in lines
    assert "last hour 410 2 5 ms 20 ms 5.0 s" in lines and "ever 99,120 31" in lines
    assert "a\\x1b 118 4 0 2 12 s" in lines and "b (suspended) 2,000 0 0 0" in lines
    assert out.isprintable() or set(out) - {"\n"} == {character for character in out if character.isprintable()}


def test_for_scripts_it_is_as_the_server_tells_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection, "connect", Server)
    assert run(["stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == STATISTICS

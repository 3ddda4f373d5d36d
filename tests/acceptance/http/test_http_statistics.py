from __future__ import annotations

import asyncio
import json
import re
import socket
from datetime import UTC, datetime
from typing import Any

import httpx2 as httpx
import msgspec

from headbox.domain.task import MINUTE, SECOND
from headbox.storage.records import Report

OUTCOMES = {"finished": 0, "error": 0, "timed_out": 0, "canceled": 0, "reset": 0}


def test_the_statistics_count_tasks_by_state_and_queue(mill: Any) -> None:
    mill.running(queue="a")
    for _ in range(2):
        mill.task(queue="b")
    mill.store.suspend(mill.task(queue="b").id, mill.clock.time)
    mill.pass_time(90 * SECOND)
    found = mill.admin.get("/statistics/").json()
    assert found["time"] == "2026-12-01T12:01:30Z"
    assert found["states"] == {"waiting": 4, "running": 1, "reset": 0, "suspended": 1}  # the housekeeping waits too
    a, b, headbox = found["queues"]
    alike = {"is_suspended": False, "reset": 0}
    assert a == alike | {"name": "a", "waiting": 0, "running": 1, "suspended": 0, "oldest_ready_seconds": None}
    assert b == alike | {"name": "b", "waiting": 2, "running": 0, "suspended": 1, "oldest_ready_seconds": 90.0}
    assert headbox["name"] == "headbox"
    assert found["oldest_ready_seconds"] == 90.0


def test_python_is_told_the_same(mill: Any) -> None:
    mill.finished()
    mill.task(queue="b")
    mill.pass_time(90 * SECOND)
    told = mill.queue.statistics()
    assert json.loads(msgspec.json.encode(told)) == mill.admin.get("/statistics/").json()
    assert told.throughput.total.finished == 1 and told.oldest_ready_seconds == 90.0
    assert told.time == datetime(2026, 12, 1, 12, 1, 30, tzinfo=UTC)
    assert asyncio.run(mill.queue.statistics_async()) == told


def test_the_statistics_tell_how_runs_ended_and_how_late_they_started(mill: Any) -> None:
    mill.finished()
    mill.finish(mill.running(), "fail")
    mill.store.exchange("a", Report(lateness=[3_000, 400 * SECOND], late=1), None, mill.clock.time)
    found = mill.admin.get("/statistics/").json()
    ended = OUTCOMES | {"finished": 1, "error": 1}
    assert [found["throughput"][span] for span in ("minute", "hour", "total")] == [ended] * 3
    assert found["throughput"]["second"] == OUTCOMES | {"finished": 0.1, "error": 0.1}
    late = {"starts": 2, "late": 1, "p50_seconds": 0.005, "p95_seconds": 500.0, "max_seconds": 500.0}
    assert found["lateness"] == {"hour": late, "total": {"starts": 2, "late": 1}}
    assert len(found["minutes"]) == 60
    minute = {"enqueued": 4, **ended, "starts": 2, "late": 1, "p95_seconds": 500.0}
    assert found["minutes"][-1] == {"time": "2026-12-01T12:00:00Z"} | minute
    assert found["days"] == [{"time": "2026-12-01T00:00:00Z"} | minute]
    mill.pass_time(MINUTE)
    quiet = mill.admin.get("/statistics/").json()["minutes"]
    assert quiet[-2] == found["minutes"][-1]
    assert quiet[-1] == {"time": "2026-12-01T12:01:00Z", "enqueued": 0, **OUTCOMES, "starts": 0, "late": 0} | {
        "p95_seconds": None
    }


def test_the_statistics_take_the_permission_to_read(mill: Any) -> None:
    assert mill.client("readers").get("/statistics/").status_code == 200
    assert mill.client().get("/statistics/").status_code == 403
    assert mill.anonymous().get("/statistics/").status_code == 401


def test_prometheus_gets_the_same_figures(mill: Any) -> None:
    mill.finish(mill.running(), "fail")
    mill.task(queue='a"b\\c')
    mill.store.suspend_queue("c", mill.clock.time)
    mill.store.exchange("a", Report(lateness=[3_000, 4_000, 400 * SECOND], late=1), None, mill.clock.time)
    mill.pass_time(MINUTE)
    answer = mill.admin.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert answer.text.endswith("\n")
    for line in (
        "# TYPE headbox_tasks gauge",
        r'headbox_tasks{queue="a\"b\\c",state="waiting"} 1',
        r'headbox_oldest_ready_seconds{queue="a\"b\\c"} 60.0',
        'headbox_queue_suspended{queue="c"} 1.0',
        "headbox_tasks_enqueued_total 4",
        'headbox_runs_ended_total{outcome="error"} 1',
        'headbox_runs_ended_total{outcome="finished"} 0',
        "headbox_late_starts_total 1",
        'headbox_start_lateness_seconds_bucket{le="0.005"} 2',
        'headbox_start_lateness_seconds_bucket{le="500.0"} 3',
        'headbox_start_lateness_seconds_bucket{le="+Inf"} 3',
        "headbox_start_lateness_seconds_count 3",
        "headbox_workers 1",
    ):
        assert line in lines
    sample = re.compile(r'[a-z_]+(\{[a-z]+="([^"\\\n]|\\.)*"(,[a-z]+="([^"\\\n]|\\.)*")*\})? [0-9.]+')
    assert all(line.startswith("# ") or sample.fullmatch(line) for line in lines)
    assert mill.client().get("/metrics").status_code == 403


def test_a_port_of_its_own_gives_metrics_and_nothing_else(mill: Any, serve: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = serve(metrics_port=port)
    with httpx.Client(trust_env=False, timeout=30) as client:
        answer = client.get(f"http://127.0.0.1:{port}/metrics")
        assert answer.status_code == 200 and "headbox_workers 1" in answer.text.splitlines()
        assert client.get(f"http://127.0.0.1:{port}/tasks/").status_code == 404
        assert client.get(f"{address}metrics").status_code == 401

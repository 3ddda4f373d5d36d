"""Celery on whichever broker PEER_URL names, with as many processes as cores and results ignored."""

from __future__ import annotations

import os

from celery import Celery
from journal import tick

app = Celery("celery_any", broker=os.environ["PEER_URL"])
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64)
KINDS = ("nothing",)
WORKERS = [
    [
        "celery",
        "-A",
        "celery_any",
        "worker",
        "--concurrency",
        "2",
        "--loglevel",
        "WARNING",
        "--without-gossip",
        "--without-mingle",
    ]
]


@app.task
def nothing() -> None:
    tick()


def prepare() -> None:
    """The queues are made at first use."""


def one(kind: str) -> None:
    nothing.delay()

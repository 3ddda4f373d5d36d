"""Somebody's transaction that stays open for minutes while all else goes on, and what it costs: how many entries of the
claims' index are read for each run that ends, with it and without."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import psycopg

COUNTED = """SELECT idx_tup_read, (SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'headbox_task_history')
    FROM pg_stat_user_indexes WHERE indexrelname = 'headbox_tasks_ready'"""
PAUSE = 1.0  # seconds between two readings


class OpenTransaction(threading.Thread):
    """Holds a snapshot until its time is up; where the server ends the transaction, it begins another."""

    def __init__(self, connect: Callable[[], AbstractContextManager[psycopg.Connection[Any]]]) -> None:
        super().__init__(daemon=True)
        self._connect = connect
        self._until = 0.0  # it may be as long as it likes at first
        self._closed = threading.Event()
        self._counts = {True: [0, 0], False: [0, 0]}  # entries read and runs ended, while it was open and while not
        self.longest = 0.0  # seconds that one has lasted
        self._failure: Exception | None = None
        self.start()

    def leave_open(self, seconds: float) -> None:
        """From now on, for so long; for no longer than it was closed before."""
        now = time.monotonic()
        if not self.is_open:
            self._until = now + min(seconds, now - self._until)

    @property
    def is_open(self) -> bool:
        """Whether somebody holds it at the moment."""
        return time.monotonic() < self._until

    def run(self) -> None:
        while not self._closed.is_set():
            try:
                self._hold()
            except psycopg.Error:  # the server has ended it
                self._closed.wait(0.1)
            except Exception as error:
                self._failure = error
                return

    def _hold(self) -> None:
        with self._connect() as holder, self._connect() as reader:
            while not self._closed.is_set():
                if is_open := self.is_open:
                    holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                    holder.execute("SELECT count(*) FROM headbox_workers")
                self._count(reader, is_open)
                if is_open:
                    holder.execute("ROLLBACK")

    def _count(self, reader: psycopg.Connection[Any], is_open: bool) -> None:
        """For as long as the transaction is to stay open, or closed."""
        begun, before = time.monotonic(), None
        while not self._closed.wait(PAUSE) and self.is_open == is_open:
            now = reader.execute(COUNTED).fetchone()
            if now and before and now[0] >= before[0] and now[1] >= before[1]:  # a crash sets them to 0
                for place, (new, old) in enumerate(zip(now, before, strict=True)):
                    self._counts[is_open][place] += new - old
            before = now
            if is_open:
                self.longest = max(self.longest, time.monotonic() - begun)

    def entries_per_run(self, is_open: bool) -> int:
        """How many index entries were read for each run, rounded up."""
        entries, runs = self._counts[is_open]
        return -(-entries // max(1, runs))

    def runs(self) -> int:
        """How many have ended beside an open transaction."""
        return self._counts[True][1]

    def close(self) -> None:
        """Ends it. Raises what it has failed by."""
        self._closed.set()
        self.join()
        if self._failure is not None:
            raise self._failure

"""The floor of SQLite: WAL, `synchronous=FULL`, one connection."""

from __future__ import annotations

import json
import sqlite3
import time

from benchmarks.floor.rows import BATCH, COLUMNS, DROPPED, rows

INSERT = f"INSERT INTO headbox_tasks ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
# Half the time of `executemany`: what all rows have in common is not bound again for each.
BULK = f"""
    INSERT INTO headbox_tasks ({", ".join(COLUMNS)})
    SELECT value ->> 0, {", ".join("?" * (len(COLUMNS) - 1))} FROM json_each(?)
"""
CLAIM = """
    UPDATE headbox_tasks SET state = 'running', worker = 'floor', claimed_state = 'waiting', snapshot_id = 'floor'
    WHERE id IN (SELECT id FROM headbox_tasks
                 WHERE state IN ('waiting', 'reset') AND held = 0 AND queue = 'default' AND is_async = 0
                     AND priority = 0 AND due_time <= ? ORDER BY due_time, id LIMIT ?)
    RETURNING id
"""
ENDED = {"state": "'finished'", "start_time": "?2", "finish_time": "?2", "final": "1"}


class SQLiteFloor:
    """A copy of the project's tables in a file beside its own. Rates are per second."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(f"{path}.floor", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0", "cache_size=-16384"):
            self._connection.execute(f"PRAGMA {pragma}")
        with sqlite3.connect(path) as project:
            tables = "tbl_name IN ('headbox_tasks', 'headbox_task_history') AND sql IS NOT NULL"
            schema = project.execute(f"SELECT sql FROM sqlite_master WHERE {tables}").fetchall()
        for (sql,) in schema:
            if not self._exists(sql):
                self._connection.execute(sql)
        described = self._connection.execute("SELECT * FROM headbox_tasks LIMIT 0").description
        kept = [column[0] for column in described if column[0] not in DROPPED]
        values = ", ".join(ENDED.get(column, column) for column in kept)
        self._archive = f"""
            INSERT INTO headbox_task_history ({", ".join(kept)})
            SELECT {values} FROM headbox_tasks WHERE id IN (SELECT value FROM json_each(?1))
        """

    def _exists(self, sql: str) -> bool:
        return bool(self._connection.execute("SELECT 1 FROM sqlite_master WHERE sql = ?", [sql]).fetchone())

    def singles(self, count: int) -> float:
        """Inserts of one row, each committed."""
        given, execute = rows(count), self._connection.execute
        began = time.perf_counter()
        for row in given:
            execute("BEGIN IMMEDIATE")
            execute(INSERT, row)
            execute("COMMIT")
        return count / (time.perf_counter() - began)

    def bulk(self, count: int) -> float:
        """The same rows in one statement."""
        given = rows(count)
        began = time.perf_counter()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(BULK, (*given[0][1:], json.dumps([row[:1] for row in given])))
        self._connection.execute("COMMIT")
        return count / (time.perf_counter() - began)

    def drain(self, count: int) -> float:
        """Claims and finishes all there is, in batches of 500; ends one batch and claims the next in one commit."""
        self._connection.execute("DELETE FROM headbox_tasks")
        self.bulk(count)
        execute, ids, done = self._connection.execute, [], 0
        began = time.perf_counter()
        while done < count:
            now = time.time_ns() // 1000
            execute("BEGIN IMMEDIATE")
            if ids:
                held = json.dumps(ids)
                execute(self._archive, (held, now))
                execute("DELETE FROM headbox_tasks WHERE id IN (SELECT value FROM json_each(?))", (held,))
                done += len(ids)
            ids = [id for (id,) in execute(CLAIM, (now, BATCH)).fetchall()]
            execute("COMMIT")
        return count / (time.perf_counter() - began)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

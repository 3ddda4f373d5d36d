"""Code is named so that a worker can import it, also what was defined in a program's `__main__`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from dataclasses import dataclass
from headbox import TaskQueue
from headbox.config import Settings

queue = TaskQueue(settings=Settings(database="sqlite:///{folder}/headbox.db"))

@dataclass
class Order:
    number: int

    def pack(self): return f"packed {{self.number}}"

@queue.task
def ship(order): return order

def plain(order): return order.number

if __name__ == "__main__":
    ship.enqueue(Order(1))
    queue.enqueue(plain, [Order(2)])
    queue.enqueue(Order(3).pack)
    print(*(task.callable for task in queue.find(queue="default")))
"""

WORKER = """
import {module} as app
from headbox.testing import drain
for task in drain(app.queue):
    print(task.exception or task.result)
"""


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def write(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(PROGRAM.format(folder=folder))


@pytest.mark.parametrize(
    ("file", "start", "module"),
    [
        ("shop.py", ["shop.py"], "shop"),
        ("shop.py", ["-m", "shop"], "shop"),
        ("shop/orders.py", ["-m", "shop.orders"], "shop.orders"),
        ("shop/__main__.py", ["-m", "shop"], "shop.__main__"),
    ],
)
def test_what_a_program_defines_is_run_by_another(tmp_path: Path, file: str, start: list[str], module: str) -> None:
    write(tmp_path, file)
    program = python(tmp_path, *start)
    assert program.stdout.split() == [f"{module}:ship", f"{module}:plain", f"{module}:Order.pack"], program.stderr
    worker = python(tmp_path, "-c", WORKER.format(module=module))
    assert worker.stdout.splitlines() == ["Order(number=1)", "2", "packed 3"], worker.stderr


def test_a_program_that_no_worker_could_import_is_refused_in_one_sentence(tmp_path: Path) -> None:
    write(tmp_path, "my-shop.py")
    program = python(tmp_path, "my-shop.py")
    assert "InvalidTask: a task defined in my-shop.py, which was started as a script" in program.stderr
    assert "put the task in a module that workers can import" in program.stderr


def test_an_interactive_session_is_refused_in_one_sentence(tmp_path: Path) -> None:
    session = subprocess.run(
        [sys.executable, "-c", "from headbox import TaskQueue\n@TaskQueue().task\ndef f(): ..."],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, env=os.environ,
    )  # fmt: skip
    assert "a task defined in an interactive session cannot be imported by a worker" in session.stderr

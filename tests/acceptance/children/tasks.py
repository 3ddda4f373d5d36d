"""The application of these tests: tasks that end well, tasks that get stuck in every way there is, tasks that kill."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from headbox import Interrupted, TaskQueue, current_task

queue = TaskQueue()
started_with = []


@queue.on_child_start
def note_start() -> None:
    started_with.append(os.getpid())


# tasks that end


@queue.task
def add(a: int, b: int) -> int:
    return a + b


@queue.task
def fail() -> None:
    raise ValueError("no such feed")


@queue.task
def nothing() -> None:
    pass


@queue.task
def describe_process() -> dict[str, object]:
    descriptors = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)]
    return {
        "pid": os.getpid(),
        "group": os.getpgid(0),
        "parent": os.getppid(),
        "main_thread": threading.current_thread() is threading.main_thread(),
        "started_with": started_with,
        "descriptors": descriptors,
        "environment": {name: value for name, value in os.environ.items() if name.startswith("HEADBOX_")},
    }


@queue.task
def count_to(number: int) -> None:
    for done in range(number):
        current_task().report({"done": done + 1})


@queue.task
def report_from_a_thread() -> None:
    thread = threading.Thread(target=current_task().report, args=[{"from": "a thread"}])
    thread.start()
    thread.join()


@queue.task
def fork_and_fall_out() -> int:
    """Both processes return from here."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return pid


# tasks that get stuck


@queue.task
def sleep(seconds: float = 1000) -> None:
    time.sleep(seconds)


@queue.task
def loop() -> None:
    while True:
        pass


@queue.task
def read_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


@queue.task
def wait_for_subprocess() -> None:
    subprocess.run(["sleep", "1000"], check=False)


@queue.task
def wait_for_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@queue.task
def match_regex() -> None:
    re.match(r"(a+)+$", "a" * 64 + "b")


@queue.task
def run_event_loop() -> None:
    asyncio.run(asyncio.sleep(1000))


@queue.task
def report_much() -> None:
    """Fills the pipe to the supervisor, so that it is stuck in sending most of the time."""
    while True:
        current_task().report("x" * 60_000)


@queue.task
def hold_the_interpreter() -> None:
    """A loop in C: no signal handler of Python's can run."""
    max(itertools.repeat(1))


@queue.task
def swallow_everything(path: str) -> None:
    """Writes a line for each interrupt, and goes on."""
    while True:
        try:
            time.sleep(1000)
        except BaseException as error:
            with Path(path).open("a") as file:
                file.write(f"{type(error).__name__}\n")


@queue.task
def clean_up_when_interrupted() -> str:
    try:
        time.sleep(1000)
    except Interrupted as interruption:
        return f"cleaned up: {interruption}"
    return "slept"


# tasks that kill


@queue.task
def exit_process(status: int) -> None:
    os._exit(status)


@queue.task
def kill_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@queue.task
def crash_process() -> None:
    ctypes.string_at(0)


@queue.task
def start_subprocess(path: str, then: str) -> None:
    """Leaves a subprocess, writes its pid and its child's, and goes on to sleep or to exit."""
    process = subprocess.Popen(["sh", "-c", f"sleep 1000 & echo $! > {path}.new; mv {path}.new {path}; wait"])
    del process
    if then == "exit":
        while not Path(path).exists():
            pass
        os._exit(1)
    time.sleep(1000)


# asynchronous tasks


@queue.task
async def add_async(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


@queue.task
async def sleep_async(seconds: float = 1000) -> str:
    await asyncio.sleep(seconds)
    return current_task().id


@queue.task
async def meet(path: str, count: int) -> None:
    """Ends once `count` runs are in here at the same time."""
    with Path(path).open("a") as file:
        file.write(".")
    while Path(path).stat().st_size < count:
        await asyncio.sleep(0)
    current_task().report(current_task().id)


@queue.task
async def block_the_loop() -> None:
    time.sleep(1000)


def _is_open(name: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{name}")

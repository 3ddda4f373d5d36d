"""The application of the tests of `headbox work`: tasks that end, that are stuck in every way there is, that kill."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from headbox import Discard, Interrupted, Retry, TaskQueue, current_task
from headbox.worker.protocol import frame

queue = TaskQueue()
hooks_called: list[str] = []


@queue.on_child_start
def greet() -> None:
    hooks_called.append("on_child_start")


@queue.before_run
def note_before(task: Any) -> None:
    hooks_called.append("before_run")


@queue.after_run
def note_after(task: Any, ending: Any) -> None:
    """Writes how `tell_hooks` ended, beside what was called before."""
    if task.method_name == "tell_hooks":
        hooks_called.append("after_run")
        Path(os.environ["SHOPFLOOR_HOOKS"]).write_text(f"{ending.event} {' '.join(hooks_called[-3:])}")


def journal(path: str, what: str = "") -> None:
    """One line in one write, padded so that none crosses a page: the kernel cuts a write short there when its process
    is killed, and the rest of the line would be somebody else's."""
    task = current_task()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, f"{task.id} {task.run} {what}".ljust(127).encode() + b"\n")
    os.close(descriptor)


def tell_pid() -> None:
    """Says through the progress that the task is at it, and where."""
    current_task().report(os.getpid())


# tasks that end


@queue.task
def add(a: int, b: int) -> int:
    return a + b


@queue.task
def nothing() -> None:
    pass


@queue.task
def write_line(path: str, what: str = "") -> None:
    journal(path, what)


@queue.task
def last(seconds: float, path: str) -> None:
    """Writes one line when it starts and another when it ends."""
    journal(path, f"start {time.monotonic_ns()}")
    tell_pid()
    time.sleep(seconds)
    journal(path, f"end {time.monotonic_ns()}")


@queue.task
def wait_a_bit(seconds: float, path: str) -> None:
    journal(path)
    time.sleep(seconds)


@queue.task(weight=3)
def last_heavily(seconds: float, path: str) -> None:
    last.function(seconds, path)


@queue.task
def wait_for(path: str) -> str:
    """Until somebody opens the named pipe for writing; gives what was written."""
    tell_pid()
    return Path(path).read_text()


@queue.task
def tell_hooks() -> None:
    hooks_called.append("run")


@queue.task
def describe() -> dict[str, Any]:
    return {"pid": os.getpid(), "parent": os.getppid(), "job": current_task().job_id, "owner": current_task().owner}


@queue.task
def report_often(times: int) -> None:
    for done in range(times):
        current_task().report({"done": done + 1, "total": times})


def halve(number: int) -> dict[str, float]:
    return {"half": number // 2}


@queue.task
def report_as_in_pulp(progress: Any) -> None:
    progress(42)


class Repository:
    def __init__(self, name: str) -> None:
        self.name = name

    def name_twice(self, times: int) -> str:
        return self.name * times


@queue.task
def enqueue_another(path: str) -> str:
    return write_line.enqueue(path, "another").id


@queue.task
def enqueue_after(seconds: float, path: str) -> str:
    tell_pid()
    time.sleep(seconds)
    return write_line.enqueue(path, "another").id


@queue.task
def give(size: int) -> str:
    return "x" * size


@queue.task
def give_when_told(path: str, size: int) -> str:
    """A large result, once somebody has written to the named pipe."""
    tell_pid()
    Path(path).read_text()
    return "x" * size


@queue.task
def give_and_die(size: int, path: str) -> str:
    """A large result, from a child that dies as soon as it has sent it."""
    journal(path)
    threading.Thread(target=_die_when_idle, args=[threading.get_ident()]).start()
    return "x" * size


def _die_when_idle(thread: int) -> None:
    """Once the child's loop waits for more."""
    while sys._current_frames()[thread].f_code.co_name != "run":
        time.sleep(0)
    os.kill(os.getpid(), signal.SIGKILL)


@queue.task
def use_memory(mebibytes: int) -> int:
    hooks_called.extend(["x" * 1024 * 1024 for _ in range(mebibytes)])
    return os.getpid()


# tasks that fail


@queue.task
def fail(message: str = "no such feed") -> None:
    raise ValueError(message)


@queue.task(attempts=3, retry_on=ConnectionError)
def fail_otherwise(kind: str) -> None:
    raise {"connection": ConnectionError, "value": ValueError}[kind](kind)


@queue.task(attempts=3)
def retry_soon(path: str, after: float) -> str:
    """Succeeds at its third attempt."""
    journal(path)
    if len(Path(path).read_text().splitlines()) < 3:
        raise Retry(after=after)
    return "at last"


@queue.task(attempts=3)
def discard() -> None:
    raise Discard("there is no such repository")


# tasks that are stuck


@queue.task
def sleep(seconds: float = 1000) -> None:
    tell_pid()
    time.sleep(seconds)


@queue.task
def loop() -> None:
    tell_pid()
    while True:
        pass


@queue.task
def read_socket() -> None:
    tell_pid()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


@queue.task
def match_regex() -> None:
    tell_pid()
    re.match(r"(a+)+$", "a" * 64 + "b")


@queue.task
def swallow_everything() -> None:
    tell_pid()
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            continue


@queue.task
def hold_the_interpreter() -> None:
    """A loop in C: no signal handler of Python's can run."""
    tell_pid()
    max(itertools.repeat(1))


@queue.task
async def sleep_async(seconds: float = 1000) -> None:
    tell_pid()
    await asyncio.sleep(seconds)


@queue.task
async def block_the_loop() -> None:
    tell_pid()
    time.sleep(1000)


@queue.task
async def last_async(seconds: float, path: str) -> None:
    journal(path, "start")
    tell_pid()
    await asyncio.sleep(seconds)
    journal(path, "end")


@queue.task
def clean_up_when_interrupted(path: str) -> str:
    tell_pid()
    try:
        time.sleep(1000)
    except Interrupted:
        journal(path, "cleaned up")
    return "cleaned up"


# tasks that treat their process badly


@queue.task
def shield(how: str) -> None:
    """Keeps interrupts away, and sleeps."""
    if how == "ignore":
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    elif how == "block":
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    elif how == "replace":
        signal.signal(signal.SIGUSR1, lambda number, frame: None)
    elif how == "leave_group":
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        os.setpgid(0, os.getpgid(os.getppid()))
    elif how == "raise_in_handler":
        signal.signal(signal.SIGUSR1, lambda number, frame: 1 / 0)
    swallow_everything.function()


@queue.task
def cut_off(how: str) -> None:
    """Loses what ties the child to its supervisor."""
    if how == "close_descriptors":
        os.closerange(3, 256)
    elif how in ("write_garbage", "write_frame"):
        for descriptor in filter(_is_channel, range(3, 256)):
            with contextlib.suppress(OSError):  # it is for reading
                os.write(descriptor, b"\xff" * 64 if how == "write_garbage" else frame("no message"))
    elif how == "exit_in_a_thread":
        threading.Thread(target=os._exit, args=[5]).start()
    time.sleep(1000 if how == "exit_in_a_thread" else 0)


def _is_channel(descriptor: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith(("socket:", "pipe:"))
    except OSError:
        return False


@queue.task
def misbehave(how: str) -> None:
    match how:
        case "exit":
            sys.exit(3)
        case "recurse":
            misbehave.function(how)
        case "generator_exit":
            raise GeneratorExit
        case "interrupt_itself":
            raise Interrupted


@queue.task
def leave_daemon() -> None:
    """Forks what calls setsid and keeps all that is open."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        time.sleep(1000)
        os._exit(0)
    current_task().report(pid)
    swallow_everything.function()


@queue.task
def shout(times: int) -> None:
    sys.stdout.write("shout\n" * times)


# tasks that kill


@queue.task
def die(how: str, path: str, deaths: int = 1000) -> str:
    """Kills its process in the first so many runs."""
    journal(path, how)
    if sum(line.startswith(current_task().id) for line in Path(path).read_text().splitlines()) <= deaths:
        WAYS_TO_DIE[how]()
    return "survived"


def use_up_memory() -> None:
    """What the kernel does to a process that is out of memory is up to it: Python is told here, and aborts."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))
    libc = ctypes.CDLL(None)
    while ctypes.c_void_p(libc.malloc(1 << 16)):
        pass
    os.abort()


WAYS_TO_DIE = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(3),
    "segfault": lambda: ctypes.string_at(0),
    "memory": use_up_memory,
}


@queue.task
def start_subprocess() -> None:
    """Leaves a subprocess, and goes on."""
    subprocess.Popen(["sleep", "1000"])
    tell_pid()
    time.sleep(1000)


@queue.task
def stop_supervisor() -> str:
    """Stops the process that would record its end."""
    supervisor = _parent(os.getppid())
    os.kill(supervisor, signal.SIGSTOP)
    return str(supervisor)


@queue.task
def start_subprocess_and_swallow() -> None:
    subprocess.Popen(["sleep", "1000"])
    swallow_everything.function()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

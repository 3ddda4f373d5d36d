"""Imported by every Python that finds it on its path, before anything else: the wall clock is wrong by what the file
says that CHAOS_CLOCK names, for all processes that map it, from one reading to the next. The counters that no clock
governs (monotonic, boot time) stay as they are, and CLOCK_REALTIME still tells the truth to whoever asks it."""

from __future__ import annotations

import mmap
import os
import struct
import time

with open(os.environ["CHAOS_CLOCK"], "rb") as _file:
    _error = mmap.mmap(_file.fileno(), 8, prot=mmap.PROT_READ)  # nanoseconds

_true_time_ns = time.time_ns


def _time_ns() -> int:
    (error,) = struct.unpack("q", _error)
    return int(_true_time_ns() + error)


def _time() -> float:
    return _time_ns() / 1e9


time.time_ns = _time_ns
time.time = _time

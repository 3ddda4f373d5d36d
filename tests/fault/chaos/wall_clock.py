"""A machine's wall clock that can be set wrong, without touching that of the machine the tests run on."""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path
from typing import Final

WRONG_CLOCK: Final = Path(__file__).with_name("wrong_clock")


class WallClock:
    """The clock of all processes that are started with its `environment`; `now` is what they see."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._error = mmap.mmap(file.fileno(), 8)
        self.environment = {"PYTHONPATH": str(WRONG_CLOCK), "CHAOS_CLOCK": str(path)}

    def set(self, seconds: float) -> None:
        """Sets it so far before (or after, if negative) the true time: all of them see it jump."""
        self._error[:] = struct.pack("q", int(seconds * 1e9))

    def now(self) -> int:
        """Microseconds UTC, as those processes see it."""
        (error,) = struct.unpack("q", self._error)
        return int(time.time_ns() + error) // 1000

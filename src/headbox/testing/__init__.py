"""For the tests of applications: run a queue's tasks in the test itself, on a real database, with a clock that the test
moves. The pytest plugin (`pytest_plugins = ["headbox.testing.plugin"]`) has fixtures for all of it."""

from __future__ import annotations

from headbox.testing.clock import FakeClock
from headbox.testing.draining import drain, inline

__all__ = ["FakeClock", "drain", "inline"]

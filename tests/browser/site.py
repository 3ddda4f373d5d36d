"""The service that the browser visits: `headbox serve` with the example, its repositories, and a user of each kind."""

from __future__ import annotations

from pathlib import Path

from tests.service import Home, Starter

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse"


class Site:
    """A service in a folder of its own; `url` is where the browser finds it."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self._start = Starter()
        self._environ = {
            "PYTHONPATH": str(ROOT),
            "HEADBOX_ADMIN_PASSWORD": PASSWORD,
            "REPOSITORY_FEEDS": str(folder / "feeds"),
            "REPOSITORY_MIRRORS": str(folder / "mirrors"),
        }
        (folder / "feeds").mkdir()
        self.service = self._start(self.home, "--app", "examples.repository_sync:queue", **self._environ)
        self.url = self.service.ready()

    def close(self) -> None:
        self._start.end()

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from headbox.web.ui.assets import VENDORED

ROOT = Path(__file__).parents[2]


def test_a_wheel_has_all_that_the_dashboard_loads_and_whose_it_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(ZipFile(wheel).namelist())
    vendor = "headbox/web/static/vendor"
    assert {f"{vendor}/{name}" for name in VENDORED} <= names
    licenses = ("htmx.org", "htmx-ext-sse", "idiomorph", "uplot", "pico")
    assert {f"{vendor}/licenses/{name}.txt" for name in licenses} <= names
    assert {"headbox/web/static/headbox.css", "headbox/web/templates/ui/base.html"} <= names


def test_the_lock_of_the_dashboard_names_no_address() -> None:
    lock = (ROOT / "package-lock.json").read_text()
    assert "resolved" not in lock and "http" not in lock and '"integrity": "sha512-' in lock

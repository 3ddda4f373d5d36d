"""Programs that stand in for what would change this machine or ask the network, so that a page's own commands run.

What they do without either is real: the project is built and installed, units and images are read and their commands
run. MACHINE names the folder that is the root of the machine; `/opt/headbox` is a folder in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path[0] = str(ROOT)

from tests.docs.stand_ins import accounts, containers, packages, units  # noqa: E402 (they are found there)

PROGRAMS = {
    "install": accounts.install,
    "npm": packages.npm,
    "pip": packages.pip,
    "podman": containers.podman,
    "systemctl": units.systemctl,
    "useradd": accounts.useradd,
    "venv": packages.make_environment,
}

if __name__ == "__main__":
    try:
        PROGRAMS[sys.argv[1]](*sys.argv[2:])
    except ValueError as error:
        sys.exit(f"{sys.argv[1]}: {error}")

"""`python -m headbox`: the command line."""

from __future__ import annotations

from headbox.cli.main import main

main()

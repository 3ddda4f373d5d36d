"""Options that many commands have."""

from __future__ import annotations

from typing import Final

import rich_click as click

as_json: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
in_utc: Final = click.option("--utc", is_flag=True, help="Show times exactly, in UTC.")

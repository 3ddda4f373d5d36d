"""`headbox config`: the settings in force, and where each comes from."""

from __future__ import annotations

from typing import Any, Final

import rich_click as click

from headbox.cli.options import as_json
from headbox.cli.settings import SERVE, load, with_settings
from headbox.cli.table import Column, show_list
from headbox.config import describe

COLUMNS: Final = (Column("SETTING", 20, whole=True), Column("VALUE", 12, rank=1), Column("FROM", 12, rank=2))


@click.group()
def config() -> None:
    """Show the settings and where they come from."""


@config.command()
@with_settings(SERVE)
@as_json
def show(as_json: bool, **typed: Any) -> None:
    """Show every setting, its value and where it comes from; secrets are masked."""
    rows = describe(load(typed))
    if as_json:
        rows_as_json = [{"name": name, "value": value, "origin": origin} for name, value, origin in rows]
        show_list(rows_as_json, COLUMNS, tuple, as_json=True)
    else:
        show_list(rows, COLUMNS, tuple, as_json=False)

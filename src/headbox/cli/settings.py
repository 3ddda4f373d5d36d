"""Settings as options of a command, made from the table of settings, and what was typed of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import rich_click as click

from headbox.config import BY_NAME, Loaded, Settings, load_settings
from headbox.domain.errors import ConfigError

API: Final = (
    "database",
    "host",
    "port",
    "prefix",
    "metrics_port",
    "allowed_hosts",
    "trusted_proxies",
    "finished_lifetime",
    "grace",
)
WORK: Final = (
    "app",
    "database",
    "concurrency",
    "queues",
    "finished_lifetime",
    "history_lifetime",
    "history_runs",
    "audit_lifetime",
    "failure_threshold",
    "schedule_threshold",
    "lease",
    "grace",
    "cancel_grace",
    "async_concurrency",
    "child_runs",
    "child_memory",
)
SERVE: Final = (*WORK[:2], *(name for name in API if name not in WORK), *WORK[2:])
DATABASE: Final = ("database", "app")


def spell(name: str) -> str:
    """The option of a setting."""
    return f"--{name.replace('_', '-')}"


def with_settings(names: Sequence[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command an option for each of the settings; it gets what was typed, unread, as keyword arguments."""
    defaults = Settings()

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names):
            setting, default = BY_NAME[name], getattr(defaults, name)
            shown = "" if default in (None, ()) else f" [default: {setting.kind.show(default)}]"
            meaning = f"{setting.doc[0].upper()}{setting.doc[1:]}.{shown}"
            command = click.option(spell(name), name, metavar="VALUE", help=meaning)(command)
        return command

    return decorate


def load(typed: Mapping[str, Any]) -> Loaded:
    """The settings in force. A bad option is a usage error, a bad value elsewhere a ConfigError."""
    try:
        return load_settings(typed)
    except ConfigError as error:
        if str(error).startswith("option "):
            raise click.UsageError(str(error)) from None
        raise


def forward(typed: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """What was typed of these settings, as another command takes it."""
    return [word for name in names if typed.get(name) is not None for word in (spell(name), typed[name])]

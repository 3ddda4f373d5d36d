"""The reference of the settings, from the table that reads them."""

from __future__ import annotations

from typing import Final

from docs._generate.markdown import page, table
from headbox.cli.settings import API, WORK, spell
from headbox.config import NOT_SETTINGS, PREFIX, SETTINGS, Setting, Settings
from headbox.domain.errors import InvalidSchedule

OTHERS: Final = {
    "HEADBOX_CONFIG": "a file to read in place of `headbox.toml`",
    "HEADBOX_URL": "the API that `headbox task`, `job`, `worker` and `token` call",
    "HEADBOX_TOKEN": "the token that they call it with",
    "HEADBOX_TEST_POSTGRES": "of the project's own tests: the PostgreSQL server to use",
    "HEADBOX_SKIP_BROWSER": "of the project's own tests: leave out those that need a browser",
}


LONG: Final = 40  # characters; beyond, a default would make its column too wide
MANY: Final = "secret_keys"  # its singular is a variable, too
INTRODUCTION: Final = """
Command-line options count first, then the environment, then `headbox.toml` in the working directory (the setting's
name is the key), then the default. `headbox config show` lists the values in force and where each came from; an
unknown name or a bad value is an error that names its place. Spans are seconds or ISO 8601 (`PT25S`); lists have
commas between, or are lists in the file.
"""


def render() -> str:
    """The page. ValueError if a variable has no meaning in it."""
    if odd := set(OTHERS) ^ set(NOT_SETTINGS):
        raise ValueError(f"OTHERS and NOT_SETTINGS differ in {', '.join(sorted(odd))}: say what each means")
    return page(
        "# Configuration",
        INTRODUCTION,
        table(("setting", "default", ""), (_row(setting) for setting in SETTINGS)),
        *(_describe(setting) for setting in SETTINGS),
        "## Other variables",
        table(("variable", ""), ((f"`{name}`", meaning) for name, meaning in OTHERS.items())),
    )


def _row(setting: Setting) -> tuple[str, ...]:
    default = _default(setting)
    return f"[`{setting.name}`](#{setting.name})", default if len(default) < LONG else "a list", setting.doc


def _describe(setting: Setting) -> str:
    variable = f"{PREFIX}{setting.name.upper()}"
    takers = [f"`{name}`" for name, settings in (("api", API), ("work", WORK)) if setting.name in settings]
    told = [
        f"- in the environment: `{variable}`" + (f" (or `{variable[:-1]}`, for one)" if setting.name == MANY else ""),
        f"- as an option: `{spell(setting.name)}`, of `serve`, {', '.join(takers)}" if takers else "",
        f"- in `headbox.toml`: `{setting.name} = …`",
        f"- default: {_default(setting) or 'none'}",
    ]
    meaning = f"{setting.doc[0].upper()}{setting.doc[1:]}. {_values(setting)}"
    return page(f"## {setting.name}", meaning, "\n".join(line for line in told if line))


def _default(setting: Setting) -> str:
    default = getattr(Settings(), setting.name)
    return "" if default in (None, ()) else f"`{setting.kind.show(default).replace(',', ', ')}`"


def _values(setting: Setting) -> str:
    """What it may be, in the words with which anything else is refused."""
    try:
        setting.kind.read("\0")
    except InvalidSchedule:
        return ""
    except ValueError as refusal:
        return f"Give {str(refusal).partition('; give ')[2]}."
    return ""

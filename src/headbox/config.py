"""The settings, validated once: command-line options, then environment, then `headbox.toml`, then defaults.

What can be set is data (`SETTINGS`), each value remembers where it came from, and every error names that place.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from headbox.domain.errors import ConfigError, InvalidSchedule
from headbox.domain.iso8601 import format_duration, parse_duration
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND, Span

FILE: Final = "headbox.toml"
PREFIX: Final = "HEADBOX_"
NOT_SETTINGS: Final = {f"HEADBOX_{name}" for name in ("CONFIG", "TEST_POSTGRES", "SKIP_BROWSER", "URL", "TOKEN")}
ONE_KEY: Final = "secret_key"  # may be given in place of secret_keys
MASK: Final = "********"
MEBIBYTE: Final = 1024 * 1024


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set, with the defaults. Spans are microseconds, memory is bytes; `SETTINGS` says what each means."""

    database: str = "sqlite:///headbox.db"
    app: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    prefix: str = "/"
    metrics_port: int | None = None
    concurrency: int = 4
    queues: tuple[str, ...] = ()
    secret_keys: tuple[str, ...] = ()
    admin_password: str | None = None
    finished_lifetime: Span = HOUR
    history_lifetime: Span = 90 * DAY
    history_runs: int = 1000
    audit_lifetime: Span = 90 * DAY
    failure_threshold: int | None = None
    schedule_threshold: Span = 5 * MINUTE
    lease: Span = 20 * SECOND
    grace: Span = 25 * SECOND
    cancel_grace: Span = 5 * SECOND
    async_concurrency: int = 100
    child_runs: int | None = None
    child_memory: int | None = None
    redact: tuple[str, ...] = (
        "apikey", "auth", "authorization", "cookie", "credential", "credentials", "key", "keys", "passphrase", "passwd",
        "password", "passwords", "pwd", "secret", "secrets", "token", "tokens",
    )  # fmt: skip
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()


class Loaded(msgspec.Struct, frozen=True):
    """The settings in force and where each came from: `option --port`, `HEADBOX_PORT`, a file's name or `default`."""

    settings: Settings
    origins: dict[str, str]


class Kind(msgspec.Struct, frozen=True):
    """A kind of value. `read` takes text or a TOML value, and its ValueError goes on from there: "is not …; give …"."""

    read: Callable[[Any], Any]
    show: Callable[[Any], str] = str


class Setting(msgspec.Struct, frozen=True):
    """One thing that can be set; its field in `Settings` has the same name."""

    name: str
    kind: Kind
    doc: str
    secret: bool = False


class Source(msgspec.Struct, frozen=True):
    """Values found in one place. `spell` writes a setting's name as it stands there."""

    values: Mapping[str, Any]
    spell: Callable[[str], str]
    origin: str | None = None  # None: each value's own spelling


def load_settings(
    overrides: Mapping[str, Any], environ: Mapping[str, str] = os.environ, directory: Path = Path()
) -> Loaded:
    """The settings in force. `overrides` are the command line's options; one that is None was not given.

    Raises:
        ConfigError: a name is unknown or a value is bad; the sentence names the option, the variable or the file.
    """
    values: dict[str, Any] = {}
    origins = {setting.name: "default" for setting in SETTINGS}
    for source in (_in_file(environ, directory), _in_environment(environ), _in_options(overrides)):
        for name, value in source.values.items():
            setting = _find_setting(name, source)
            given = [value] if name == ONE_KEY else value
            values[setting.name] = _read(setting, given, source.spell(name))
            origins[setting.name] = source.origin or source.spell(name)
    return Loaded(Settings(**values), origins)


def describe(loaded: Loaded) -> list[tuple[str, str, str]]:
    """(name, value, origin) of every setting, for `config show`: secrets masked, unset ones empty."""
    rows = []
    for setting in SETTINGS:
        value = getattr(loaded.settings, setting.name)
        shown = "" if value in (None, ()) else MASK if setting.secret else setting.kind.show(value)
        rows.append((setting.name, shown, loaded.origins[setting.name]))
    return rows


def _in_options(overrides: Mapping[str, Any]) -> Source:
    given = {name: value for name, value in overrides.items() if value is not None}
    return Source(given, lambda name: f"option --{name.replace('_', '-')}")


def _in_environment(environ: Mapping[str, str]) -> Source:
    """Variables are upper case; one spelled otherwise keeps its whole name, and so is unknown."""
    found = {}
    for variable, value in environ.items():
        name = variable.removeprefix(PREFIX)
        if name != variable and variable not in NOT_SETTINGS:
            found[name.lower() if name.isupper() else variable] = value
    return Source(found, lambda name: name if name.startswith(PREFIX) else PREFIX + name.upper())


def _in_file(environ: Mapping[str, str], directory: Path) -> Source:
    named = environ.get("HEADBOX_CONFIG")
    file = named or FILE
    try:
        text = (directory / file).read_text("utf-8")
        import tomllib

        values = tomllib.loads(text)
    except FileNotFoundError:
        if named:
            raise ConfigError(f"HEADBOX_CONFIG: there is no file {named!r}; name an existing one") from None
        values = {}
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); make it a readable file") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: is not TOML in UTF-8 ({error}); write lines like port = 8000") from None
    return Source(values, lambda name: f"{file}: {name}", origin=file)


def _find_setting(name: str, source: Source) -> Setting:
    if name == ONE_KEY:
        if "secret_keys" in source.values:
            raise ConfigError(f"{source.spell(name)}: secret_keys is set too; give one of the two")
        return BY_NAME["secret_keys"]
    if name in BY_NAME:
        return BY_NAME[name]
    from difflib import get_close_matches

    close = get_close_matches(name.removeprefix(PREFIX).lower(), BY_NAME, n=1)
    advice = f"did you mean {source.spell(close[0])}?" if close else "`headbox config show` lists all settings"
    raise ConfigError(f"{source.spell(name)}: there is no such setting; {advice}")


def _read(setting: Setting, value: Any, place: str) -> Any:
    try:
        return setting.kind.read(value)
    except InvalidSchedule as error:
        raise ConfigError(f"{place}: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{place}: {_quote(value, setting)} {error}") from None


def _quote(value: Any, setting: Setting) -> str:
    """What was given, unless a password may be in it (a URL that was refused can't be masked by its parts)."""
    if setting.secret or "@" in str(value):
        return "the value"
    quoted = repr(value)
    return quoted if len(quoted) <= 60 else f"{quoted[:60]}…"


# The kinds of value. Each is shown as it could be given again.


def _text(what: str, give: str, pattern: str = r"(?s).*\S.*", show: Callable[[str], str] = str) -> Kind:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"is not {what}; give {give}")
        return value

    return Kind(read, show)


def _path(give: str) -> Kind:
    text = _text("a path", give, r"/|(/[A-Za-z0-9._~-]+)+/?")
    return Kind(lambda value: text.read(value).rstrip("/") or "/")


def _whole(lowest: int, give: str, highest: int = 10**9) -> Kind:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?[0-9]{1,18}", str(value).strip()):
            raise ValueError(f"is not a whole number; give {give}")
        if not lowest <= int(value) <= highest:
            raise ValueError(f"is out of range; give {give}")
        return int(value)

    return Kind(read)


def _span(lowest: Span) -> Kind:
    def read(value: Any) -> Span:
        span = parse_duration(str(value))
        if span < lowest:
            raise ValueError(f"is too short; give {format_duration(lowest)} or more")
        return span

    return Kind(read, format_duration)


def _memory(give: str) -> Kind:
    def read(value: Any) -> int:
        match = re.fullmatch(r"([0-9]{1,15})([KMGT]?)(?:i?B)?", str(value).strip(), re.IGNORECASE)
        size = int(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ") if match else 0
        if not 32 * MEBIBYTE <= size < MEBIBYTE**2:
            raise ValueError(f"is not memory enough for a child; give {give}")
        return size

    return Kind(read, lambda size: f"{size // MEBIBYTE}M" if size % MEBIBYTE == 0 else str(size))


def _names(what: str, give: str, check: Callable[[str], object]) -> Kind:
    """A TOML list, or text with commas between. `check` raises a ValueError for an impossible one."""

    def read(value: Any) -> tuple[str, ...]:
        items = value.split(",") if isinstance(value, str) else value
        try:
            names = tuple(filter(None, map(str.strip, msgspec.convert(items, tuple[str, ...]))))
            for name in names:
                check(name)
        except ValueError:
            raise ValueError(f"is not {what}; give {give}, separated by commas") from None
        return names

    return Kind(read, ",".join)


def _match(pattern: str) -> Callable[[str], None]:
    def check(name: str) -> None:
        if not re.fullmatch(pattern, name):
            raise ValueError(name)

    return check


def without_password(url: str) -> str:
    """A database's URL as it may be shown: without what libpq takes for a password, in the authority or the query."""
    url = re.sub(r"(://[^:/@?]*:).*@", rf"\1{MASK}@", url)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", rf"\1{MASK}", url)


URL = _text("a database URL", "one like sqlite:///headbox.db", r"(sqlite:///|postgres(ql)?://)\S.*", without_password)
KEYS = _names("a list of keys", "keys of 16 characters or more", _match(r".{16,}"))
QUEUES = _names("a list of queues", "their names", _match(r"[^\s,]{1,200}"))
WORDS = _names("a list of names", "names such as password", _match(r"\w+"))
HOSTS = _names("a list of hosts", "their names", _match(r"[\w.:*-]+"))
NETWORKS = _names("a list of addresses", "addresses or networks such as 10.0.0.0/8", ipaddress.ip_network)
HOST = _text("a host", "a name or an address", r"[\w.:%-]+")
APP = _text("an application", "module:queue", r"[\w.]+:[\w.]+")
MEMORY = _memory("32M or more, such as 512M")
COUNT = _whole(1, "1 or more")

SETTINGS: Final = (
    Setting("database", URL, "where tasks are kept"),
    Setting("app", APP, "the application's queue"),
    Setting("host", HOST, "the address that the API listens on"),
    Setting("port", _whole(0, "a port from 1 to 65535, or 0 for any free one", 65535), "the port of the API"),
    Setting("prefix", _path("one like /pulp/api, or / for none"), "the path that the API is mounted under"),
    Setting("metrics_port", _whole(1, "a port from 1 to 65535", 65535), "a port for /metrics alone, open to all; none"),
    Setting("concurrency", _whole(1, "1 to 1024", 1024), "children of a worker, and the weight of tasks it carries"),
    Setting("queues", QUEUES, "the queues that a worker serves; none: all"),
    Setting("secret_keys", KEYS, "keys that sign payloads: the first signs, all verify", secret=True),
    Setting("admin_password", _text("a password", "some text"), "of the user admin, at the first start", secret=True),
    Setting("finished_lifetime", _span(0), "how long a complete task is among the current ones"),
    Setting("history_lifetime", _span(0), "how long an archived run is kept"),
    Setting("history_runs", COUNT, "archived runs that are kept of each schedule"),
    Setting("audit_lifetime", _span(0), "how long an audited event is kept"),
    Setting("failure_threshold", COUNT, "failures in a row that end a schedule; none: it goes on"),
    Setting("schedule_threshold", _span(0), "how late a start may be before it is logged as an error"),
    Setting("lease", _span(SECOND), "how long a worker that is not heard of counts as alive"),
    Setting("grace", _span(0), "how long a stopping worker lets runs go on"),
    Setting("cancel_grace", _span(0), "how long an interrupted run has before its child is killed"),
    Setting("async_concurrency", COUNT, "async runs at a time in one child"),
    Setting("child_runs", COUNT, "runs after which a child is replaced; none: never"),
    Setting("child_memory", MEMORY, "memory beyond which a child is replaced; none: never"),
    Setting("redact", WORDS, "parts of names whose values are masked in all that is shown"),
    Setting("allowed_hosts", HOSTS, "further names that the Host header may have"),
    Setting("trusted_proxies", NETWORKS, "proxies whose forwarded addresses count"),
)
BY_NAME: Final = {setting.name: setting for setting in SETTINGS}

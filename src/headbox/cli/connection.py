"""Which API a command talks to, and as whom: what was asked for, else the one `serve` that runs on this machine."""

from __future__ import annotations

import functools
import os
import sys
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final

import rich_click as click

from headbox.cli.client import Client
from headbox.cli.local_service import LocalService, absolute, find

MISUNDERSTANDINGS: Final = (LookupError, TypeError, AttributeError, ValueError)  # of an answer that has another shape


def with_client(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `--url`, `--user` and `--token`, and passes it the client that they lead to."""

    @click.option("--url", envvar="HEADBOX_URL", help="Where the API is [default: the service on this machine].")
    @click.option("--user", help="Ask as this user; the password is asked for, or read from standard input.")
    @click.option("--token", envvar="HEADBOX_TOKEN", help="Ask with this token.")
    @functools.wraps(command)
    def connected(*args: Any, url: str | None, user: str | None, token: str | None, **options: Any) -> Any:
        client = connect(url, user, token)
        try:
            return command(client, *args, **options)
        except MISUNDERSTANDINGS:
            if speaks_this_version(client):
                raise
            raise click.ClickException(f"{client.url} is no Headbox of version {own_version()}") from None
        finally:
            client.close()

    return connected


def speaks_this_version(client: Client) -> bool:
    """Whether the server is a Headbox as old as this program: then what it answers should be understood."""
    try:
        info = client.get("openapi.json")["info"]
        return bool(info["title"] == "Headbox" and info["version"] == own_version())
    except (click.ClickException, *MISUNDERSTANDINGS):
        return False


def own_version() -> str:
    """The version of this program."""
    from importlib.metadata import version

    return version("headbox")


def connect(url: str | None, user: str | None, token: str | None) -> Client:
    """The client of what was asked for, with the local service's own token unless there are other credentials."""
    local = find_local(url)
    if url is None and local is None:
        raise click.ClickException("no service runs here: start one with `headbox serve`, or name one with --url")
    return Client(url or (local.url if local else ""), authorize(user, token or (local.token if local else None)))


def authorize(user: str | None, token: str | None) -> str | None:
    """The Authorization header of a user, whose password is asked for, or of a token."""
    if user is not None:
        return basic(user, ask_password(f"Password of {user}"))
    return bearer(token) if token else None


def find_local(url: str | None) -> LocalService | None:
    """The service at `url`, or the only one. Of several, the one whose database is the configured one."""
    services = find()
    if url is not None:
        return next((service for service in services if service.url.rstrip("/") == url.rstrip("/")), None)
    if len({service.database for service in services}) > 1 or (services and "HEADBOX_DATABASE" in os.environ):
        return choose(services)
    return services[0] if services else None


def choose(services: list[LocalService]) -> LocalService:
    """The service of the configured database; without one, an error that lists them."""
    from headbox.config import load_settings, without_password

    database = absolute(load_settings({}).settings.database)
    for service in services:
        if service.database == database:
            return service
    listing = "; ".join(f"--url {service.url} ({without_password(service.database)})" for service in services)
    place = without_password(database)
    raise click.ClickException(f"no service on {place} runs here, so say which is meant: {listing}")


def bearer(token: str) -> str:
    """The header that presents a token (RFC 6750)."""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise click.UsageError("that is no token: tokens hold no spaces and only ASCII characters")
    return f"Bearer {token}"


def basic(user: str, password: str) -> str:
    """The header of HTTP Basic (RFC 7617)."""
    return "Basic " + b64encode(f"{user}:{password}".encode(errors="surrogateescape")).decode("ascii")


def ask_password(prompt: str, *, confirm: bool = False) -> str:
    """A password, asked for at the terminal or, without one, the first line of standard input."""
    if sys.stdin.isatty():
        password: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
        return password
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise click.UsageError("there is no terminal to ask for the password: write it to standard input")
    return line

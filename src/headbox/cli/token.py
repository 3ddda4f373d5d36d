"""`headbox token`: secrets that stand for a user, over the HTTP API."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

import rich_click as click

from headbox.cli.changes import change_each
from headbox.cli.client import Client, segment
from headbox.cli.connection import with_client
from headbox.cli.options import as_json, completes, in_utc
from headbox.cli.table import Column, show_list
from headbox.cli.terminal import print_json, printable
from headbox.cli.times import local_now, show_time

COLUMNS: Final = (
    Column("ID", 36, whole=True, rank=2),
    Column("USER", 8, rank=1),
    Column("NAME", 10, rank=0),
    Column("CREATED", 9, rank=4),
    Column("EXPIRES", 9, rank=3),
)


@click.group()
def token() -> None:
    """Manage tokens for the API."""


@token.command()
@click.argument("name")
@click.option("--for", "owner", metavar="USER", help="Whose token it is to be [default: your own].")
@click.option("--lifetime", help="When it expires: seconds, or ISO 8601 such as P30D [default: never].")
@as_json
@with_client
def create(client: Client, name: str, owner: str | None, lifetime: str | None, as_json: bool) -> None:
    """Create a token called NAME and print its secret, this once."""
    body: dict[str, Any] = {"name": name, "user": owner}
    if lifetime is not None:
        from headbox.domain.iso8601 import format_duration, parse_duration

        body["lifetime"] = format_duration(parse_duration(lifetime))
    created = client.post("tokens/", {key: value for key, value in body.items() if value is not None})
    if as_json:
        print_json(created)
        return
    print(created["token"])
    if sys.stdout.isatty():
        click.echo("Keep it: it is shown this once. Use it as --token or in HEADBOX_TOKEN.", err=True)


@token.command("list")
@as_json
@in_utc
@with_client
def list_tokens(client: Client, as_json: bool, utc: bool) -> None:
    """List your tokens, or everybody's for a super user; secrets are not kept."""
    now = local_now()

    def row(token: Any) -> tuple[Any, ...]:
        expires = show_time(token["expire_time"], now, utc=utc) or "never"
        return token["id"], token["user"], token["name"], show_time(token["create_time"], now, utc=utc), expires

    show_list(client.get("tokens/"), COLUMNS, row, as_json=as_json)


@token.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True, shell_complete=completes("tokens"))
@as_json
@with_client
def revoke(client: Client, ids: tuple[str, ...], as_json: bool) -> int:
    """Revoke tokens: from now on they open nothing."""

    def revoked(ids: Sequence[str]) -> list[Any]:
        client.delete(f"tokens/{segment(ids[0])}/")
        return [{"id": ids[0]}]

    return change_each(ids, revoked, lambda token: print(f"revoked {printable(token['id'])}"), as_json=as_json)

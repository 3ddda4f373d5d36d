"""`headbox db`: the database itself. Works on it directly, whether or not a service runs."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from headbox.cli.meter import metering
from headbox.cli.operator import choose, with_store
from headbox.cli.options import as_json
from headbox.cli.settings import DATABASE, with_settings
from headbox.cli.terminal import print_fields, print_json, printable
from headbox.config import without_password
from headbox.storage.store import Store, open_store


@click.group()
def db() -> None:
    """Upgrade, check and back up the database."""


@db.command()
@click.option("--finish", is_flag=True, help="Also what the version before cannot bear: once none of it runs any more.")
@as_json
@with_settings(DATABASE)
def upgrade(database: str | None, app: str | None, finish: bool, as_json: bool) -> None:
    """Make the database what this version needs: create its tables, or apply the migrations it lacks."""
    settings = choose(database, app)
    store = open_store(settings.database, settings.finished_lifetime)
    with metering("upgrading the database"):
        store.upgrade(store.clock().now(), finish=finish)
    status = store.status()
    if as_json:
        print_json(status)
        return
    click.echo(f"{without_password(store.url)} is up to date")
    if left := status["pending_final_migrations"]:
        click.echo(
            f"Left for later: {show(left)}, which the version before cannot bear; when nothing of it runs any more:"
            " headbox db upgrade --finish"
        )


@db.command()
@as_json
@with_store
def status(store: Store, as_json: bool) -> None:
    """Show the schema's version, what migrations are pending, and the size."""
    found = store.status()
    if as_json:
        print_json(found)
    else:
        print_fields((name.replace("_", " "), show(value)) for name, value in found.items())


@db.command()
@as_json
@with_store
def check(store: Store, as_json: bool) -> int:
    """Let the database check itself; exit 1 if it is damaged."""
    with metering("checking the database"):
        problems = store.check()
    if as_json:
        print_json({"url": without_password(store.url), "problems": problems})
        return int(bool(problems))
    for problem in problems:
        click.echo(printable(problem), err=True)
    if not problems:
        click.echo(f"{without_password(store.url)} is sound")
    return int(bool(problems))


@db.command()
@click.argument("path", type=click.Path(path_type=Path))
@as_json
@with_store
def backup(store: Store, path: Path, as_json: bool) -> None:
    """Copy the database to PATH, consistently, while others work."""
    if path.exists():
        raise click.ClickException(f"{path} exists already: name a file that does not")
    if not path.parent.is_dir():
        raise click.ClickException(f"there is no directory {path.parent}: make it first")
    with metering(
        "copying", store.status()["size"], unit="bytes", look=lambda: path.stat().st_size if path.exists() else 0
    ):
        store.backup(str(path))
    if as_json:
        print_json({"path": str(path), "size": path.stat().st_size})
    else:
        click.echo(f"copied to {path}")


def show(value: object) -> str:
    """A value of the status; an empty list is none."""
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)

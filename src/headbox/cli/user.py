"""`headbox user`: who may call the API. Works on the database itself, so that it needs no password and no service."""

from __future__ import annotations

import re
from typing import Any, Final

import rich_click as click

from headbox.assemble import forget_password
from headbox.cli.connection import ask_password
from headbox.cli.operator import record, with_queue
from headbox.cli.options import as_json, in_utc
from headbox.cli.table import Column, show_list
from headbox.cli.terminal import print_json
from headbox.cli.times import local_now, show_time
from headbox.domain.iso8601 import format_instant
from headbox.storage.records import User
from headbox.task_queue.queue import TaskQueue
from headbox.web.passwords import hash_password
from headbox.web.permissions import ROLES

COLUMNS: Final = (Column("USER", 12, rank=0), Column("ROLES", 12, rank=1), Column("CREATED", 9, rank=2))
NAME: Final = re.compile(r"[A-Za-z0-9._@+-]{1,100}")  # as the API has it
SHORTEST, LONGEST = 8, 1000  # characters of a password, as the API has it

role_type = click.Choice(list(ROLES))


@click.group()
def user() -> None:
    """Manage who may call the API."""


@user.command()
@click.argument("name")
@click.option("--role", "roles", type=role_type, multiple=True, help="What it may do; may be repeated.")
@as_json
@with_queue
def create(queue: TaskQueue, name: str, roles: tuple[str, ...], as_json: bool) -> None:
    """Create a user; the password is asked for, or read from standard input."""
    if not NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is no name for a user: use letters, digits and . _ @ + -")
    password_hash = new_password(name)
    created = User(name=name, password_hash=password_hash, roles=unique(roles), create_time=queue.clock.now())
    if not queue.store.create_user(created):
        raise click.ClickException(f"there is a user {name} already: choose another name")
    record(queue, f"user create {name}")
    tell(created, f"created {name} ({', '.join(roles) or 'no role: it sees only its own tasks'})", as_json=as_json)


@user.command("list")
@as_json
@in_utc
@with_queue
def list_users(queue: TaskQueue, as_json: bool, utc: bool) -> None:
    """List the users and their roles."""
    now = local_now()
    show_list(
        map(known, queue.store.users()),
        COLUMNS,
        lambda user: (user["name"], ", ".join(user["roles"]), show_time(user["create_time"], now, utc=utc)),
        as_json=as_json,
    )


@user.command()
@click.argument("name")
@as_json
@with_queue
def passwd(queue: TaskQueue, name: str, as_json: bool) -> None:
    """Give a user another password; it is asked for, or read from standard input."""
    found = find(queue, name)
    queue.store.change_user(name, password_hash=new_password(name))
    if name == "admin":
        forget_password(queue)
    record(queue, f"user passwd {name}")
    tell(found, f"{name} has another password", as_json=as_json)


@user.command()
@click.argument("name")
@click.argument("roles", metavar="[ROLE]...", nargs=-1, type=role_type)
@click.option("--none", is_flag=True, help="Take all roles away.")
@as_json
@with_queue
def role(queue: TaskQueue, name: str, roles: tuple[str, ...], none: bool, as_json: bool) -> None:
    """Give a user these roles and no others: super-users, operators, readers."""
    if bool(roles) == none:
        raise click.UsageError("name the roles that the user is to have, or --none")
    find(queue, name)
    queue.store.change_user(name, roles=unique(roles))
    record(queue, f"user role {name} {' '.join(roles)}".rstrip())
    tell(find(queue, name), f"{name}: {', '.join(unique(roles)) or 'no role'}", as_json=as_json)


@user.command()
@click.argument("name")
@as_json
@with_queue
def delete(queue: TaskQueue, name: str, as_json: bool) -> None:
    """Delete a user and its tokens; its tasks stay."""
    found = find(queue, name)
    queue.store.delete_user(name)
    record(queue, f"user delete {name}")
    tell(found, f"deleted {name}", as_json=as_json)


def known(user: User) -> dict[str, Any]:
    """What is shown of a user: nothing of its password."""
    return {"name": user.name, "roles": list(user.roles), "create_time": format_instant(user.create_time)}


def tell(user: User, sentence: str, *, as_json: bool) -> None:
    """Says what was done, or for scripts to which user."""
    print_json(known(user)) if as_json else click.echo(sentence)


def find(queue: TaskQueue, name: str) -> User:
    """The user of that name, who must exist."""
    found = queue.store.user(name)
    if found is None:
        raise click.ClickException(f"there is no user {name!r}; `headbox user list` lists them")
    return found


def new_password(name: str) -> str:
    """The hash of a password that was asked for."""
    password = ask_password(f"Password for {name}", confirm=True)
    if not SHORTEST <= len(password) <= LONGEST:
        raise click.ClickException(f"the password is not of {SHORTEST} to {LONGEST} characters: choose another")
    return hash_password(password)


def unique(roles: tuple[str, ...]) -> tuple[str, ...]:
    """The roles, each once."""
    return tuple(dict.fromkeys(roles))

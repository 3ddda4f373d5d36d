"""Who may do what: Pulp's five permissions, the roles that bundle them, and the owner's rights over its own tasks."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from headbox.domain.task import Task
from headbox.storage.records import User


class Permission(StrEnum):
    """The permissions of Pulp. DELETE and EXECUTE are kept for compatibility and grant nothing today."""

    CREATE = "CREATE"
    READ = "READ"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    EXECUTE = "EXECUTE"


SUPER_USERS: Final = "super-users"
ROLES: Final[dict[str, frozenset[Permission]]] = {
    SUPER_USERS: frozenset(Permission),
    "operators": frozenset({Permission.CREATE, Permission.READ, Permission.UPDATE}),
    "readers": frozenset({Permission.READ}),
}


class Principal(msgspec.Struct, frozen=True):
    """The caller, once it has proved who it is. `by_password`: by its password and not by a token."""

    name: str
    permissions: frozenset[Permission]
    is_super: bool
    by_password: bool

    def may(self, permission: Permission) -> bool:
        """Whether one of its roles grants `permission`."""
        return permission in self.permissions

    def may_see(self, task: Task) -> bool:
        """Whether it may read the task: with READ any, without it its own."""
        return Permission.READ in self.permissions or task.owner == self.name

    def may_change(self, task: Task) -> bool:
        """Whether it may cancel, suspend, resume, reset and reschedule the task."""
        return Permission.UPDATE in self.permissions or task.owner == self.name

    @property
    def sight(self) -> str | None:
        """`visible_to` of what it lists: None with READ, its own name without."""
        return None if Permission.READ in self.permissions else self.name


def principal(user: User, *, by_password: bool) -> Principal:
    """The user as a caller; a role that does not exist any more grants nothing."""
    granted: frozenset[Permission] = frozenset().union(*(ROLES.get(role, frozenset()) for role in user.roles))
    return Principal(user.name, granted, SUPER_USERS in user.roles, by_password)

"""What a page is, and where it stands in the navigation: data that the layout renders and the door reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from headbox.web.operations import Need, Parameter
from headbox.web.permissions import Permission, Principal
from headbox.web.request import Request


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page: `load` reads, in a thread, what its template shows. Each of `fragments` is a block of the template that
    is sent anew when it changes; what it shows must not depend on the session, since viewers share it."""

    path: str
    title: str
    template: str
    load: Callable[[Request], dict[str, Any]]
    need: Need = Permission.READ
    owner_too: bool = False
    parameters: tuple[Parameter, ...] = ()
    fragments: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True):
    """A place in the navigation; who lacks what it needs does not see it."""

    label: str
    path: str
    need: Need

    def is_for(self, me: Principal) -> bool:
        """Whether this caller may go there."""
        if isinstance(self.need, Permission):
            return me.may(self.need)
        return self.need != "super user" or me.is_super


NAVIGATION: Final = (
    Entry("Now", "/ui/", Permission.READ),
    Entry("Tasks", "/ui/tasks/", "caller"),
    Entry("Jobs", "/ui/jobs/", Permission.READ),
    Entry("Schedules", "/ui/schedules/", Permission.READ),
    Entry("Send", "/ui/send/", Permission.CREATE),
    Entry("History", "/ui/history/", Permission.READ),
    Entry("Workers", "/ui/workers/", Permission.READ),
    Entry("Users", "/ui/users/", "super user"),
    Entry("Audit", "/ui/audit/", "super user"),
)

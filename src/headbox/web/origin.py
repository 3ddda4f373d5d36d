"""What protects a browser's user: the Host must be one of ours (against DNS rebinding), and a call that changes
something must not come from another site's page, since browsers send Basic credentials along from anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from starlette.types import Scope

from headbox.web.problems import Problem

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", "localhost.localdomain", "ip6-localhost"})
DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
SAME_SITE: Final = (b"same-origin", b"none")

_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII)


class Hosts:
    """The names that the Host header may have: loopback names, those given (`*.example.org` for all below it, `*` for
    any), and the address itself that the call came to, which no name can be rebound to."""

    def __init__(self, names: Iterable[str]) -> None:
        given = {name.lower().strip("[]") for name in names}
        self._any = "*" in given
        self._exact = LOOPBACK | given
        self._suffixes = tuple(name[1:] for name in given if name.startswith("*."))

    def check(self, scope: Scope) -> None:
        """Raises 400 without a proper Host header, 421 for one that is not ours (RFC 9110, 7.4)."""
        values = [value for name, value in scope["headers"] if name == b"host"]
        if len(values) != 1:
            raise Problem(400, f"the Host header is there {len(values)} times; give it once")
        parts = split_authority(values[0].decode("latin-1"))
        if parts is None:
            raise Problem(400, "the Host header is neither a name nor an address; send one such as localhost:8000")
        if not self._knows(parts[0], scope):
            raise Problem(
                421,
                f"the host {parts[0][:100]!r} is not served here; if it should be, add it to HEADBOX_ALLOWED_HOSTS",
            )

    def _knows(self, host: str, scope: Scope) -> bool:
        if self._any or host in self._exact or host.endswith(self._suffixes):
            return True
        server = scope.get("server")
        return server is not None and host == server[0]


def split_authority(text: str) -> tuple[str, str | None] | None:
    """(host in lower case without brackets, port) of `host[:port]`; None where it is no such thing."""
    match = _AUTHORITY.fullmatch(text)
    return None if match is None else (match[1].lower().strip("[]"), match[2])


def check_same_origin(scope: Scope) -> None:
    """Raises 403 where a browser says that another site's page makes an unsafe call."""
    headers = {name: value for name, value in scope["headers"] if name in (b"sec-fetch-site", b"origin", b"host")}
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None and site not in SAME_SITE:
        raise _cross_origin()
    if origin is not None and not _is_own(origin.decode("latin-1"), headers[b"host"].decode("latin-1")):
        raise _cross_origin()


def _is_own(origin: str, host: str) -> bool:
    """Hosts and ports are compared, not schemes: a proxy may end TLS before this server."""
    scheme, _, authority = origin.partition("://")
    theirs, ours = split_authority(authority), split_authority(host)
    if theirs is None or ours is None:
        return False
    default = DEFAULT_PORTS.get(scheme.lower())
    return theirs[0] == ours[0] and (theirs[1] or default) == (ours[1] or default)


def _cross_origin() -> Problem:
    return Problem(403, "a page of another site may not make calls that change something; call from this origin")

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from headbox.storage.records import User
from headbox.web.permissions import Principal, principal
from headbox.web.ui import live
from headbox.web.ui.live import Fragments, Renderings, event


def test_an_event_is_told_line_by_line() -> None:
    assert event("rows", "<ul>\n<li>") == b"event: rows\ndata: <ul>\ndata: <li>\n\n"
    assert event("trouble") == b"event: trouble\ndata: \n\n"


def test_those_who_look_at_the_same_at_once_share_one_rendering() -> None:
    made: list[str] = []

    async def render() -> Fragments:
        await asyncio.sleep(0)
        made.append("one")
        return {"rows": str(len(made))}

    async def look() -> list[Fragments]:
        renderings, now = Renderings(), asyncio.get_running_loop().time()
        together = await asyncio.gather(*(renderings.get("page", render, now) for _ in range(5)))
        return [*together, await renderings.get("page", render, now), await renderings.get("another", render, now)]

    assert asyncio.run(look()) == [{"rows": "1"}] * 6 + [{"rows": "2"}]


def test_nobody_is_given_what_was_rendered_before_it_was_out_of_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is led back to a page that it has changed does not see it as it was."""
    monkeypatch.setattr(live, "REST", 0.02)
    state = "waiting"

    async def render() -> Fragments:
        return {"status": state}

    async def look() -> list[Fragments]:
        nonlocal state
        renderings, loop = Renderings(), asyncio.get_running_loop()
        before = await renderings.get("page", render, loop.time())
        state = "suspended"
        after = loop.time()
        return [before, *await asyncio.gather(*(renderings.get("page", render, after) for _ in range(3)))]

    assert asyncio.run(look()) == [{"status": "waiting"}, *[{"status": "suspended"}] * 3]


def test_what_takes_long_is_rendered_the_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(seconds: float) -> float:
        loop = asyncio.get_running_loop()
        now = 0.0
        rests: list[float] = []
        monkeypatch.setattr(loop, "time", lambda: now)

        async def render() -> Fragments:
            nonlocal now
            now += seconds
            return {}

        async def sleep(seconds: float) -> None:
            rests.append(seconds)

        rendering = live.Rendering(render)
        await rendering.task
        monkeypatch.setattr(asyncio, "sleep", sleep)
        await rendering.rest()
        return rests[0]

    assert [asyncio.run(look(seconds)) for seconds in (0.01, 0.2, 0.3)] == pytest.approx([0.5, 1.8, 2.7])


def test_a_rendering_that_fails_fails_for_all_who_look_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "REST", 0.0)
    monkeypatch.setattr(live, "SHARE", 0)

    async def fail() -> Fragments:
        raise ValueError("no such page")

    async def well() -> Fragments:
        return {"rows": ""}

    async def look() -> Fragments:
        renderings, loop = Renderings(), asyncio.get_running_loop()
        looks = (renderings.get("page", fail, loop.time()) for _ in range(2))
        failed = await asyncio.gather(*looks, return_exceptions=True)
        assert all(isinstance(each, ValueError) for each in failed)
        return await renderings.get("page", well, loop.time())

    assert asyncio.run(look()) == {"rows": ""}


@pytest.mark.parametrize(("role", "renderings"), [("readers", 2), ("operators", 1)])
def test_buttons_that_are_for_a_tasks_owner_are_shared_with_nobody(role: str, renderings: int) -> None:
    """Who may change any task sees the same as all others who may."""

    async def look() -> list[Fragments]:
        shared = Renderings()
        made: list[str] = []

        async def render() -> Fragments:
            made.append("one")
            return {"rows": str(len(made))}

        callers = [SimpleNamespace(asked="/ui/", principal=a_principal(name, role)) for name in ("ann", "bob")]
        return [await live._look(caller, shared, render, 0.0) for caller in callers]  # type: ignore[arg-type]

    assert len({fragments["rows"] for fragments in asyncio.run(look())}) == renderings


def a_principal(name: str, role: str) -> Principal:
    return principal(User(name=name, password_hash="", roles=(role,), create_time=0), by_password=True)

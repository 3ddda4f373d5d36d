"""What an application can run is registered once a name, and published as it is."""

from __future__ import annotations

from typing import Any

import pytest

from headbox import InvalidTask, TaskQueue
from headbox.task_queue.registry import Registration, Registry, describe


def pack(order: int, /, box: str = "small", *rest: str, gift: bool = False) -> None:
    """Packs an order.

    In a box.
    """


async def ship(order: int) -> None: ...


@pytest.fixture
def queue() -> TaskQueue:
    return TaskQueue("sqlite:////nowhere/headbox.db")


def test_a_function_is_registered_under_its_qualified_name(queue: TaskQueue) -> None:
    task = queue.task(pack)
    registration = queue.registry.resolve(f"{__name__}:pack")
    assert registration is task.registration
    assert registration.function is pack
    assert registration.short_name == "pack"
    assert not registration.is_async
    assert queue.registry.resolve("pack") is None


def test_a_name_and_aliases_find_it_too(queue: TaskQueue) -> None:
    task = queue.task(name="ship", aliases=["send", "shop.ship"])(ship)
    assert [queue.registry.resolve(name) for name in ("ship", "send", "shop.ship")] == [task.registration] * 3
    assert task.registration.is_async


def test_the_catalog_is_what_workers_publish(queue: TaskQueue) -> None:
    queue.task(timeout=60, weight=2, retry_on=OSError, unique=True, failure_threshold=None)(pack)
    (published,) = queue.registry.catalog()
    assert published.name == f"{__name__}:pack"
    assert (
        published.signature == "(order: 'int', /, box: 'str' = 'small', *rest: 'str', gift: 'bool' = False) -> 'None'"
    )
    assert published.parameters == ("order", "box")
    assert published.docstring == "Packs an order.\n\nIn a box."
    assert published.defaults == {"timeout": 60_000_000, "weight": 2, "unique": True, "failure_threshold": None}


def test_a_function_that_is_defined_again_replaces_itself(queue: TaskQueue) -> None:
    queue.task(aliases=["old"])(pack)
    queue.task(aliases=["new"])(pack)
    assert queue.registry.resolve("old") is None
    assert queue.registry.resolve("new") is not None
    assert len(queue.registry.catalog()) == 1


def test_a_name_that_is_taken_is_refused(queue: TaskQueue) -> None:
    queue.task(name="work")(pack)
    for options in ({"name": "work"}, {"aliases": ["work"]}):
        with pytest.raises(InvalidTask, match="the name 'work' is taken by work"):
            queue.task(**options)(ship)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", " work", "a\nb", "x" * 201, 7])
def test_a_name_that_cannot_be_one_is_refused(name: Any) -> None:
    registry = Registry()
    with pytest.raises(InvalidTask, match="cannot name a task"):
        registry.add(Registration(name=name, short_name="f", function=pack))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"timeout": -1}, "timeout is -1"),
        ({"job_id": "j"}, "there is no option job_id"),
        ({"delay": 1}, "there is no option delay"),
        ({"aliases": "send"}, "give a list of names"),
        ({"retry_on": "OSError"}, "give an exception class or a tuple"),
        ({"retry_on": (OSError, 1)}, "give an exception class or a tuple"),
        ({"schedule": "PT1H"}, "ship needs arguments and a declared schedule gives none"),
    ],
)
def test_a_decorator_that_cannot_be_is_refused(queue: TaskQueue, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidTask, match=sentence):
        queue.task(**options)(ship)


def test_only_functions_are_registered(queue: TaskQueue) -> None:
    with pytest.raises(InvalidTask, match=r"put @queue\.task below @staticmethod"):
        queue.task(staticmethod(pack))
    for other in (queue.task(pack), Registry, 7):
        with pytest.raises(InvalidTask, match="cannot be registered"):
            queue.task(other)  # type: ignore[call-overload]


def test_a_hook_is_one_however_often_it_is_added(queue: TaskQueue) -> None:
    for _ in range(2):
        assert queue.before_run(pack) is pack
    assert queue.registry.hooks["before_run"] == {f"{__name__}:pack": pack}
    with pytest.raises(InvalidTask, match="cannot be async"):
        queue.on_enqueue(ship)


def test_a_function_that_does_not_say_its_parameters_is_described_all_the_same() -> None:
    registration = describe(dict.fromkeys, "fromkeys")
    assert describe(print, "print").parameters == ()
    assert registration.signature.startswith("(")

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

from headbox.domain.errors import HeadboxError, NonUniqueTask, StateConflict
from headbox.storage.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.conftest import Scene

THREADS = 8


def at_once(calls: list[Callable[[], object]]) -> list[object]:
    """What each call gave or raised, all begun at the same moment."""
    gate = Barrier(len(calls))

    def call(ask: Callable[[], object]) -> object:
        gate.wait(10)
        try:
            return ask()
        except HeadboxError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def test_whoever_enqueues_at_the_same_moment_is_accepted(scene: Scene) -> None:
    batches = [[scene.task() for _ in range(25)] for _ in range(THREADS)]
    at_once([lambda batch=batch: scene.store.enqueue(batch, scene.now) for batch in batches])
    assert len(scene.claim(limit=1_000)) == THREADS * 25


def test_of_equal_unique_tasks_enqueued_at_the_same_moment_one_is_accepted(scene: Scene) -> None:
    tasks = [scene.task(unique_key="key") for _ in range(THREADS)]
    answers = at_once([lambda task=task: scene.store.enqueue([task], scene.now) for task in tasks])
    refused = [answer for answer in answers if isinstance(answer, NonUniqueTask)]
    (accepted,) = scene.claim()
    assert len(refused) == THREADS - 1 and {error.task_id for error in refused} == {accepted.id}


def test_one_callers_mistake_costs_no_other_caller_anything(scene: Scene) -> None:
    ended, tasks = scene.in_state("finished"), [scene.task() for _ in range(THREADS - 1)]
    enqueues = [lambda task=task: scene.store.enqueue([task], scene.now) for task in tasks]
    answers = at_once([*enqueues, lambda: scene.store.cancel(ended.id, scene.now)])
    assert answers[:-1] == [[task] for task in tasks] and isinstance(answers[-1], StateConflict)
    assert {task.id for task in scene.claim()} == {task.id for task in tasks}


def test_of_cancels_of_one_task_at_the_same_moment_one_ends_it(scene: Scene) -> None:
    task = scene.enqueue()
    answers = at_once([lambda: scene.store.cancel(task.id, scene.now)] * THREADS)
    assert sum(isinstance(answer, StateConflict) for answer in answers) == THREADS - 1
    assert len(scene.store.history(task.id)) == 1


def test_workers_of_several_stores_that_claim_at_the_same_moment_share_the_tasks(scene: Scene, url: str) -> None:
    scene.store.enqueue([scene.task() for _ in range(60)], scene.now)
    other = open_store(url)
    elsewhere = type(scene)(other)
    claims = at_once([lambda: scene.claim("a", limit=10), lambda: elsewhere.claim("b", limit=10)] * (THREADS // 2))
    other.close()
    claimed = [task.id for tasks in claims for task in tasks]  # type: ignore[attr-defined]
    assert len(claimed) == len(set(claimed)) == 60

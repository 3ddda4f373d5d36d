"""The eight states of a task and the table of what may follow what. Data: the docs' diagram is generated from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

State = Literal["waiting", "running", "finished", "error", "timed_out", "canceled", "reset", "suspended"]
Event = Literal[
    "claim", "suspend", "resume", "cancel", "succeed", "fail", "expire", "release", "lose", "reset", "schedule"
]

WAITING: Final = "waiting"
RUNNING: Final = "running"
FINISHED: Final = "finished"
ERROR: Final = "error"
TIMED_OUT: Final = "timed_out"
CANCELED: Final = "canceled"
RESET: Final = "reset"
SUSPENDED: Final = "suspended"

READY: Final[tuple[State, ...]] = (WAITING, RESET)
INCOMPLETE: Final[tuple[State, ...]] = (WAITING, RUNNING, RESET, SUSPENDED)
COMPLETE: Final[tuple[State, ...]] = (FINISHED, ERROR, TIMED_OUT, CANCELED)
STATES: Final[tuple[State, ...]] = (WAITING, RUNNING, FINISHED, ERROR, TIMED_OUT, CANCELED, RESET, SUSPENDED)

# event -> state it may come upon -> states it may lead to. Where two follow, `decide` says which.
TRANSITIONS: Final[Mapping[Event, Mapping[State, tuple[State, ...]]]] = {
    "claim": {WAITING: (RUNNING,), RESET: (RUNNING,)},
    "suspend": {WAITING: (SUSPENDED,), RESET: (SUSPENDED,), RUNNING: (RUNNING,)},
    "resume": {SUSPENDED: (WAITING,)},
    "cancel": {WAITING: (CANCELED,), RESET: (CANCELED,), SUSPENDED: (CANCELED,), RUNNING: (CANCELED,)},
    "succeed": {RUNNING: (FINISHED,)},
    "fail": {RUNNING: (ERROR,)},
    "expire": {RUNNING: (TIMED_OUT,)},
    "release": {RUNNING: (WAITING, RESET)},
    "lose": {RUNNING: (RESET, ERROR)},
    "reset": {FINISHED: (RESET,), ERROR: (RESET,), TIMED_OUT: (RESET,), CANCELED: (RESET,)},
    "schedule": {
        FINISHED: (WAITING, SUSPENDED),
        ERROR: (WAITING, SUSPENDED),
        TIMED_OUT: (WAITING, SUSPENDED),
        CANCELED: (WAITING, SUSPENDED),
    },
}


def allowed(event: Event) -> tuple[State, ...]:
    """The states on which `event` may come, in the order of the document."""
    return tuple(state for state in STATES if state in TRANSITIONS[event])


def allows(state: str, event: Event) -> bool:
    """Whether `event` may come upon a task in `state`."""
    return state in TRANSITIONS[event]

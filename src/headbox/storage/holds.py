"""Reasons not to run: a task's `held` counts them, `headbox_holds` names them (a callable that no worker knows)."""

from __future__ import annotations

from json import loads

from headbox.storage.database import Transaction


def hold(tx: Transaction, reason: str, id: str) -> None:
    """One more reason why the task is not to run."""
    if tx.change("add_hold", reason=reason, task_id=id):
        tx.change("hold", id=id)
        tx.tally.touch(id)


def unhold(tx: Transaction, reason: str) -> None:
    """The reason is gone for every task that it held."""
    for (id,) in tx.all("held_for", reason=reason):
        tx.change("unhold", id=id)
        tx.tally.touch(id)
    tx.change("drop_holds", reason=reason)


def is_known(tx: Transaction, callable: str) -> bool:
    """Whether a worker that has a row knows the callable."""
    return any(callable in loads(names) for (names,) in tx.all("worker_names"))

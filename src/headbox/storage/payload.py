"""How values are stored: plain ones as JSON, any other as a pickle that is signed and only loaded if the signature
holds. And how they are shown: as JSON in which objects are their `repr` and secrets are masked."""

from __future__ import annotations

import hmac
import marshal
import pickle
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from headbox.domain.errors import PayloadRefused
from headbox.domain.snapshot import PICKLE_MARK, PICKLE_START, pickled
from headbox.domain.task import Task, Work
from headbox.storage.public import DEFAULT_REDACT, Public, shorten
from headbox.storage.references import pickled_value

__all__ = ["DEFAULT_REDACT", "MAX_PAYLOAD", "Payloads", "binding", "pickled"]

MAX_PAYLOAD = 1024 * 1024
MAX_REPR_RESULT = 10_000  # characters kept of a result that could not be stored
MAX_BRACKETS_SHOWN = 40  # JSON with more is looked at before it is shown as it is: it may be too deep

_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode
_NOT_JSON = (TypeError, ValueError, OverflowError, RecursionError)
_EMPTY: dict[str, type] = {"args": list, "kwargs": dict}


class Payloads:
    """Encodes, decodes and shows values. `keys`: the first signs, all verify; without one no pickle is made or loaded.
    `redact`: name parts whose values are masked in what is shown."""

    def __init__(self, keys: Sequence[bytes], redact: Iterable[str] = DEFAULT_REDACT) -> None:
        self.keys = tuple(keys)
        self._public = Public(redact)
        self.is_sensitive = self._public.is_sensitive

    def encode(self, value: Any, *, task_id: str, field: str, callable: str) -> bytes | None:
        """The bytes to store, None for the field's empty value (`[]`, `{}` or None).

        PayloadRefused if it is over 1 MiB, cannot be pickled, or needs a signature and there is no key.
        """
        if not value and type(value) is _EMPTY.get(field, type(None)):
            return None
        stored = _plain(value)
        if stored is None:
            stored = self._sign(pickled_value(value, f"the {field} of {callable}"), task_id, field, callable)
        if len(stored) > MAX_PAYLOAD:
            raise PayloadRefused(
                f"the {field} of {callable} take {len(stored):,} bytes and at most {MAX_PAYLOAD:,} are stored: "
                "keep the data elsewhere and pass where it is"
            )
        return stored

    def decode(self, stored: bytes | None, *, task_id: str, field: str, callable: str, empty: Any) -> Any:
        """The value that was encoded; `empty` for None. PayloadRefused if a signature does not hold or the bytes are
        no payload; whatever loading a verified pickle raises."""
        if stored is None:
            return empty
        if stored.startswith(PICKLE_MARK):
            return pickle.loads(self._verified(stored, task_id, field, callable))
        try:
            return _decode_json(stored)
        except msgspec.MsgspecError as error:
            raise PayloadRefused(f"the stored {field} of task {task_id} are damaged: {error}") from None

    def public(self, value: Any, names: Sequence[str] = ()) -> str:
        """The JSON that may be shown of a value: objects as their `repr`, secrets masked. `names` are the parameter
        names of positional arguments."""
        return self._public.json(value, names)

    def public_beside(self, stored: bytes | None, value: Any, names: Sequence[str] = ()) -> str | None:
        """As `public`, but None where the stored payload is plain JSON that may be shown as it is."""
        if stored is None:
            return None
        shallow = stored.count(b"[") + stored.count(b"{") <= MAX_BRACKETS_SHOWN
        if shallow and not stored.startswith(PICKLE_MARK) and not self._public.has_secrets(value, names):
            return None
        shown = self._public.json(value, names)
        return None if shown.encode() == stored else shown

    def encode_result(
        self, value: Any, *, task_id: str, field: str, callable: str
    ) -> tuple[bytes | None, str | None, str | None]:
        """What to store of a result, its public JSON, and a warning where only its `repr` could be kept."""
        if value is None:
            return None, None, None
        warning = None
        try:
            stored = self.encode(value, task_id=task_id, field=field, callable=callable)
        except PayloadRefused as error:
            value = shorten(self._public.repr(value), MAX_REPR_RESULT)
            warning = f"only the repr of the result is kept: {error}"
            stored = _encode_json(value)
        return stored, self.public_beside(stored, value), warning

    def _sign(self, pickle_bytes: bytes, task_id: str, field: str, callable: str) -> bytes:
        if not self.keys:
            raise PayloadRefused(
                f"the {field} of {callable} are not plain JSON, so they are stored as a signed pickle, "
                "and there is no key to sign with: set HEADBOX_SECRET_KEYS"
            )
        return PICKLE_MARK + _signature(self.keys[0], pickle_bytes, task_id, field, callable) + pickle_bytes

    def _verified(self, stored: bytes, task_id: str, field: str, callable: str) -> bytes:
        signature, pickle_bytes = stored[len(PICKLE_MARK) : PICKLE_START], stored[PICKLE_START:]
        for key in self.keys:
            if hmac.compare_digest(signature, _signature(key, pickle_bytes, task_id, field, callable)):
                return pickle_bytes
        raise PayloadRefused(
            f"the signature of the stored {field} of task {task_id} does not hold, so nothing was unpickled: "
            "it was changed, or signed with a key that is not in HEADBOX_SECRET_KEYS"
        )


def binding(task: Task | Work) -> str:
    """What the signatures of a task's payloads name as its id. The task of a named schedule is declared anew under the
    id that it has, so there it is the name."""
    return task.id if task.schedule_name is None else f"schedule {task.schedule_name}"


def _plain(value: Any) -> bytes | None:
    """The value's JSON, if what JSON gives back is equal to it, types included.

    `marshal` is what tells types apart: in C, exactly (it takes no subclass), and with the order of keys. Version 2 of
    its format has no references, which would depend on identity.
    """
    try:
        stored = _encode_json(value)
        same = marshal.dumps(_decode_json(stored), 2) == marshal.dumps(value, 2)
    except _NOT_JSON:
        return None
    return stored if same else None


def _signature(key: bytes, pickle_bytes: bytes, task_id: str, field: str, callable: str) -> bytes:
    """HMAC-SHA256 over all that a pickle is bound to. JSON keeps the parts apart whatever they contain."""
    bound_to = _encode_json([PICKLE_MARK.decode("latin-1"), task_id, field, callable])
    return hmac.digest(key, bound_to + b"\n" + pickle_bytes, "sha256")

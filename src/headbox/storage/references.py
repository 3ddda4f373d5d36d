"""How code is named so that another process can import it, and how objects that refer to code are pickled. What was
defined in `__main__` is named by its file's module, since a worker's `__main__` is another."""

from __future__ import annotations

import io
import pickle
import sys
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from types import FunctionType
from typing import Any

from headbox.domain.errors import InvalidTask, PayloadRefused

PROTOCOL = 5


def importable(module: str) -> str:
    """The name under which another process imports what is defined in `module`.

    InvalidTask where that is `__main__` and its file cannot be imported by a name.
    """
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    if main.__spec__ is not None:  # `python -m package.module`
        return main.__spec__.name
    file = getattr(main, "__file__", None)
    if file is None:
        raise InvalidTask("a task defined in an interactive session cannot be imported by a worker: put it in a module")
    path = Path(file).resolve()
    spec = find_spec(path.stem) if path.stem.isidentifier() else None
    if spec is None or spec.origin is None or Path(spec.origin).resolve() != path:
        raise InvalidTask(
            f"a task defined in {path.name}, which was started as a script, cannot be imported by a worker, since "
            f"{path.stem!r} is no module on sys.path: put the task in a module that workers can import"
        )
    return path.stem


def reference(function: Any) -> str:
    """`module:qualname` of a function or class, such that importing it gives that very object.

    InvalidTask for a lambda, for what is defined inside a function, and for what has no name.
    """
    module, qualname = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not qualname:
        raise InvalidTask(f"{function!r} has no name that a worker could import: give a function of a module")
    if "<" in qualname:
        what = "a lambda" if qualname.endswith("<lambda>") else f"{qualname!r}, which is defined inside a function,"
        raise InvalidTask(f"{what} cannot be imported by a worker: define it at the top of a module")
    return f"{importable(module)}:{qualname}"


def pickled_value(value: Any, what: str) -> bytes:
    """The value as a pickle that any process with the same code can load. PayloadRefused, in one sentence that calls
    the value `what`, if there is none."""
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, PROTOCOL).dump(value)
    except InvalidTask as error:
        raise PayloadRefused(f"{what} cannot be stored: {error}") from None
    except Exception as error:  # noqa: BLE001 - `__reduce__` is the user's own code
        raise PayloadRefused(f"{what} cannot be stored: {_reason(error)}") from None
    return buffer.getvalue()


class _Pickler(pickle.Pickler):
    """Names code of `__main__` by its file's module. `resolve_name` is the standard library's, so that such a pickle
    loads wherever the module does."""

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, (type, FunctionType)) or obj.__module__ != "__main__":
            return NotImplemented
        return resolve_name, (reference(obj),)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error) or type(error).__name__

"""A Python that runs the blocks of a page one after the other, as a reader would type them. It reads a JSON line for
each block, and answers with one."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import sys
import traceback
from typing import Any


def run(name: str, text: str, names: dict[str, Any]) -> str | None:
    """The traceback of what went wrong, None if nothing did. A block may `await`, as in `python -m asyncio`."""
    try:
        code = compile(text, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)
        if inspect.iscoroutine(result):
            asyncio.run(result)
    except BaseException:
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    answers = sys.stdout
    sys.stdout = sys.stderr
    sys.path[0] = ""
    names: dict[str, Any] = {"__name__": "__page__"}
    for line in sys.stdin:
        answers.write(json.dumps(run(*json.loads(line), names)) + "\n")
        answers.flush()

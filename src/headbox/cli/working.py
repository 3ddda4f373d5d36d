"""What `work` becomes once it has read its options: a worker."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from headbox.assemble import run_work
from headbox.cli.local_service import absolute
from headbox.cli.process import begin, open_streams, reporter
from headbox.config import load_settings
from headbox.domain.errors import HeadboxError

PLAN: Final = "_HEADBOX_WORK"  # the variable by which `work` tells the process that it becomes what to do
INTERRUPTED: Final = 130


def main() -> NoReturn:
    """Works as the plan says (`typed`, the options as they were given; `preload`; `parent` and `status_fd`, None unless
    `serve` has started it), and exits with the status of that."""
    open_streams()
    try:
        sys.exit(_work(**json.loads(os.environ.pop(PLAN))))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (HeadboxError, OSError) as error:
        from headbox.cli.failure import failure_of, say

        failure = failure_of(error)
        say(failure, as_json=False)
        sys.exit(failure.exit_status)


def _work(typed: Mapping[str, Any], preload: bool, parent: int | None, status_fd: int | None) -> int:
    begin(parent)
    report = reporter(status_fd)

    def tell(status: Mapping[str, Any]) -> None:
        report({"database": absolute(status["database"])})

    return run_work(load_settings(typed), preload=preload, has_parent=parent is not None, status=tell)

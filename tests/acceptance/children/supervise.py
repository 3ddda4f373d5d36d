"""A supervisor to be killed: raises children with a task and a subprocess of it, prints all pids, and waits."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from select import select

from headbox.domain.task import Work
from headbox.worker.journal import Journals
from headbox.worker.nursery import Nursery

nursery = Nursery("tasks:queue", preload=sys.argv[1] == "fork")
nursery.start()
while not nursery.receive():
    select([nursery.fileno()], [], [])
journals = [Journals(Path(sys.argv[2]).parent / "ends").open("worker", number).descriptor for number in (1, 2)]
children = [nursery.raise_child(1, "sync", journals[0]), nursery.raise_child(2, "async", journals[1])]
for child in children:
    while not child.ready:
        select([child.fileno()], [], [])
        child.receive()
path = Path(sys.argv[2])
children[0].hand([Work("id", 1, "tasks:start_subprocess", args=json.dumps([str(path), "sleep"]).encode())])
while not path.exists():
    os.sched_yield()
os.write(1, f"{nursery.pid} {children[0].pid} {children[1].pid} {path.read_text()}".encode())
signal.pause()

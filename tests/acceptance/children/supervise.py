"""A supervisor to be killed: raises children with a task and a subprocess of it, prints all pids, and waits."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from select import select

from headbox.task_queue.running import Work
from headbox.worker.nursery import Nursery

nursery = Nursery("tasks:queue", preload=sys.argv[1] == "fork")
nursery.start()
while not nursery.receive():
    select([nursery.fileno()], [], [])
children = [nursery.raise_child(1, "sync"), nursery.raise_child(2, "async")]
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

"""Those who enqueue while everything breaks: through Python, through HTTP, and inside transactions of their own. Each
draws what it asks for from the seed, and writes down what it was answered."""

from __future__ import annotations

import base64
import http.client
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from headbox import HeadboxError, StateConflict, TaskQueue
from tests.fault.chaos import workload
from tests.fault.chaos.ledger import ACCEPTED, REFUSED, UNKNOWN, Ledger
from tests.fault.chaos.sites import Site

Drawn = tuple[str, list[Any]]  # kind of task, its arguments behind the token

BATCHES = (1, 1, 1, 1, 5, 20, 100, 250)


def draw(random: Random) -> Drawn:
    """A task: most do next to nothing."""
    kind = random.choices(["nothing", "nap", "nap_async", "tell", "bulk", "fail", "stumble"], [60, 16, 10, 2, 2, 5, 5])[
        0
    ]
    match kind:
        case "nap" | "nap_async":
            return kind, [random.randint(5, 50)]
        case "tell":
            return kind, [random.randint(1, 5)]
        case "bulk":
            return kind, [random.randint(1_000, 20_000)]
    return kind, []


class Client(threading.Thread):
    """Asks whenever the pace allows it, until it is told to stop."""

    def __init__(self, name: str, seed: int, ledger: Ledger, may_ask: Callable[[int], bool]) -> None:
        super().__init__(name=name, daemon=True)
        self.random = Random(f"{seed}/{name}")
        self.ledger = ledger
        self.stopped = threading.Event()
        self.failure: BaseException | None = None
        self._may_ask = may_ask
        self._asked = 0

    def run(self) -> None:
        try:
            while not self.stopped.is_set():
                if not self._may_ask(self._asked):
                    self.stopped.wait(0.01)
                elif not self.ask():
                    self.stopped.wait(0.05)  # nobody hammers on a closed door
        except BaseException as error:
            self.failure = error
        finally:
            self.hang_up()

    def hang_up(self) -> None:
        """Closes what it has open."""

    def token(self) -> str:
        """One that nobody else has."""
        self._asked += 1
        return f"{self.name}-{self._asked}"

    def ask(self) -> bool:
        """Asks for something, notes what is known of it then, and tells whether it was answered."""
        raise NotImplementedError


class PythonClient(Client):
    """Calls `enqueue_many`."""

    def __init__(self, name: str, seed: int, ledger: Ledger, may_ask: Callable[[int], bool], site: Site) -> None:
        super().__init__(name, seed, ledger, may_ask)
        self._site = site

    def ask(self) -> bool:
        dice = self.random.random()
        if dice < 0.02:
            return self._ask_in_vain()
        if dice < 0.08:
            return self._ask_and_cancel()
        drawn = [(self.token(), *draw(self.random)) for _ in range(self.random.choice(BATCHES))]
        calls = [getattr(workload, kind).call(token, *rest) for token, kind, rest in drawn]
        tokens = [(token, kind) for token, kind, _ in drawn]
        try:
            workload.queue.enqueue_many(calls)
        except HeadboxError as error:
            self.ledger.note(tokens, REFUSED if self._site.says_nothing_was_written(error) else UNKNOWN)
            return False
        self.ledger.note(tokens, ACCEPTED)
        return True

    def _ask_and_cancel(self) -> bool:
        """Before it is due, at once, or when it may have begun."""
        token = self.token()
        known = UNKNOWN
        try:
            task = workload.queue.enqueue(workload.linger, [token], delay=self.random.choice([0.0, 0.0, 5.0]))
            known = ACCEPTED
            self.stopped.wait(self.random.choice([0.0, 0.1, 0.3]))
            with suppress(StateConflict):  # it has ended
                task.cancel()
                if task.state == "canceled":
                    self.ledger.note_canceled(token, task.run)
        except HeadboxError as error:
            if known != ACCEPTED and self._site.says_nothing_was_written(error):
                known = REFUSED
            return False
        finally:
            self.ledger.note([(token, "linger")], known)
        return True

    def _ask_in_vain(self) -> bool:
        """For what cannot be."""
        token = self.token()
        try:
            workload.queue.enqueue(workload.nothing, [token], priority=77)
        except HeadboxError:
            self.ledger.note([(token, "nothing")], REFUSED)
        else:
            self.ledger.note_odd(f"{token}: a priority of 77 was accepted")
        return True


class TransactionalClient(Client):
    """Enqueues in a transaction that writes an order as well, and commits it or does not."""

    def __init__(self, name: str, seed: int, ledger: Ledger, may_ask: Callable[[int], bool], site: Site) -> None:
        super().__init__(name, seed, ledger, may_ask)
        self._site = site
        self._connection: Any = None

    def ask(self) -> bool:
        tokens = [(self.token(), "nothing") for _ in range(self.random.randint(1, 5))]
        commits = self.random.random() < 0.7
        done = UNKNOWN
        try:
            if self._connection is None:
                done = REFUSED
                self._connection = self._site.connect_client()
                done = UNKNOWN
            self._order(tokens)
            self._connection.execute("COMMIT" if commits else "ROLLBACK")
            done = ACCEPTED if commits else REFUSED
        except (HeadboxError, *self._site.errors):
            if not commits:
                done = REFUSED
            self.hang_up()
        finally:
            self.ledger.note(tokens, done)
        return done != UNKNOWN

    def _order(self, tokens: list[tuple[str, str]]) -> None:
        self._connection.execute(self._site.begin)
        for token, _ in tokens:
            self._connection.execute(self._site.add_order, [token])
            workload.queue.enqueue(workload.nothing, [token], connection=self._connection)

    def hang_up(self) -> None:
        if self._connection is not None:
            with suppress(*self._site.errors):
                self._connection.close()
            self._connection = None


class HTTPClient(Client):
    """Posts to the API."""

    def __init__(
        self, name: str, seed: int, ledger: Ledger, may_ask: Callable[[int], bool], port: int, password: str
    ) -> None:
        super().__init__(name, seed, ledger, may_ask)
        self._port = port
        credentials = base64.b64encode(f"admin:{password}".encode()).decode()
        self._headers = {"Content-Type": "application/json", "Authorization": f"Basic {credentials}"}
        self._connection: http.client.HTTPConnection | None = None

    def ask(self) -> bool:
        kind, rest = draw(self.random)
        is_wrong = self.random.random() < 0.03
        token = self.token()
        body = {"method_name": kind, "args": [token, *rest]} | ({"weight": -1} if is_wrong else {})
        status = self._post(json.dumps(body))
        match status:
            case 202 if not is_wrong:
                known = ACCEPTED
            case 400 if is_wrong:
                known = REFUSED
            case 0:
                known = REFUSED
            case 503 | None:
                known = UNKNOWN
            case _:
                known = UNKNOWN
                self.ledger.note_odd(f"{token}: POST /tasks/ was answered {status}")
        self.ledger.note([(token, kind)], known)
        return status not in (None, 0, 503)

    def _post(self, body: str) -> int | None:
        """The status; None where the answer was lost, 0 where nothing was sent."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                self._connection.connect()
            except OSError:
                self._connection = None
                return 0
        try:
            self._connection.request("POST", "/tasks/", body, self._headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            return None
        return answer.status


def schedule_ticks(queue: TaskQueue, count: int) -> list[str]:
    """Schedules of one second each; their ids."""
    return [
        queue.schedule(f"tick-{number}", workload.tick, [f"tick-{number}"], schedule="PT1S").id
        for number in range(count)
    ]

"""From a call to a task: resolves what is called, asks the application's hooks, and lays options upon each other: those
of the settings, of the decorator, of the call, and of the task that is running here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from headbox.domain.errors import InvalidTask
from headbox.domain.task import Instant, Task
from headbox.storage.payload import Payloads
from headbox.task_queue.current import find_current_task
from headbox.task_queue.enqueueing import Call, Draft, Naming, Target, prepare, registered, target_of, unfold
from headbox.task_queue.function import TaskFunction
from headbox.task_queue.options import Options, read_options
from headbox.task_queue.registry import Registration, Registry

NO_KEYS: Final = Payloads(())


class Calls:
    """Prepares the calls of one queue. `base` gives the options that the settings say, `payloads` the encoder; both are
    asked at first need."""

    def __init__(self, registry: Registry, base: Callable[[], Options], payloads: Callable[[], Payloads]) -> None:
        self._registry = registry
        self._base = base
        self._payloads = payloads
        self._known: dict[str, tuple[Registration, Target, Options]] = {}  # by name, resolved once

    def prepare(self, call: Call, now: Instant, naming: Naming | None = None) -> Task:
        """The task of a call. InvalidTask, InvalidSchedule, PayloadRefused, and whatever a hook raises."""
        if not isinstance(call, Call):
            raise InvalidTask(f"{call!r:.80} is not a call: give calls such as sync.call(…)")
        target, call = self._resolve(unfold(call))
        if self._registry.hooks["on_enqueue"]:
            call = self._ask_hooks(target, call)
        options = self._options(target.registration)
        if call.options:
            options = replace(options, **read_options(call.options, now))
        current = find_current_task()
        if current is not None and naming is None:
            options = replace(options, job_id=options.job_id or current.job_id, owner=options.owner or current.owner)
        return prepare(target, call.args, call.kwargs, options, self._payloads(), now, naming)

    def declare(self, app: str, registration: Registration, now: Instant) -> Task:
        """The task that a registration's schedule declares for the workers of `app`."""
        options = replace(self._options(registration), **read_options({"schedule": registration.schedule}, now))
        naming = Naming(schedule_name=f"{app}:{registration.name}", declared_by=app)
        return prepare(registered(registration), [], {}, options, NO_KEYS, now, naming)

    def _options(self, registration: Registration | None) -> Options:
        return self._base() if registration is None else self._resolved(registration)[2]

    def _resolved(self, registration: Registration) -> tuple[Registration, Target, Options]:
        known = self._known.get(registration.name)
        if known is None or known[0] is not registration:
            options = replace(self._base(), **{"weight": 0 if registration.is_async else 1} | registration.options)
            known = self._known[registration.name] = (registration, registered(registration), options)
        return known

    def _resolve(self, call: Call) -> tuple[Target, Call]:
        function = call.callable
        if not isinstance(function, TaskFunction):
            return target_of(function, self._registry), call
        if function.given and function.given is not call.options:
            call = Call(function, call.args, call.kwargs, {**function.given, **call.options})
        registration = function.registration
        if function.instance is not None:
            return _bound_target(function), call
        if self._registry.resolve(registration.name) is registration:
            return self._resolved(registration)[1], call
        # Another queue's task: this queue's workers may know it by its name, else they import it.
        return replace(registered(registration), value=function), call

    def _ask_hooks(self, target: Target, call: Call) -> Call:
        draft = Draft(target.name, call.args, call.kwargs, dict(call.options))
        for hook in self._registry.hooks["on_enqueue"].values():
            hook(draft)
        return Call(call.callable, draft.args, draft.kwargs, draft.options)


def _bound_target(function: TaskFunction[..., object]) -> Target:
    instance = function.instance
    cls = instance if isinstance(instance, type) else type(instance)
    return replace(
        registered(function.registration),
        class_name=cls.__name__,
        value=function.function,
        parameters=function.registration.parameters[1:],
    )

"""Kinds of jobs that write an event per item into the outbox, and go wrong as they are told."""

import asyncio
from collections.abc import Callable

from latchwork.domains.jobs import Failure, Job, Portion
from latchwork.kernel.events import Event
from latchwork.kernel.sql import Connection
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.database import Unit
from latchwork.kernel.sql.outbox import tell


class Telling:
    """Tells an event for each item, `step` items a portion; an item `bad` fails by itself."""

    def __init__(self, name: str = "tests.telling", step: int = 2) -> None:
        self.name = name
        self.step = step
        self.trouble: list[Exception | None] = []
        """What the next portions raise before they write, the first first."""
        self.spoils: list[Exception | None] = []
        """What the next units raise after they have written."""
        self.gate: asyncio.Event | None = None
        """Where it is there, a portion waits for it."""
        self.began: list[str] = []

    async def prepare(self, job: Job) -> Unit[Portion]:
        self.began.append(f"{job.id}@{job.position}")
        if self.gate is not None:
            await self.gate.wait()
        _raise_next(self.trouble)
        return self._unit(job)

    def _unit(self, job: Job) -> Callable[[Connection], Portion]:
        def unit(connection: Connection) -> Portion:
            end = min(job.position + self.step, job.total)
            items = job.payload[job.position : end]
            good = [item for item in items if item != "bad"]
            for item in good:
                tell(connection, Event.now(job.who.workspace_id, self.name, 0, item=item))
            _raise_next(self.spoils)
            failures = [
                Failure(job.position + n, "tests/bad", "It is bad.")
                for n, item in enumerate(items)
                if item == "bad"
            ]
            changed(connection, *(("item", item) for item in good))
            return Portion(end, tuple(failures))

        return unit


class Standing(Telling):
    """Never gets anywhere."""

    def _unit(self, job: Job) -> Callable[[Connection], Portion]:
        return lambda connection: Portion(job.position)


def _raise_next(faults: list[Exception | None]) -> None:
    fault = faults.pop(0) if faults else None
    if fault is not None:
        raise fault

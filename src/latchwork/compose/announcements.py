"""The outbox's other end: hands committed events to their listeners, in order, at least once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from latchwork.kernel.events import Event
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database
from latchwork.kernel.sql.outbox import forget, waiting

_BATCH = 500
_PAUSE_S = 1.0

Listener = Callable[[Event], Awaitable[None]]

_log = logging.getLogger(__name__)


class Announcements:
    """Delivers the outbox. An event leaves it when every listener has taken it; a failing one is asked again."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._listeners: list[Listener] = []
        self._task: asyncio.Task[None] | None = None

    def listen(self, listener: Listener) -> None:
        """Hand every event to `listener` from now on; it may see one twice."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Begin to deliver."""
        self._task = asyncio.get_running_loop().create_task(self._keep_on())

    async def stop(self) -> None:
        """Stop; what is undelivered stays for the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def deliver(self) -> int:
        """Deliver the oldest events; how many there were."""
        batch = await self._db.read(lambda connection: waiting(connection, _BATCH), ALL_WORKSPACES)
        for _, event in batch:
            for listener in self._listeners:
                await listener(event)
        if batch:
            last = batch[-1][0]

            def unit(connection: Connection) -> None:
                forget(connection, last)

            await self._db.write(unit, ALL_WORKSPACES)
        return len(batch)

    async def _keep_on(self) -> None:
        while True:
            delivered = 0
            with suppress(Unavailable):
                try:
                    delivered = await self.deliver()
                except Unavailable:
                    raise
                except Exception:  # noqa: BLE001 - one bad listener must not end the delivery
                    _log.exception("A listener failed; its events will be delivered again.")
            if delivered < _BATCH:
                await asyncio.sleep(_PAUSE_S)

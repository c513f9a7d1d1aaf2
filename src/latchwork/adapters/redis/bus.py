"""The bus: news from node to node through Redis, at once and without a promise.

What must not be missed is in the database; the bus makes it known sooner, and tells who is there.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import hiredis

from latchwork.adapters.redis.connection import Connection, RedisRefused, connect

BEAT_S = 0.1
SILENT_S = 0.5
"""After so long without hearing even itself a node knows that the bus is silent."""
GONE_S = 3.0
"""After so long unheard of a node is not counted any more."""
_CONNECTING_S = 0.5
_PAUSE_S = 0.2
_MOST_WAITING = 10_000

_log = logging.getLogger(__name__)


class Subscription(Connection):
    """A connection that hears a channel; `heard` gets every message."""

    heard: Callable[[bytes], None]

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                if self._waiting:
                    self._waiting.popleft()(reply)
                elif isinstance(reply, list) and reply[0] == b"message":
                    self.heard(reply[2])
        except hiredis.ProtocolError as error:
            self.drop(f"Redis speaks otherwise than expected: {error}")


class Bus:
    """Owned by one event loop. `heard` gets what other nodes publish."""

    def __init__(self, url: str, node: str, heard: Callable[[bytes], None], *, prefix: str = "lw:") -> None:
        """`node` names this one; it has no space in it."""
        self._url = url
        self._name = node.encode()
        self._heard = heard
        self._channel = f"{prefix}news".encode()
        self._out: Connection | None = None
        self._in: Connection | None = None
        self._nodes: dict[bytes, float] = {}
        self._heard_itself_s = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Try to take part, and go on trying."""
        self._loop = asyncio.get_running_loop()
        await self._join()
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Leave."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._leave("this node is stopping")

    def publish(self, news: bytes) -> None:
        """Tell all other nodes, if that can be done at once."""
        self._send(b"c " + news)

    def known_nodes(self) -> int:
        """How many nodes are there, this one included; while the bus is silent, those that were there before."""
        if not self.is_silent():
            now_s = self._loop.time()
            self._nodes = {node: at_s for node, at_s in self._nodes.items() if now_s - at_s < GONE_S}
        return max(1, len(self._nodes))

    def is_silent(self) -> bool:
        """Whether news would not be heard now."""
        return self._loop.time() - self._heard_itself_s > SILENT_S

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            if self._out is not None and self.is_silent():
                self._leave("nothing is heard on the bus")
            if self._out is None:
                await asyncio.sleep(_PAUSE_S)
                await self._join()
            self._send(b"h")

    async def _join(self) -> None:
        try:
            async with asyncio.timeout(_CONNECTING_S):
                self._in = subscription = await connect(self._url, Subscription)
                assert isinstance(subscription, Subscription)
                subscription.heard = self._take
                subscription.lost = self._leave
                await subscription.ask(b"SUBSCRIBE", self._channel)
                self._out = await connect(self._url)
                self._out.lost = self._leave
        except (OSError, RedisRefused, TimeoutError) as error:
            self._leave(str(error) or "Redis cannot be reached")
            return
        self._heard_itself_s = self._loop.time()
        self._send(b"h")

    def _leave(self, reason: str) -> None:
        connections = [each for each in (self._in, self._out) if each is not None]
        self._in = self._out = None
        self._heard_itself_s = float("-inf")
        for connection in connections:
            connection.lost = None
            connection.drop(reason)
        if connections:
            _log.warning("The bus is lost: %s", reason)

    def _send(self, what: bytes) -> None:
        if self._out is not None and self._out.waits_for < _MOST_WAITING:
            self._out.send((b"PUBLISH", self._channel, self._name + b" " + what), lambda reply: None)

    def _take(self, message: bytes) -> None:
        node, _, rest = message.partition(b" ")
        self._nodes[node] = self._loop.time()
        if node == self._name:
            self._heard_itself_s = self._loop.time()
        elif rest.startswith(b"c "):
            self._heard(rest[2:])

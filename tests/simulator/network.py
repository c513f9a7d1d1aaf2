"""The network between hosts and servers: in order on each connection, after a while, or not at all."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from random import Random
from typing import Any

from tests.simulator.loop import Host, VirtualLoop, host_now

Deliver = Callable[[], None]
_Arrival = tuple[Context, Callable[..., None], tuple[Any, ...]]
_TICK_S = 1e-6  # what is sent later on a connection also arrives later


class Way:
    """From a host to a server and back. What is sent while it is `stalled` waits, and is lost when it is cut."""

    def __init__(self, network: "Network", host: Host, service: str) -> None:
        self.host = host
        self.service = service
        self.stalled = {"up": False, "down": False}
        self.refuses = False
        self.wires: list[Wire] = []
        self.network = network
        self.flows = asyncio.Event()
        self.flows.set()

    def stall(self, *directions: str) -> None:
        """Hold back what goes up to the server, down from it, or both."""
        for each in directions:
            self.stalled[each] = True
        self.flows.clear()

    def flow(self) -> None:
        """Let everything pass again, what was held back first."""
        self.stalled = {"up": False, "down": False}
        self.refuses = False
        self.flows.set()
        for wire in list(self.wires):
            wire.flow()
        self.wires = [wire for wire in self.wires if wire.client_open or wire.server_open]

    def cut(self) -> None:
        """Break every connection, with what is on its way."""
        for wire in list(self.wires):
            wire.cut()


class Wire:
    """A connection. The ends set what they want to be told: what arrives, and that nothing more will."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.client_got: Callable[[Any], None] = lambda payload: None
        self.client_lost: Deliver = lambda: None
        self.server_got: Callable[[Any], None] = lambda payload: None
        self.server_lost: Deliver = lambda: None
        self.client_open = self.server_open = True
        self._last_s = {"up": 0.0, "down": 0.0}
        self._held: dict[str, deque[_Arrival]] = {"up": deque(), "down": deque()}
        self._context = way.host.context
        way.wires.append(self)

    def up(self, payload: Any) -> None:
        """Send to the server."""
        if self.client_open:
            self._send("up", self._server_gets, payload, None)

    def down(self, payload: Any, heard: Deliver | None = None) -> None:
        """Send to the host; `heard` is told when it takes it."""
        if self.server_open:
            self._send("down", self._client_gets, payload, heard)

    def leave(self) -> None:
        """The host gives up: the server sees it once all that was sent before has arrived."""
        if self.client_open:
            self.client_open = False
            self._send("up", self._server_sees)

    def close(self) -> None:
        """The server gives up."""
        if self.server_open:
            self.server_open = False
            self._send("down", self._client_sees)

    def cut(self) -> None:
        """Both ends see that it is broken."""
        self._server_sees()
        if self.client_open:
            self.client_open = False
            self.way.network.loop.call_soon(lambda: self.client_lost(), context=self._context)

    def flow(self) -> None:
        """What was held back arrives."""
        for held in self._held.values():
            while held:
                context, deliver, told = held.popleft()
                self.way.network.loop.call_soon(deliver, *told, context=context)

    def _server_gets(self, payload: Any, _heard: None) -> None:
        if self.server_open:
            self.server_got(payload)

    def _client_gets(self, payload: Any, heard: Deliver | None) -> None:
        if self.client_open:
            if heard is not None:
                heard()
            self.client_got(payload)

    def _client_sees(self) -> None:
        if self.client_open:
            self.client_open = False
            self.client_lost()

    def _server_sees(self) -> None:
        if self.server_open:
            self.server_open = False
            self.server_lost()

    def _send(self, direction: str, deliver: Callable[..., None], *told: Any) -> None:
        """What arrives at a host does so in its context, and so waits while it is stopped."""
        network = self.way.network
        at_s = max(self._last_s[direction] + _TICK_S, network.loop.time() + network.delay_s())
        self._last_s[direction] = at_s
        context = network.context if direction == "up" else self._context
        network.loop.call_at(at_s, self._arrive, direction, deliver, told, context=context)

    def _arrive(self, direction: str, deliver: Callable[..., None], told: tuple[Any, ...]) -> None:
        if self.way.stalled[direction]:
            context = self.way.network.context if direction == "up" else self._context
            self._held[direction].append((context, deliver, told))
        else:
            deliver(*told)


class Network:
    """All ways. `accept` of a service gets each new connection, where it is not `down`."""

    def __init__(self, loop: VirtualLoop, chance: Random) -> None:
        self.loop = loop
        self.context = copy_context()
        self.accept: dict[str, Callable[[Wire], None]] = {}
        self.down: set[str] = set()
        self._chance = chance
        self._ways: dict[tuple[str, str], Way] = {}
        loop.dialling = self

    def delay_s(self) -> float:
        """How long what is sent now takes: mostly under a millisecond or two, seldom ten."""
        return self._chance.random() ** 4 * 0.01 + 0.0002

    def way(self, host: Host, service: str) -> Way:
        """The way from a host to a service; a process that comes after another one uses the same."""
        way = self._ways.get((host.name, service))
        if way is None:
            way = self._ways[host.name, service] = Way(self, host, service)
        return way

    def end(self, host: Host) -> None:
        """Close what a process that has ended had open."""
        for (name, _), way in self._ways.items():
            if name == host.name:
                for wire in list(way.wires):
                    wire.leave()

    async def dial(self, service: str) -> Wire:
        """A connection of the host in which this runs; raises `OSError`, or hangs where nothing comes through."""
        host = host_now()
        assert host is not None
        way = self.way(host, service)
        await asyncio.sleep(self.delay_s() + self.delay_s())
        await way.flows.wait()
        if way.refuses or service in self.down:
            raise ConnectionRefusedError(service)
        way.host = host
        way.wires = [each for each in way.wires if each.client_open or each.server_open]
        wire = Wire(way)
        self.accept[service](wire)
        return wire

    async def connection(
        self, protocol: asyncio.Protocol, service: str
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """See `Dialling`."""
        wire = await self.dial(service)
        transport = _Transport(wire)
        wire.client_got = protocol.data_received
        wire.client_lost = lambda: protocol.connection_lost(None)
        protocol.connection_made(transport)
        return transport, protocol


class _Transport(asyncio.Transport):
    """What a protocol writes goes over the wire."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def write(self, data: Any) -> None:
        self._wire.up(bytes(data))

    def abort(self) -> None:
        self._wire.leave()

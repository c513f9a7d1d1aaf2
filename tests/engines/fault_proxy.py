"""A TCP proxy that can do what networks do: delay, stall, swallow, cut and refuse."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class FaultProxy:
    """Forwards to a port of this machine on a port of its own, `port`, for as long as nothing is wrong.

    Faults hold for all connections, those that are open and those to come. Bytes that were swallowed are lost;
    those that are stalled go on when the stall ends.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.latency_s = 0.0
        self.refuses = False
        self.swallows_answers = False
        self.connections = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._lose_answers = 0
        self._lost = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def stall(self) -> None:
        """A black hole: connections stay open, new ones are accepted, and nothing arrives any more."""
        self._flowing.clear()

    def flow(self) -> None:
        """End of the stall."""
        self._flowing.set()

    def cut(self) -> None:
        """Reset every open connection."""
        for writer in list(self._open):
            writer.transport.abort()

    def lose_answers(self, count: int = 1) -> asyncio.Event:
        """Let the next questions through, but cut their connections in place of the answers.

        The event is set when that has happened.
        """
        self._lose_answers = count
        self._lost = asyncio.Event()
        return self._lost

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.flow()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        if self.refuses:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        for each in (writer, back):
            self._open.add(each)
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.gather(
                self._pump(reader, back, is_answer=False), self._pump(there, writer, is_answer=True)
            )
        except asyncio.CancelledError:
            pass  # the proxy is closed
        finally:
            for each in (writer, back):
                self._open.discard(each)
                each.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                await self._flowing.wait()
                if is_answer and self.swallows_answers:
                    continue
                if is_answer and self._lose_answers:
                    self._lose_answers -= 1
                    self.cut()
                    self._lost.set()
                    return
                sink.write(data)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()


@asynccontextmanager
async def fault_proxy(target_port: int) -> AsyncIterator[FaultProxy]:
    """A proxy for the block."""
    proxy = FaultProxy(target_port)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()

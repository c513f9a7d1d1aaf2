"""One connection to Redis: commands go out as they come, replies come back in that order."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import hiredis

Replied = Callable[[Any], None]
Lost = Callable[[str], None]


class RedisRefused(Exception):
    """Redis answered with an error."""


class Connection(asyncio.Protocol):
    """Made by `connect`. `lost` is told once, with a reason, that no further reply will come."""

    def __init__(self) -> None:
        self.lost: Lost | None = None
        self._reader = hiredis.Reader()
        self._waiting: deque[Replied] = deque()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not of that class

    def data_received(self, data: bytes) -> None:
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                if not waiting:
                    raise hiredis.ProtocolError("a reply that nobody asked for")
                waiting.popleft()(reply)
        except hiredis.ProtocolError as error:
            self.drop(f"Redis speaks otherwise than expected: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._tell_lost(f"the connection was lost: {error}" if error else "Redis closed the connection")

    def send(self, command: tuple[bytes, ...], replied: Replied) -> None:
        """Send a command; `replied` gets what it answers, which may be a `hiredis.ReplyError`."""
        assert self._transport is not None
        self._waiting.append(replied)
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stubs know one word only
        self._transport.write(packed)

    @property
    def waits_for(self) -> int:
        """How many replies are still to come."""
        return len(self._waiting)

    async def ask(self, *command: bytes) -> Any:
        """Send a command and wait; raises `RedisRefused`. The caller keeps the deadline."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.send(command, lambda reply: None if future.done() else future.set_result(reply))
        reply = await future
        if isinstance(reply, hiredis.ReplyError):
            raise RedisRefused(str(reply))
        return reply

    def drop(self, reason: str) -> None:
        """Give the connection up at once, with all that is on its way."""
        if self._transport is not None:
            self._transport.abort()
        self._tell_lost(reason)

    def _tell_lost(self, reason: str) -> None:
        lost, self.lost = self.lost, None
        self._waiting.clear()
        if lost is not None:
            lost(reason)


async def connect(url: str, kind: "type[Connection]" = Connection) -> Connection:
    """An authenticated connection of that kind; raises `OSError` or `RedisRefused`. The caller keeps the deadline."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    connection = kind()
    if parts.scheme == "unix":
        await loop.create_unix_connection(lambda: connection, parts.path)
    else:
        secure = ssl.create_default_context() if parts.scheme == "rediss" else None
        await loop.create_connection(
            lambda: connection, parts.hostname or "localhost", parts.port or 6379, ssl=secure
        )
    try:
        if parts.password is not None:
            name = [unquote(parts.username).encode()] if parts.username else []
            await connection.ask(b"AUTH", *name, unquote(parts.password).encode())
        database = parts.path.strip("/") if parts.scheme != "unix" else ""
        if database and database != "0":
            await connection.ask(b"SELECT", database.encode())
    except BaseException:
        with suppress(OSError):
            connection.drop("it did not let us in")
        raise
    return connection

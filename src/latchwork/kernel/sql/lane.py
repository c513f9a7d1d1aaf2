"""A lane: a connection to PostgreSQL of its own, on which it is always found out whether a statement was committed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import BigInteger, Column, String, Table

from latchwork.kernel.faults import Unavailable
from latchwork.kernel.ids import new_id
from latchwork.kernel.sql.schema import Millis, metadata

T = TypeVar("T")
DEADLINE_S = 2.0
"""How long a statement may take with its commit, and as long again to find out what became of it."""
_PAUSE_S = 0.05
_FORGOTTEN_DAYS = 7
_LIMITS_MS = int(DEADLINE_S * 1000)
# A node that vanished must not keep rows locked: the server gives its work up as soon as the node would have.
_SETTINGS = (
    f"SET statement_timeout = {_LIMITS_MS}; SET lock_timeout = {_LIMITS_MS};"
    f"SET idle_in_transaction_session_timeout = {_LIMITS_MS}; SET tcp_user_timeout = {_LIMITS_MS}"
)
_NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_ARRIVE = (
    f"INSERT INTO transaction_lanes (lane, seq, seen_ms) VALUES ($1, 0, {_NOW_MS})"  # noqa: S608 - constants
    f" ON CONFLICT (lane) DO UPDATE SET seen_ms = {_NOW_MS}"
)
_SWEEP = f"DELETE FROM transaction_lanes WHERE seen_ms < {_NOW_MS} - $1::bigint"  # noqa: S608 - constants
_COMMITTED = "SELECT seq FROM transaction_lanes WHERE lane = $1 FOR UPDATE"
_LEAVE = "DELETE FROM transaction_lanes WHERE lane = $1"
# Sent by a server that is going down, perhaps after the commit: class 08, and 57P01 to 57P05.
_GOING = ("08", "57P")

lanes = Table(
    "transaction_lanes",
    metadata,
    Column("lane", String(255), primary_key=True),
    Column("seq", BigInteger, nullable=False),  # of its last statement that was committed
    Column("seen_ms", Millis, nullable=False),
)

MARK = f"UPDATE transaction_lanes SET seq = $1, seen_ms = {_NOW_MS}"  # noqa: S608 - constants
"""Begins a part of every statement of a lane: `… WHERE lane = $2` and whatever else must hold for it to count."""


class Link(NamedTuple):
    """A connection: the driver's own, and how to let go of it without another word to the server."""

    driver: Any
    drop: Callable[[], Awaitable[None]]


class Lane:
    """Runs statements one at a time, each a transaction of its own; owned by one event loop."""

    def __init__(self, connect: Callable[[], Awaitable[Link]], *, deadline_s: float = DEADLINE_S) -> None:
        self.name = new_id("lane")
        self._connect = connect
        self._deadline_s = deadline_s
        self._link: Link | None = None
        self._seq = 0

    async def run(self, statement: str, *values: Any) -> list[Any]:
        """The rows of a statement that is committed, which holds `MARK` and whose values begin at `$3`.

        Raises `Lost` when it was committed and counted, but its answer is lost; and `Unavailable` when it was
        not, or when that could not be found out in time. It is never repeated, and one that could not be found
        out may have been committed.
        """
        self._seq += 1
        try:
            async with asyncio.timeout(self._deadline_s):
                driver = await self._connected()
        except Exception as error:
            await self._drop()
            raise Unavailable(private=f"{type(error).__name__}: {error}") from error
        try:
            async with asyncio.timeout(self._deadline_s):
                found: list[Any] = await driver.fetch(statement, self._seq, self.name, *values)
                return found
        except Exception as error:
            await self._drop()
            if _is_certain(error):
                raise Unavailable(private=f"{type(error).__name__}: {error}") from error
            return await self._settle(error)

    async def close(self) -> None:
        """Disconnect."""
        if self._link is not None:
            try:
                async with asyncio.timeout(self._deadline_s):
                    await self._link.driver.execute(_LEAVE, self.name)
            except Exception:  # noqa: BLE001, S110 - another node sweeps what stays behind
                pass
            await self._drop()

    async def _settle(self, error: Exception) -> list[Any]:
        """Find out what became of a statement whose answer is lost; waits for the server to be done with it."""
        lost = Unavailable(private=f"{type(error).__name__}: {error}")
        try:
            async with asyncio.timeout(self._deadline_s):
                while True:
                    try:
                        driver = await self._connected()
                        committed = await driver.fetchval(_COMMITTED, self.name)
                        break
                    except Exception:  # noqa: BLE001 - until the time is over
                        await self._drop()
                        await asyncio.sleep(_PAUSE_S)
        except TimeoutError:
            await self._drop()
            raise lost from error
        if committed == self._seq:
            raise Lost from error
        raise lost from error

    async def _connected(self) -> Any:
        if self._link is None:
            link = await self._connect()
            try:
                await link.driver.execute(_SETTINGS)
                await link.driver.execute(_ARRIVE, self.name)
                await link.driver.execute(_SWEEP, _FORGOTTEN_DAYS * 86_400_000)
            except BaseException:
                await link.drop()
                raise
            self._link = link
        return self._link.driver

    async def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.drop()


class Lost(Exception):
    """The statement was committed and counted, but what it answered is lost."""


def _is_certain(error: Exception) -> bool:
    """Whether the server said that it did not do it."""
    state: str | None = getattr(error, "sqlstate", None)
    return state is not None and not state.startswith(_GOING)

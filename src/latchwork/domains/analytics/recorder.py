"""The recorder: from the hot path's buffers to the spool."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from latchwork.domains.analytics.batches import Draft
from latchwork.domains.analytics.records import Row
from latchwork.domains.analytics.spool import Spool

TICK_S = 0.1
_SLICE = 1_000  # rows turned into columns at once: half a millisecond in which nothing else is answered
_BATCH_EVENTS = 245_760  # two row groups of DuckDB exactly, which it then writes once and not twice
_BATCH_BYTES = 32 * 1024 * 1024

_log = logging.getLogger(__name__)


class Nowhere(list[Row]):
    """A buffer that keeps nothing, for a server without analytics."""

    def append(self, row: Row, /) -> None:
        """Forget it."""


class OnlyUses(list[Row]):
    """The same for verifications, of which the moment is noted all the same."""

    def __init__(self, uses: dict[str, int]) -> None:
        super().__init__()
        self._uses = uses

    def append(self, row: Row, /) -> None:
        """Note when the key was used."""
        self._uses[row[2].key_id] = row[0]


class Recorder:
    """Two lists to which the hot path appends, emptied into the spool.

    The lists stay the same objects for good, so that their `append` may be bound once. Where the spool
    cannot keep up or has no room, at most `most` events wait in each; the newest beyond are dropped and counted.
    """

    def __init__(self, spool: Spool | None, most: int, batch_s: float = 60.0) -> None:
        self.uses: dict[str, int] = {}
        self.verifications: list[Row] = [] if spool else OnlyUses(self.uses)
        self.ratelimits: list[Row] = [] if spool else Nowhere()
        self.dropped = 0
        self.sealed = asyncio.Event()
        """Set when a batch is complete; whoever stores it clears it."""
        self._spool = spool
        self._most = most
        self._batch_s = batch_s
        self._draft = Draft()
        self._begun_s = 0.0
        self._is_stuck = False
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="analytics-spool")

    @property
    def buffered(self) -> int:
        """Events that only memory holds."""
        return len(self.verifications) + len(self.ratelimits)

    async def open(self) -> None:
        """Begin; raises `OSError` where the spool cannot be."""
        if self._spool is not None:
            await self._away(self._spool.open)

    def close(self) -> None:
        """Stop the thread."""
        if self.buffered:
            _log.error("%d events could not be spooled; they are lost.", self.buffered)
        self._thread.shutdown()

    async def write(self, *, seal: bool = False) -> None:
        """Write to the spool what is buffered; seal the batch when it is full, old, or `seal` says so."""
        async with self._turn:
            self._trim()
            while self.buffered and await self._append(*self._slice()):
                if self._is_ripe():
                    await self._seal()
            if self._is_ripe() or (seal and self._draft.events):
                await self._seal()

    def _slice(self) -> tuple[list[Row], list[Row]]:
        """The next events, so many that the batch ends where it should."""
        verifications = _taken(self.verifications, min(_SLICE, _BATCH_EVENTS - self._draft.events))
        room = min(_SLICE, _BATCH_EVENTS - self._draft.events - len(verifications))
        return verifications, _taken(self.ratelimits, room)

    async def _append(self, verifications: list[Row], limits: list[Row]) -> bool:
        """Write events to the spool; False where it has no room for them, and they wait for the next time."""
        if not self._draft.events:
            self._begun_s = asyncio.get_running_loop().time()
        assert self._spool is not None
        try:
            self._note_uses(verifications)
            frame = self._draft.frame(verifications, limits)
            await self._away(self._spool.write, self._draft.name, frame)
        except OSError as error:
            if not self._is_stuck:
                _log.error(
                    "Events cannot be spooled; they wait in memory, as far as it may be used: %s", error
                )
            self._is_stuck = True
            self.verifications[:0], self.ratelimits[:0] = verifications, limits
            await self._seal()  # what the draft holds as written is not
            return False
        except Exception:  # noqa: BLE001 - whatever is wrong with events must not end the recording of others
            _log.exception("%d events cannot be spooled; they are lost.", len(verifications) + len(limits))
            self.dropped += len(verifications) + len(limits)
            await self._seal()
        else:
            self._is_stuck = False
        return True

    def _note_uses(self, verifications: list[Row]) -> None:
        newest = {row[2]: row[0] for row in verifications}
        for snapshot, time_ms in newest.items():
            self.uses[snapshot.key_id] = time_ms

    async def _seal(self) -> None:
        assert self._spool is not None
        name, self._draft = self._draft.name, Draft()
        await self._away(self._spool.seal, name)
        self.sealed.set()

    def _is_ripe(self) -> bool:
        draft = self._draft
        age_s = asyncio.get_running_loop().time() - self._begun_s
        if not draft.events:
            return False
        return draft.events >= _BATCH_EVENTS or draft.size_bytes >= _BATCH_BYTES or age_s >= self._batch_s

    async def _away(self, work: Callable[..., None], *arguments: Any) -> None:
        """Do it on the thread; the buffers keep their bound meanwhile, however long it takes."""
        job = asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        while not job.done():
            await asyncio.wait([job], timeout=TICK_S)
            self._trim()
        job.result()

    def _trim(self) -> None:
        for buffer in (self.verifications, self.ratelimits):
            self.dropped += max(0, len(buffer) - self._most)
            del buffer[self._most :]


def _taken(buffer: list[Row], most: int) -> list[Row]:
    taken = buffer[:most]
    del buffer[:most]
    return taken

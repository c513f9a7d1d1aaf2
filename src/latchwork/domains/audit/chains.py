"""Going through the chains, and sealing them: noting outside of the database where they end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from latchwork.domains.audit import store
from latchwork.domains.audit.faults import SealsUnavailable
from latchwork.domains.audit.records import Checked, Seal
from latchwork.domains.audit.seals import KEPT, Seals
from latchwork.kernel.blobs import BlobsUnavailable
from latchwork.kernel.clock import Clock
from latchwork.kernel.sql import ALL_WORKSPACES, Database

EVERY_S = 3600.0
AGAIN_S = 60.0
"""After the start, where the first workspace is made a moment later, and after it has failed."""

STOP_S = 5.0
"""How long a stop waits for the last seals."""

_AT_A_TIME = 8
_FORGOTTEN_AFTER_MS = 24 * 3600 * 1000
"""So long it is believed that what was sealed still is: a store may be emptied, or brought back from a backup."""

_THINNED_AGAIN_MS = 24 * 3600 * 1000
"""Where seals cannot be deleted, as is right for a bucket that is written once."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sealing:
    """How sealing fares: when all there is was last sealed, or since when it fails and why; in ms, 0 for not yet."""

    sealed_ms: int = 0
    failing_since_ms: int = 0
    reason: str = ""


class Chains:
    """Checks the chains of all workspaces, and seals them when it starts, soon after, every hour and when it stops."""

    def __init__(self, db: Database, seals: Seals, clock: Clock) -> None:
        self._db = db
        self._seals = seals
        self._clock = clock
        self._known: dict[str, str] = {}  # by workspace, the digest that was sealed last
        self._known_until_ms = 0
        self._thinned_again_ms = 0
        self._task: asyncio.Task[None] | None = None
        self.sealing = Sealing()

    async def check(self, workspace_id: str) -> Checked:
        """The workspace's chain gone through, also against its seals; raises `SealsUnavailable`.

        One that the database does not know has a chain without rows.
        """
        async with _needed():
            seals = await self._seals.of(workspace_id)
        sealed: dict[int, set[str]] = {}
        for seq, digest in seals:
            sealed.setdefault(seq, set()).add(digest)
        checked = await self._db.read(
            lambda connection: store.checked(connection, workspace_id, sealed), workspace_id
        )
        return replace(
            checked, seals=len(seals), sealed_in=str(self._seals), sealed_to=max(sealed, default=0)
        )

    async def sealed(self) -> list[str]:
        """The ids of workspaces of which there are seals; raises `SealsUnavailable`."""
        async with _needed():
            return await self._seals.workspaces()

    async def seal(self) -> int:
        """Note the ends of the chains that have grown; how many there were. Raises what stands in its way."""
        await self._seals.take_over()
        now_ms = self._clock.now_ms()
        heads = await self._db.read(lambda connection: store.heads(connection, now_ms), ALL_WORKSPACES)
        if now_ms >= self._known_until_ms:
            self._known, self._known_until_ms = {}, now_ms + _FORGOTTEN_AFTER_MS
        fresh = [head for head in heads if self._known.get(head.workspace_id) != head.digest]
        if not fresh:
            await self._seals.reach()
        waiting = iter(fresh)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_A_TIME):
                    group.create_task(self._seal_each(waiting))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        return len(fresh)

    def start(self) -> None:
        """Begin to seal."""
        self._task = asyncio.get_running_loop().create_task(self._keep_on())

    async def stop(self) -> None:
        """Seal once more, as far as that takes no longer than `STOP_S`, and end."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        try:
            async with asyncio.timeout(STOP_S):
                await self._try_to_seal()
        except TimeoutError:
            _log.error(
                "The audit log was not sealed before the stop: %s did not answer in time.", self._seals
            )

    async def _keep_on(self) -> None:
        await self._try_to_seal()
        pause_s = AGAIN_S
        while True:
            await asyncio.sleep(pause_s)
            await self._try_to_seal()
            pause_s = AGAIN_S if self.sealing.failing_since_ms else EVERY_S

    async def _try_to_seal(self) -> None:
        try:
            await self.seal()
        except Exception as error:  # noqa: BLE001 - the log goes on without a seal, and the next turn tries again
            since_ms = self.sealing.failing_since_ms or self._clock.now_ms()
            self.sealing = Sealing(self.sealing.sealed_ms, since_ms, str(error))
            known = isinstance(error, BlobsUnavailable)
            _log.error("The audit log could not be sealed: %s", error, exc_info=not known)
        else:
            self.sealing = Sealing(self._clock.now_ms() if self._known else 0)

    async def _seal_each(self, heads: Iterable[Seal]) -> None:
        for head in heads:
            if await self._seals.keep(head):
                await self._thin_out(head.workspace_id)
            self._known[head.workspace_id] = head.digest

    async def _thin_out(self, workspace_id: str) -> None:
        """Delete all but the latest seals, and but those that the log contradicts: they prove that it was changed."""
        if self._clock.now_ms() < self._thinned_again_ms:
            return
        try:
            old = (await self._seals.of(workspace_id))[:-KEPT]
            if old:
                rows = [seq for seq, _ in old]
                held = await self._db.read(
                    lambda connection: store.digests(connection, workspace_id, rows), workspace_id
                )
                await self._seals.drop(workspace_id, [each for each in old if held.get(each[0]) == each[1]])
        except BlobsUnavailable as error:
            self._thinned_again_ms = self._clock.now_ms() + _THINNED_AGAIN_MS
            _log.warning("Old seals of the audit log are not deleted for a day: %s", error)


@asynccontextmanager
async def _needed() -> AsyncIterator[None]:
    """Without the seals that are read within, nobody can say that the log holds."""
    try:
        yield
    except BlobsUnavailable as error:
        raise SealsUnavailable(f"{SealsUnavailable.default_detail} {error}") from error

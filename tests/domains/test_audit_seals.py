"""Seals: what they find that the chain alone does not, what they outlive, and what happens when they cannot be kept."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from latchwork.compose.seals import seals_part
from latchwork.domains import audit
from latchwork.domains.audit import Chains, Seal, Sealing, Seals, SealsUnavailable
from latchwork.domains.audit.chains import AGAIN_S, EVERY_S, STOP_S
from latchwork.domains.audit.seals import KEPT
from latchwork.domains.workspaces import Workspaces, operator
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.sql import ALL_WORKSPACES, Database
from latchwork.surfaces.agent_service.health import Part
from tests.domains.forging import rewrite, unguard
from tests.domains.memory_blobs import Left, MemoryBlobs
from tests.simulator.loop import VirtualLoop

ROWS = 12
DAY_MS = 24 * 3600 * 1000


def chains_of(
    database: Database, blobs: MemoryBlobs | None = None, clock: ManualClock | None = None, *left: Seal
) -> Chains:
    return Chains(database, Seals(blobs or MemoryBlobs(), Left(*left)), clock or ManualClock())


async def filled(database: Database, name: str = "acme", rows: int = ROWS) -> str:
    """A workspace with so many rows in its log."""
    workspace = await Workspaces(database, ManualClock()).create(name)
    await grow(database, workspace.id, rows - 1)
    return workspace.id


async def grow(database: Database, workspace_id: str, rows: int = 1) -> None:
    entries = [audit.Entry("key.create", f"Created {number}") for number in range(rows)]
    await database.write(lambda c: audit.record(c, operator(workspace_id), 5, *entries), ALL_WORKSPACES)


async def forge(database: Database, workspace_id: str, last: int, display: str | None = None) -> None:
    await database.write(unguard, ALL_WORKSPACES)
    await database.write(lambda c: rewrite(c, workspace_id, last, display), ALL_WORKSPACES)
    assert await database.read(lambda c: audit.first_break(c, workspace_id), ALL_WORKSPACES) is None


async def reason_of(chains: Chains, workspace_id: str) -> str | None:
    broken = (await chains.check(workspace_id)).broken
    return None if broken is None else broken.reason


@pytest.mark.parametrize(
    ("last", "display", "reason"),
    [
        (ROWS - 3, None, f"the log ends at row {ROWS - 3}, row {ROWS} was sealed"),
        (ROWS, "another", f"row {ROWS} is not the one that was sealed"),
    ],
    ids=["cut off with its head", "written anew"],
)
async def test_what_fits_together_again_is_found_by_a_seal(
    database: Database, last: int, display: str | None, reason: str
) -> None:
    workspace_id = await filled(database)
    chains = chains_of(database)
    assert (await chains.seal(), await chains.seal()) == (1, 0)
    assert await reason_of(chains, workspace_id) is None
    await forge(database, workspace_id, last, display)
    assert await reason_of(chains, workspace_id) == reason


@pytest.mark.parametrize("is_before", [True, False], ids=["listed before", "listed after"])
async def test_it_is_found_too_after_what_was_written_anew_has_been_sealed(
    database: Database, is_before: bool
) -> None:
    workspace_id = await filled(database)
    blobs = MemoryBlobs()
    chains = chains_of(database, blobs)
    await chains.seal()
    true, forged = (await chains.check(workspace_id)).digest, ""
    for number in count():
        await forge(database, workspace_id, ROWS, f"another {number}")
        forged = (await chains.check(workspace_id)).digest
        if (forged < true) == is_before:
            break
    assert await chains_of(database, blobs).seal() == 1
    assert len(blobs.kept) == 2
    assert await reason_of(chains, workspace_id) == f"row {ROWS} is not the one that was sealed"


async def test_a_seal_of_before_still_holds_when_the_log_has_grown(database: Database) -> None:
    workspace_id = await filled(database)
    chains = chains_of(database)
    await chains.seal()
    await grow(database, workspace_id)
    checked = await chains.check(workspace_id)
    assert (checked.rows, checked.broken) == (ROWS + 1, None)
    assert await chains.seal() == 1


async def test_a_long_log_is_gone_through_whole(database: Database) -> None:
    workspace_id = await filled(database, rows=2_100)
    checked = await chains_of(database).check(workspace_id)
    assert (checked.rows, checked.broken) == (2_100, None)


async def test_nodes_share_their_seals_and_keep_one_of_each_end(database: Database) -> None:
    workspace_id, other = await filled(database), await filled(database, "other")
    blobs = MemoryBlobs()
    await asyncio.gather(*(chains_of(database, blobs).seal() for _ in range(3)))
    assert len(blobs.kept) == 2
    await forge(database, workspace_id, ROWS, "another")
    fourth = chains_of(database, blobs)
    assert await reason_of(fourth, workspace_id) is not None
    assert await reason_of(fourth, other) is None


async def test_a_store_that_was_emptied_has_the_seals_again_a_day_later(database: Database) -> None:
    blobs, clock = MemoryBlobs(), ManualClock()
    chains = chains_of(database, blobs, clock)
    await filled(database)
    await chains.seal()
    sealed = set(blobs.kept)
    blobs.kept.clear()
    clock.advance(DAY_MS)
    await chains.seal()
    assert sealed and set(blobs.kept) == sealed


async def test_what_is_no_seal_is_passed_over(database: Database) -> None:
    workspace_id = await filled(database)
    blobs = MemoryBlobs()
    await blobs.put(f"audit/seals/{workspace_id}/README", b"hello")
    await blobs.put(f"audit/seals/{workspace_id}/{ROWS:020}-short.json", b"{}")
    assert await reason_of(chains_of(database, blobs), workspace_id) is None


async def test_what_an_earlier_version_has_left_is_taken_over_and_counts(database: Database) -> None:
    workspace_id = await filled(database)
    old = Seal(workspace_id, ROWS, "ab" * 32, 5)
    for chains in (
        chains_of(database, None, None, old),
        chains_of(database, blobs := MemoryBlobs(), None, old),
    ):
        assert await reason_of(chains, workspace_id) == f"row {ROWS} is not the one that was sealed"
    assert await reason_of(chains_of(database, blobs), workspace_id) is not None


async def test_nothing_is_forgotten_before_it_has_been_taken_over(database: Database) -> None:
    workspace_id = await filled(database)
    blobs, left = MemoryBlobs(), Left(Seal(workspace_id, ROWS, "ab" * 32, 5))
    chains = Chains(database, Seals(blobs, left), ManualClock())
    blobs.away = "It is away."
    with pytest.raises(SealsUnavailable, match=r"so the log was not checked\. It is away\."):
        await chains.check(workspace_id)
    assert len(left.seals) == 1
    blobs.away = ""
    await chains.seal()
    assert (left.seals, len(blobs.kept)) == ([], 2)


class TestBounds:
    async def test_the_latest_of_each_workspace_are_kept(self, database: Database) -> None:
        workspace_id, other = await filled(database), await filled(database, "other")
        blobs = MemoryBlobs()
        chains = chains_of(database, blobs)
        for _ in range(KEPT + 5):
            await grow(database, workspace_id)
            await chains.seal()
        mine = await blobs.list(f"audit/seals/{workspace_id}")
        assert [int(key.rpartition("/")[2][:20]) for key in mine] == list(range(ROWS + 6, ROWS + KEPT + 6))
        assert len(await blobs.list(f"audit/seals/{other}")) == 1

    async def test_those_that_prove_a_change_are_kept_however_old(self, database: Database) -> None:
        workspace_id = await filled(database)
        blobs = MemoryBlobs()
        chains = chains_of(database, blobs)
        await chains.seal()
        await forge(database, workspace_id, ROWS, "another")
        for _ in range(KEPT + 5):
            await grow(database, workspace_id)
            await chains.seal()
        assert len(blobs.kept) == KEPT + 1
        assert await reason_of(chains, workspace_id) == f"row {ROWS} is not the one that was sealed"

    async def test_a_bucket_that_refuses_deletion_is_asked_once_a_day(self, database: Database) -> None:
        workspace_id = await filled(database)
        blobs, clock = MemoryBlobs(), ManualClock()
        blobs.deletes = False
        chains = chains_of(database, blobs, clock)
        for _ in range(KEPT + 3):
            await grow(database, workspace_id)
            await chains.seal()
        assert (blobs.deletions_refused, len(blobs.kept)) == (1, KEPT + 3)
        clock.advance(DAY_MS)
        await grow(database, workspace_id)
        await chains.seal()
        assert blobs.deletions_refused == 2


class OneLog:
    """As much of a `Database` as sealing needs, with one log that never grows, once it is there."""

    def __init__(self) -> None:
        self.is_there = True

    async def read(self, _question: object, _workspace: str) -> list[Seal]:
        return [Seal("ws_1", 7, "ab" * 32, 5)] if self.is_there else []


class LoopClock:
    """The time of the loop."""

    def now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


class TestAway:
    """On a loop whose time is the next thing to happen."""

    def test_sealing_that_fails_is_told_with_its_beginning_and_tried_again_soon(self) -> None:
        blobs = MemoryBlobs()
        blobs.away = "It is away."

        async def play(chains: Chains) -> None:
            begun_ms = LoopClock().now_ms()
            await asyncio.sleep(5 * AGAIN_S)
            assert chains.sealing == Sealing(0, begun_ms, "It is away.")
            blobs.away = ""
            await asyncio.sleep(AGAIN_S)
            assert len(blobs.kept) == 1
            assert chains.sealing.failing_since_ms == 0
            assert begun_ms < chains.sealing.sealed_ms <= LoopClock().now_ms()

        self._played(blobs, play)

    def test_when_it_has_not_failed_it_is_done_again_after_a_minute_and_then_every_hour(self) -> None:
        blobs = MemoryBlobs()

        async def play(chains: Chains) -> None:
            await asyncio.sleep(1)
            sealed_ms = chains.sealing.sealed_ms
            for pause_s in (AGAIN_S, EVERY_S, EVERY_S):
                await asyncio.sleep(pause_s - 2)
                assert chains.sealing.sealed_ms == sealed_ms
                await asyncio.sleep(2)
                sealed_ms += int(pause_s * 1000)
                assert chains.sealing.sealed_ms == sealed_ms

        self._played(blobs, play)

    def test_a_log_that_is_begun_after_the_start_has_a_seal_in_a_minute_and_nothing_is_sealed_before(
        self,
    ) -> None:
        blobs, log = MemoryBlobs(), OneLog()
        log.is_there = False

        async def play(chains: Chains) -> None:
            await asyncio.sleep(1)
            log.is_there = True
            assert (chains.sealing, seals_part(chains)) == (Sealing(), Part("ok", {}))
            await asyncio.sleep(AGAIN_S)
            assert len(blobs.kept) == 1
            sealed_ms = chains.sealing.sealed_ms
            assert seals_part(chains) == Part("ok", {"sealedAt": sealed_ms})
            assert LoopClock().now_ms() - 1_000 <= sealed_ms <= LoopClock().now_ms()

        self._played(blobs, play, log)

    def test_a_store_that_is_there_again_at_the_stop_gets_its_seals(self) -> None:
        blobs = MemoryBlobs()
        blobs.is_silent = True

        async def play(chains: Chains) -> None:
            await asyncio.sleep(EVERY_S)
            blobs.is_silent = False

        self._played(blobs, play)
        assert len(blobs.kept) == 1

    def test_a_store_that_says_nothing_holds_up_a_stop_for_so_long_and_no_longer(self) -> None:
        blobs = MemoryBlobs()
        blobs.is_silent = True

        async def play(chains: Chains) -> None:
            await asyncio.sleep(1)

        assert self._played(blobs, play) == STOP_S

    @staticmethod
    def _played(
        blobs: MemoryBlobs, play: Callable[[Chains], Awaitable[None]], log: OneLog | None = None
    ) -> float:
        """Sealing while that is played, then stopped; how long the stop took, in the seconds of that loop."""

        async def whole() -> float:
            chains = Chains(log or OneLog(), Seals(blobs, Left()), LoopClock())  # type: ignore[arg-type]
            chains.start()
            await play(chains)
            before_s = asyncio.get_running_loop().time()
            await chains.stop()
            return asyncio.get_running_loop().time() - before_s

        loop = VirtualLoop()
        try:
            return loop.run_until_complete(whole())
        finally:
            loop.close()

"""Jobs are done portion by portion, exactly once, whatever goes wrong on the way."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from latchwork.domains.jobs import Job, JobNotFound, Jobs, Portion, Runner, State, TooManyJobs, Wanted, store
from latchwork.domains.jobs.service import MOST_UNFINISHED
from latchwork.domains.workspaces import Workspaces, operator
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.invalidations import Tag
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database, SqliteDatabase
from latchwork.kernel.sql.outbox import waiting
from tests.domains.credits.flaky import FlakyDatabase
from tests.domains.jobs.kinds import Standing, Telling

DAY_MS = 24 * 60 * 60 * 1000


class TickingClock(ManualClock):
    """A clock that has moved on whenever it is looked at."""

    def now_ms(self) -> int:
        self.advance(1)
        return super().now_ms()


@dataclass
class Works:
    """A database with two workspaces, and runners on it."""

    db: Database
    clock: ManualClock
    jobs: Jobs
    acme: Principal
    zeta: Principal
    announced: list[list[Any]]
    """The items of which caches heard, portion by portion."""

    async def queue(self, who: Principal, items: list[str], kind: str = "tests.telling", **more: Any) -> str:
        wanted = Wanted(kind, "api_1", items, len(items), **more)
        return await self.db.write(
            lambda connection: self.jobs.queue(connection, who, wanted), ALL_WORKSPACES
        )

    async def job(self, who: Principal, job_id: str, kind: str = "tests.telling") -> Job:
        return (await self.jobs.get(who, kind, job_id))[0]

    async def told(self) -> list[str]:
        """The items that were done, in order."""
        events = await self.db.read(lambda connection: waiting(connection, 1000), ALL_WORKSPACES)
        return [event.data["item"] for _, event in events]


async def _works(database: Database) -> Works:
    clock = ManualClock()
    workspaces = Workspaces(database, clock)
    who = [operator((await workspaces.create(name)).id) for name in ("acme", "zeta")]
    announced: list[list[Any]] = []

    def hear(tags: Iterable[Tag]) -> None:
        told = [item for kind, item in tags if kind != "jobs"]
        if told:
            announced.append(told)

    database.invalidations.listen(hear)
    return Works(database, clock, Jobs(database, clock), who[0], who[1], announced)


@pytest.fixture
async def works(database: Database) -> Works:
    return await _works(database)


@pytest.fixture
async def local(sqlite_path: Any) -> AsyncIterator[Works]:
    """On SQLite alone, for what has nothing to do with the database."""
    database = SqliteDatabase(sqlite_path)
    await database.open()
    yield await _works(database)
    await database.close()


def _runner(works: Works, *kinds: Telling, db: Database | None = None) -> Runner:
    runner = Runner(db or works.db, works.clock, kinds)
    works.jobs.on_wake(runner.wake)
    return runner


async def test_a_job_is_done_in_portions_and_its_bad_items_are_told(works: Works) -> None:
    kind = Telling()
    job_id = await works.queue(works.acme, ["a", "bad", "c", "d", "e"])
    waits = await works.job(works.acme, job_id)
    assert (waits.state, waits.position, waits.started_ms) == (State.QUEUED, 0, None)
    runner = _runner(works, kind)
    runner.start()
    await runner.settled()
    job, failures = await works.jobs.get(works.acme, kind.name, job_id)
    assert (job.state, job.position, job.succeeded, job.failed) == (State.DONE, 5, 4, 1)
    assert job.started_ms == job.finished_ms == works.clock.now_ms()
    assert job.payload is None
    assert (job.who.subject_id, job.who.permissions) == ("operator", frozenset())
    assert [(failure.position, failure.code) for failure in failures] == [(1, "tests/bad")]
    assert await works.told() == ["a", "c", "d", "e"]
    assert works.announced == [["a"], ["c", "d"], ["e"]]
    await runner.stop()


async def test_a_job_of_another_workspace_or_kind_is_not_found(local: Works) -> None:
    job_id = await local.queue(local.acme, ["a"])
    for who, kind, asked in (
        (local.zeta, "tests.telling", job_id),
        (local.acme, "tests.other", job_id),
        (local.acme, "tests.telling", "job_unknown"),
    ):
        with pytest.raises(JobNotFound):
            await local.jobs.get(who, kind, asked)


async def test_a_job_queued_while_the_runner_rests_is_begun_when_it_is_woken(works: Works) -> None:
    runner = _runner(works, Telling())
    runner.start()
    await runner.settled()
    await works.queue(works.acme, ["a"])
    works.jobs.wake()
    await runner.settled()
    assert await works.told() == ["a"]
    await runner.stop()


async def test_a_workspace_has_one_job_running_and_does_not_hold_up_another(local: Works) -> None:
    kind = Telling(step=10)
    kind.gate = asyncio.Event()
    first, second = [await local.queue(local.acme, [f"acme {n}"]) for n in range(2)]
    other = await local.queue(local.zeta, ["zeta"])
    runner = _runner(local, kind)
    runner.start()
    while len(kind.began) < 2:
        await asyncio.sleep(0)
    assert kind.began == [f"{first}@0", f"{other}@0"]
    assert (await local.job(local.acme, second)).state is State.QUEUED
    kind.gate.set()
    await runner.settled()
    assert kind.began[2:] == [f"{second}@0"]
    await runner.stop()


async def test_only_so_many_jobs_of_a_workspace_may_be_unfinished(local: Works) -> None:
    for _ in range(MOST_UNFINISHED):
        await local.queue(local.acme, ["a"])
    with pytest.raises(TooManyJobs):
        await local.queue(local.acme, ["a"])
    await local.queue(local.zeta, ["a"])
    runner = _runner(local, Telling())
    runner.start()
    await runner.settled()
    await local.queue(local.acme, ["a"])
    await runner.stop()


async def test_a_kind_that_nobody_knows_waits_for_a_runner_that_does(local: Works) -> None:
    job_id = await local.queue(local.acme, ["a"], kind="tests.newer")
    runner = _runner(local, Telling())
    runner.start()
    await runner.settled()
    await runner.stop()
    assert (await local.job(local.acme, job_id, "tests.newer")).state is State.QUEUED
    runner = _runner(local, Telling("tests.newer"))
    runner.start()
    await runner.settled()
    assert (await local.job(local.acme, job_id, "tests.newer")).state is State.DONE
    await runner.stop()


class TestTrouble:
    @pytest.mark.parametrize("where", ["trouble", "spoils"])
    async def test_a_fault_gives_the_job_up_and_undoes_its_portion(self, local: Works, where: str) -> None:
        kind = Telling()
        getattr(kind, where).extend([None, BadRequest("The API is gone.")])
        job_id = await local.queue(local.acme, ["a", "b", "c", "d"])
        runner = _runner(local, kind)
        runner.start()
        await runner.settled()
        job = await local.job(local.acme, job_id)
        assert (job.state, job.error, job.succeeded) == (State.FAILED, "The API is gone.", 2)
        assert (job.payload, job.finished_ms) == (None, local.clock.now_ms())
        assert await local.told() == ["a", "b"]
        await runner.stop()

    async def test_an_error_is_logged_and_the_portion_tried_again_later_and_once(
        self, local: Works, caplog: pytest.LogCaptureFixture
    ) -> None:
        kind = Telling()
        kind.spoils = [None, ZeroDivisionError("inside"), ZeroDivisionError("inside")]
        job_id = await local.queue(local.acme, ["a", "b", "c"])
        runner = _runner(local, kind)
        runner.start()
        with caplog.at_level(logging.ERROR):
            await runner.settled()
        assert "failed at item 2" in caplog.text and "ZeroDivisionError" in caplog.text
        assert (await local.job(local.acme, job_id)).state is State.QUEUED
        local.clock.advance(1_000)
        await runner.settled()
        assert (await local.job(local.acme, job_id)).attempts == 2
        local.clock.advance(1_999)
        await runner.settled()
        assert (await local.job(local.acme, job_id)).state is State.QUEUED
        local.clock.advance(1)
        await runner.settled()
        job = await local.job(local.acme, job_id)
        assert (job.state, job.succeeded, job.attempts) == (State.DONE, 3, 0)
        assert await local.told() == ["a", "b", "c"]
        await runner.stop()

    async def test_what_fails_eight_times_is_given_up(self, local: Works) -> None:
        kind = Standing()
        job_id = await local.queue(local.acme, ["a"])
        runner = _runner(local, kind)
        runner.start()
        for _ in range(8):
            await runner.settled()
            local.clock.advance(DAY_MS)
        job = await local.job(local.acme, job_id)
        assert (job.state, job.error) == (State.FAILED, "It failed 8 times; the server's log says why.")
        assert len(kind.began) == 8
        await runner.stop()

    @pytest.mark.parametrize("answer_lost", [False, True])
    async def test_a_database_that_fails_at_any_write_does_not_have_anything_done_twice(
        self, local: Works, answer_lost: bool
    ) -> None:
        for write in range(1, 9):
            flaky = FlakyDatabase(local.db)
            items = [f"{write}.{n}" for n in range(4)]
            job_id = await local.queue(local.acme, items)
            runner = _runner(local, Telling(), db=flaky)
            flaky.fail_at(write, answer_lost=answer_lost)
            runner.start()
            while (await local.job(local.acme, job_id)).state is not State.DONE:
                await runner.settled()
                local.clock.advance(DAY_MS)
            await runner.stop()
        told = await local.told()
        assert sorted(told) == sorted({f"{write}.{n}" for write in range(1, 9) for n in range(4)})

    async def test_a_job_that_somebody_else_has_brought_forward_is_not_brought_forward_again(
        self, works: Works
    ) -> None:
        await works.queue(works.acme, ["a", "b"])

        def claim(connection: Connection) -> Job | None:
            return store.claim(connection, ["tests.telling"], [], works.clock.now_ms())

        job = await works.db.write(claim, ALL_WORKSPACES)
        assert job is not None
        advance = partial(store.advance, job=job, portion=Portion(1), now_ms=works.clock.now_ms())
        assert (await works.db.write(advance, ALL_WORKSPACES)).position == 1
        with pytest.raises(store.NotOurs):
            await works.db.write(advance, ALL_WORKSPACES)
        assert (await works.job(works.acme, job.id)).succeeded == 1


class TestStopping:
    async def test_what_was_begun_goes_on_at_the_next_start(self, local: Works) -> None:
        kind = Telling()
        job_id = await local.queue(local.acme, ["a", "b", "c", "d"])
        first = _runner(local, kind)
        first.start()
        while not local.announced:
            await asyncio.sleep(0)
        kind.gate = asyncio.Event()
        while len(kind.began) < 2:
            await asyncio.sleep(0)
        await first.stop()
        assert (await local.job(local.acme, job_id)).state is State.RUNNING
        second = _runner(local, Telling())
        second.start()
        await second.settled()
        assert (await local.job(local.acme, job_id)).state is State.DONE
        assert await local.told() == ["a", "b", "c", "d"]
        await second.stop()

    async def test_what_is_being_written_is_written_and_announced(self, local: Works) -> None:
        kind = Telling()
        held = _HeldDatabase(local.db)
        job_id = await local.queue(local.acme, ["a", "b", "c"])
        runner = _runner(local, kind, db=held)
        runner.start()
        held.hold_from = 2  # after claiming
        await held.holding.wait()
        stopping = asyncio.ensure_future(runner.stop())
        await asyncio.sleep(0)
        held.release.set()
        await stopping
        assert local.announced == [["a", "b"]]
        assert (await local.job(local.acme, job_id)).position == 2

    async def test_a_runner_that_never_began_stops_at_once(self, local: Works) -> None:
        await _runner(local, Telling()).stop()


class _HeldDatabase:
    """Passes everything on; from write number `hold_from` on a write waits for `release`."""

    def __init__(self, real: Database) -> None:
        self.real = real
        self.url = real.url
        self.invalidations = real.invalidations
        self.hold_from = 1_000
        self.holding = asyncio.Event()
        self.release = asyncio.Event()
        self._writes = 0

    async def open(self) -> None:
        await self.real.open()

    async def close(self) -> None:
        await self.real.close()

    async def read(self, unit: Any, workspace_id: str) -> Any:
        return await self.real.read(unit, workspace_id)

    async def write(self, unit: Any, workspace_id: str) -> Any:
        self._writes += 1
        if self._writes >= self.hold_from:
            self.holding.set()
            await self.release.wait()
        return await self.real.write(unit, workspace_id)

    def appender(self, statement: Any) -> Any:
        return self.real.appender(statement)


class TestTime:
    async def test_a_job_waits_until_it_is_due(self, local: Works) -> None:
        due_ms = local.clock.now_ms() + DAY_MS
        job_id = await local.queue(local.acme, ["a"], due_ms=due_ms)
        runner = _runner(local, Telling())
        runner.start()
        await runner.settled()
        assert (await local.job(local.acme, job_id)).state is State.QUEUED
        local.clock.advance(DAY_MS)
        await runner.settled()
        assert (await local.job(local.acme, job_id)).state is State.DONE
        await runner.stop()

    async def test_the_runner_wakes_by_itself_when_a_job_falls_due(self, local: Works) -> None:
        job_id = await local.queue(local.acme, ["a"], due_ms=local.clock.now_ms() + 1)
        kind = Telling()
        runner = _runner(local, kind)
        runner.start()
        await runner.settled()
        local.clock.advance(1)
        await _until(lambda: bool(local.announced))
        assert (await local.job(local.acme, job_id)).state is State.DONE
        await runner.stop()

    @pytest.mark.parametrize("readings", range(1, 6))
    async def test_a_job_that_falls_due_while_the_runner_looks_for_one_is_done(
        self, local: Works, readings: int
    ) -> None:
        clock = TickingClock(local.clock.now_ms())
        job_id = await local.queue(local.acme, ["a"], due_ms=local.clock.now_ms() + readings)
        runner = Runner(local.db, clock, [Telling()])
        runner.start()
        await _until(lambda: bool(local.announced))
        await runner.stop()
        assert (await local.job(local.acme, job_id)).position == 1

    async def test_finished_jobs_and_their_failures_are_forgotten_after_30_days(self, works: Works) -> None:
        job_id = await works.queue(works.acme, ["bad"])
        runner = _runner(works, Telling())
        runner.start()
        await runner.settled()
        works.clock.advance(30 * DAY_MS)
        await runner.settled()
        assert (await works.job(works.acme, job_id)).failed == 1
        works.clock.advance(1)
        await runner.settled()
        with pytest.raises(JobNotFound):
            await works.job(works.acme, job_id)
        await runner.stop()


async def _until(true: Callable[[], bool]) -> None:
    """Give way until something has happened that happens by itself."""
    while not true():
        await asyncio.sleep(0)

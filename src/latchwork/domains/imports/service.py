"""The verbs of imports."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from latchwork.domains import audit
from latchwork.domains.imports import removing, store, weighing
from latchwork.domains.imports.faults import RunMoved, RunNotFound
from latchwork.domains.imports.records import Offered, Outcome, Preview, Result, Row, Run, RunState, Source
from latchwork.domains.keys import ApiNotFound
from latchwork.domains.keys import store as keys_store
from latchwork.domains.migrations import MigrationNotFound
from latchwork.domains.migrations import store as migrations_store
from latchwork.domains.migrations.taking import in_portions
from latchwork.kernel.clock import Clock
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.uninterrupted import uninterrupted

MOST_LISTED = 1_000
"""Runs, and rows of one outcome, that are told at once."""


@dataclass(frozen=True, slots=True)
class Imports:
    """Takes keys over from files, run by run."""

    db: Database
    clock: Clock

    async def preview(
        self, who: Principal, api_id: str, migration_id: str | None, rows: Sequence[Row], first: int = 1
    ) -> Preview:
        """What `take` would do with `rows`, of which the first has the number `first`; faults as `begin`."""
        who.must("api", api_id, "create_key")

        def question(connection: Connection) -> Preview:
            api = _target(connection, who, api_id, migration_id).api
            return weighing.preview(connection, who, api, rows, first)

        return await self.db.read(question, who.workspace_id)

    @uninterrupted
    async def begin(self, who: Principal, api_id: str, migration_id: str | None, source: Source) -> Run:
        """A new run, or the one of this very import that stopped on its way.

        Checks permission, then raises `ApiNotFound`, `MigrationNotFound`.
        """
        who.must("api", api_id, "create_key")
        now_ms = self.clock.now_ms()
        fresh = Run(
            id=new_id("imp"),
            workspace_id=who.workspace_id,
            api_id=api_id,
            migration_id=migration_id,
            source=source,
            state=RunState.RUNNING,
            position=0,
            added=0,
            present=0,
            passed=0,
            failed=0,
            created_ms=now_ms,
            finished_ms=None,
        )

        def unit(connection: Connection) -> Run:
            _target(connection, who, api_id, migration_id)
            stopped = store.unfinished(connection, who.workspace_id, api_id, migration_id, source)
            if stopped is not None:
                return stopped
            store.add(connection, fresh)
            _record(connection, who, now_ms, "create", fresh, f"Began import {fresh.id} from {source.kind}")
            return fresh

        return await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def take(
        self, who: Principal, run_id: str, position: int, rows: Sequence[Row]
    ) -> tuple[Run, list[Result]]:
        """Take the next rows of a run, of which `position` are behind it; how each of them ended.

        All of them are one unit of work: see `portions_of`. Raises `RunNotFound`, `RunMoved`, and what
        `begin` raises.
        """

        def unit(connection: Connection) -> tuple[Run, list[Result]]:
            run = _find(connection, who, run_id)
            who.must("api", run.api_id, "create_key")
            if run.state is not RunState.RUNNING or run.position != position:
                raise RunMoved
            target = _target(connection, who, run.api_id, run.migration_id)
            results, created = weighing.take(connection, who, target, rows, position + 1, self.clock.now_ms())
            store.add_results(connection, run, results)
            store.add_creations(connection, run, created)
            further = _further(run, results)
            store.change(connection, further)
            return further, results

        return await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def finish(self, who: Principal, run_id: str) -> Run:
        """Say that no more rows will come; raises `RunNotFound`, `RunMoved`."""
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Run:
            run = _find(connection, who, run_id)
            who.must("api", run.api_id, "create_key")
            if run.state is not RunState.RUNNING:
                raise RunMoved
            done = replace(run, state=RunState.DONE, finished_ms=now_ms)
            store.change(connection, done)
            _record(connection, who, now_ms, "update", done, f"Finished import {run.id}: {run.added} keys")
            return done

        return await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def undo(self, who: Principal, run_id: str) -> tuple[Run, int]:
        """Remove some of the keys that a run added, for good, and at last what it created for them.

        To be repeated until the run is undone; the number of keys removed this time. Identities,
        permissions and roles that are in use by now, or were changed, stay. Raises `RunNotFound`.
        """
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> tuple[Run, int]:
            run = _find(connection, who, run_id)
            who.must("api", run.api_id, "delete_key")
            return removing.remove_some(connection, who, run, now_ms)

        return await self.db.write(unit, who.workspace_id)

    async def newest(self, who: Principal) -> list[Run]:
        """The latest runs of the workspace, the newest first."""
        who.must("api", "*", "create_key")
        return await self.db.read(
            lambda connection: store.newest(connection, who.workspace_id, MOST_LISTED), who.workspace_id
        )

    async def get(self, who: Principal, run_id: str) -> tuple[Run, list[Result]]:
        """A run and its rows that failed, 1,000 at most; raises `RunNotFound`."""
        who.must("api", "*", "create_key")

        def question(connection: Connection) -> tuple[Run, list[Result]]:
            run = _find(connection, who, run_id)
            return run, store.results_of(connection, run, Outcome.FAILED, MOST_LISTED)

        return await self.db.read(question, who.workspace_id)


def portions_of(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """`rows` in their order, in portions of a size to be written at once."""
    return in_portions(rows, lambda row: row.key.rows() if isinstance(row, Offered) else 1)


def _target(connection: Connection, who: Principal, api_id: str, migration_id: str | None) -> weighing.Target:
    api = keys_store.find_api(connection, who.workspace_id, api_id)
    if api is None:
        raise ApiNotFound
    if migration_id is None:
        return weighing.Target(api, None)
    migration = migrations_store.find(connection, who.workspace_id, migration_id)
    if migration is None:
        raise MigrationNotFound
    return weighing.Target(api, migration)


def _find(connection: Connection, who: Principal, run_id: str) -> Run:
    run = store.find(connection, who.workspace_id, run_id)
    if run is None:
        raise RunNotFound
    return run


def _further(run: Run, results: Sequence[Result]) -> Run:
    ended = Counter(result.outcome for result in results)
    return replace(
        run,
        position=run.position + len(results),
        added=run.added + ended[Outcome.ADDED],
        present=run.present + ended[Outcome.PRESENT],
        passed=run.passed + ended[Outcome.PASSED],
        failed=run.failed + ended[Outcome.FAILED],
    )


def _record(connection: Connection, who: Principal, now_ms: int, verb: str, run: Run, display: str) -> None:
    counts = {"added": run.added, "present": run.present, "passed": run.passed, "failed": run.failed}
    resources = (audit.Resource("import", run.id, run.source.kind, counts), audit.Resource("api", run.api_id))
    audit.record(connection, who, now_ms, audit.Entry(f"import.{verb}", display, resources))

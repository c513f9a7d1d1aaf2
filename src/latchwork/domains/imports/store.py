"""The queries of imports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, exists, insert, select, update

from latchwork.domains.credits.tables import balances
from latchwork.domains.identities.tables import identities
from latchwork.domains.imports.records import Outcome, Result, Run, RunState, Source
from latchwork.domains.imports.tables import import_creations, import_rows, import_runs
from latchwork.domains.keys.tables import apis, key_permissions, key_roles, keys
from latchwork.domains.permissions.tables import permissions, role_permissions, roles
from latchwork.domains.ratelimits.tables import limit_rules
from latchwork.kernel.sql.fence import spanning


def add(connection: Connection, run: Run) -> None:
    """Insert a run."""
    connection.execute(
        insert(import_runs).values(
            id=run.id,
            workspace_id=run.workspace_id,
            api_id=run.api_id,
            migration_id=run.migration_id,
            source=run.source.kind,
            fingerprint=run.source.fingerprint,
            created_at_ms=run.created_ms,
            **_progress(run),
        )
    )


def change(connection: Connection, run: Run) -> None:
    """Store how far a run has come."""
    connection.execute(update(import_runs).where(import_runs.c.id == run.id).values(**_progress(run)))


def _progress(run: Run) -> dict[str, Any]:
    return {
        "state": run.state.value,
        "position": run.position,
        "added": run.added,
        "present": run.present,
        "passed": run.passed,
        "failed": run.failed,
        "finished_at_ms": run.finished_ms,
    }


def find(connection: Connection, workspace_id: str, run_id: str) -> Run | None:
    """The run with that id."""
    mine = select(import_runs).where(import_runs.c.workspace_id == workspace_id)
    row = connection.execute(mine.where(import_runs.c.id == run_id)).one_or_none()
    return None if row is None else _run(row)


def unfinished(
    connection: Connection, workspace_id: str, api_id: str, migration_id: str | None, source: Source
) -> Run | None:
    """The run of exactly this import that stopped on its way."""
    row = connection.execute(
        select(import_runs)
        .where(import_runs.c.workspace_id == workspace_id)
        .where(import_runs.c.api_id == api_id)
        .where(import_runs.c.migration_id.is_not_distinct_from(migration_id))
        .where(import_runs.c.source == source.kind)
        .where(import_runs.c.fingerprint == source.fingerprint)
        .where(import_runs.c.state == RunState.RUNNING.value)
        .order_by(import_runs.c.id)
        .limit(1)
    ).one_or_none()
    return None if row is None else _run(row)


def newest(connection: Connection, workspace_id: str, limit: int) -> list[Run]:
    """The latest runs, the newest first."""
    mine = select(import_runs).where(import_runs.c.workspace_id == workspace_id)
    return [_run(row) for row in connection.execute(mine.order_by(import_runs.c.id.desc()).limit(limit))]


def add_results(connection: Connection, run: Run, results: Sequence[Result]) -> None:
    """Keep what became of the next rows of a run, at least one."""
    rows = [
        {
            "run_id": run.id,
            "position": result.row - 1,
            "workspace_id": run.workspace_id,
            "line": result.line,
            "outcome": result.outcome.value,
            "key_id": result.key_id,
            "field": result.field,
            "detail": result.detail,
        }
        for result in results
    ]
    connection.execute(insert(import_rows), rows)


def results_of(connection: Connection, run: Run, outcome: Outcome, limit: int) -> list[Result]:
    """Up to `limit` rows of a run that came to that, in their order."""
    rows = connection.execute(
        select(import_rows)
        .where(import_rows.c.run_id == run.id)
        .where(import_rows.c.outcome == outcome.value)
        .order_by(import_rows.c.position)
        .limit(limit)
    )
    return [
        Result(row.position + 1, row.line, Outcome(row.outcome), row.key_id, row.field, row.detail)
        for row in rows
    ]


def drop_results(connection: Connection, run: Run, key_ids: Sequence[str]) -> None:
    """Forget rows whose keys have been removed."""
    mine = delete(import_rows).where(import_rows.c.run_id == run.id)
    connection.execute(
        mine.where(import_rows.c.outcome == Outcome.ADDED.value).where(import_rows.c.key_id.in_(key_ids))
    )


def add_creations(connection: Connection, run: Run, created: Iterable[tuple[str, str]]) -> None:
    """Remember what a run created besides keys, as pairs of noun and id."""
    rows = [{"run_id": run.id, "noun": noun, "id": id_} for noun, id_ in created]
    if rows:
        connection.execute(insert(import_creations), rows)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a digest."""

    key_id: str
    workspace_id: str
    api_id: str | None
    deleted: bool


def holders(connection: Connection, digests: Sequence[bytes]) -> dict[bytes, Holder]:
    """The keys that have these digests, deleted or not, in any workspace."""
    question = (
        select(keys.c.digest, keys.c.id, keys.c.workspace_id, keys.c.deleted_at_ms, apis.c.id.label("api_id"))
        .outerjoin(apis, apis.c.keyspace_id == keys.c.keyspace_id)
        .where(keys.c.digest.in_(digests))
    )
    with spanning(connection):
        rows = connection.execute(question).all()
    return {
        row.digest: Holder(row.id, row.workspace_id, row.api_id, row.deleted_at_ms is not None)
        for row in rows
    }


def digests_of(connection: Connection, key_ids: Sequence[str]) -> dict[str, bytes]:
    """The digests of those keys that still exist, deleted or not."""
    rows = connection.execute(select(keys.c.id, keys.c.digest).where(keys.c.id.in_(key_ids)))
    return {row.id: row.digest for row in rows}


def known_identities(connection: Connection, workspace_id: str, external_ids: Sequence[str]) -> set[str]:
    """Those of `external_ids` that a live identity has."""
    mine = select(identities.c.external_id).where(identities.c.workspace_id == workspace_id)
    living = mine.where(identities.c.deleted_at_ms.is_(None))
    return set(connection.scalars(living.where(identities.c.external_id.in_(external_ids))))


def remove_unused(connection: Connection, run: Run) -> list[tuple[str, str, str]]:
    """Remove what a run created, that nobody has changed and nothing refers to: noun, id and name of each."""
    removed: list[tuple[str, str, str]] = []
    for noun, (table, name, references, changed) in _CREATED.items():
        mine = select(import_creations.c.id)
        mine = mine.where(import_creations.c.run_id == run.id).where(import_creations.c.noun == noun)
        unused = (
            select(table.c.id, name)
            .where(table.c.id.in_(mine))
            .where(table.c.workspace_id == run.workspace_id)
        )
        for reference in references:
            unused = unused.where(~exists().where(reference == table.c.id))
        if changed is not None:
            unused = unused.where(changed.is_(None))
        found = [(row[0], row[1]) for row in connection.execute(unused)]
        if found:
            connection.execute(delete(table).where(table.c.id.in_([id_ for id_, _ in found])))
        removed += [(noun, id_, called) for id_, called in found]
    connection.execute(delete(import_creations).where(import_creations.c.run_id == run.id))
    return removed


_CREATED: dict[str, tuple[Table, Any, tuple[Any, ...], Any]] = {
    "identity": (
        identities,
        identities.c.external_id,
        (keys.c.identity_id, limit_rules.c.subject_id, balances.c.subject_id),
        identities.c.updated_at_ms,
    ),
    "role": (roles, roles.c.name, (key_roles.c.role_id, role_permissions.c.role_id), None),
    "permission": (
        permissions,
        permissions.c.slug,
        (key_permissions.c.permission_id, role_permissions.c.permission_id),
        None,
    ),
}
"""Per noun: its table, its name, what may refer to it, and what tells that it was changed."""


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        workspace_id=row.workspace_id,
        api_id=row.api_id,
        migration_id=row.migration_id,
        source=Source(row.source, row.fingerprint),
        state=RunState(row.state),
        position=row.position,
        added=row.added,
        present=row.present,
        passed=row.passed,
        failed=row.failed,
        created_ms=row.created_at_ms,
        finished_ms=row.finished_at_ms,
    )

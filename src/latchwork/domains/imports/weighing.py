"""Weighing rows: which of them can be taken, and taking those."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from latchwork.domains.imports import store
from latchwork.domains.imports.records import (
    Created,
    Flaw,
    Offered,
    Outcome,
    Passed,
    Preview,
    Result,
    Row,
)
from latchwork.domains.keys import Api
from latchwork.domains.migrations import Algorithm, ForeignKey, Migration
from latchwork.domains.migrations.taking import take_over
from latchwork.domains.permissions import store as permissions_store
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection


class Target(NamedTuple):
    """Where keys go, and what their hashes are of."""

    api: Api
    migration: Migration | None


Taken = tuple[list[Result], tuple[tuple[str, str], ...]]
"""How rows ended, and what was created besides."""


def take(
    connection: Connection,
    who: Principal,
    target: Target,
    rows: Sequence[Row],
    first: int,
    now_ms: int,
) -> Taken:
    """Take over every row that can be; `first` is the number of the first one."""
    results = list(_weighed(connection, target.api, rows, first))
    keys = [
        _under(target.migration, row.key)
        for row, result in zip(rows, results, strict=True)
        if isinstance(row, Offered) and result.outcome is Outcome.ADDED
    ]
    if not keys:
        return results, ()
    done = take_over(connection, who, target.api, keys, now_ms)
    return results, done.created


def preview(connection: Connection, who: Principal, api: Api, rows: Sequence[Row], first: int) -> Preview:
    """What `take` would answer, and what it would create."""
    results = list(_weighed(connection, api, rows, first))
    keys = [
        row.key
        for row, result in zip(rows, results, strict=True)
        if isinstance(row, Offered) and result.outcome is Outcome.ADDED
    ]
    told = tuple(replace(each, key_id=None) if each.outcome is Outcome.ADDED else each for each in results)
    return Preview(told, _missing(connection, who.workspace_id, keys))


def _weighed(connection: Connection, api: Api, rows: Sequence[Row], first: int) -> Iterator[Result]:
    offered = [row.key.digest for row in rows if isinstance(row, Offered)]
    holders = store.holders(connection, offered)
    numbers: dict[bytes, int] = {}
    for number, row in enumerate(rows, first):
        if isinstance(row, Flaw):
            yield Result(number, row.line, Outcome.FAILED, None, row.field, row.detail)
        elif isinstance(row, Passed):
            yield Result(number, row.line, Outcome.PASSED, None, None, row.detail)
        elif (before := numbers.setdefault(row.key.digest, number)) != number:
            yield _refused(row, number, f"It is the key of row {before} again.")
        else:
            yield _judged(api, row, holders.get(row.key.digest), number)


def _judged(api: Api, row: Offered, holder: store.Holder | None, number: int) -> Result:
    if holder is None:
        return Result(number, row.line, Outcome.ADDED, row.key.id)
    if holder.workspace_id != api.workspace_id:
        return _refused(row, number, "A key that is not yours has this hash.")
    if holder.deleted:
        told = f"The deleted key {holder.key_id} has this hash; delete it permanently first."
        return _refused(row, number, told)
    if holder.api_id != api.id:
        return _refused(row, number, f"The key {holder.key_id} of API {holder.api_id} has this hash.")
    return Result(number, row.line, Outcome.PRESENT, holder.key_id)


def _refused(row: Offered, number: int, detail: str) -> Result:
    return Result(number, row.line, Outcome.FAILED, None, "hash", detail)


def _under(migration: Migration | None, key: ForeignKey) -> ForeignKey:
    if migration is None or migration.algorithm is Algorithm.SHA256:
        return key
    return replace(key, pending_migration_id=migration.id)


def _missing(connection: Connection, workspace_id: str, keys: Sequence[ForeignKey]) -> Created:
    external_ids = dict.fromkeys(key.wanted.external_id for key in keys if key.wanted.external_id is not None)
    known = store.known_identities(connection, workspace_id, list(external_ids))
    slugs, names = permissions_store.missing(
        connection,
        workspace_id,
        dict.fromkeys(slug for key in keys for slug in key.wanted.permissions),
        dict.fromkeys(name for key in keys for name in key.wanted.roles),
    )
    return Created(tuple(each for each in external_ids if each not in known), tuple(slugs), tuple(names))

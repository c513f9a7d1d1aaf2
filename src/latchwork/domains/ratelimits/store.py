"""The queries of named limits, namespaces and overrides."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from msgspec import structs
from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from latchwork.domains.ratelimits.records import LimitRule, Namespace, Override
from latchwork.domains.ratelimits.tables import limit_rules, namespaces, overrides
from latchwork.kernel.ids import new_id
from latchwork.kernel.sql.statements import among

T = TypeVar("T")

rule_columns = (
    limit_rules.c.id.label("rule_id"),
    limit_rules.c.subject_id.label("rule_subject_id"),
    limit_rules.c.name.label("rule_name"),
    limit_rules.c.limit,
    limit_rules.c.duration_ms,
    limit_rules.c.auto_apply,
    limit_rules.c.algorithm,
    limit_rules.c.burst,
    limit_rules.c.mode,
)
"""What `rule_of` reads of a row, under names that leave those of other tables free."""
_RULES = (
    select(*rule_columns)
    .where(among(limit_rules.c.subject_id))
    .order_by(limit_rules.c.subject_id, limit_rules.c.name)
)


def rules_of(connection: Connection, subject_ids: Iterable[str]) -> dict[str, list[LimitRule]]:
    """The named limits of each subject (a key or an identity), by name."""
    found: dict[str, list[LimitRule]] = {}
    for row in connection.execute(_RULES, {"among": list(subject_ids)}):
        found.setdefault(row.rule_subject_id, []).append(rule_of(row))
    return found


def set_rules(
    connection: Connection, workspace_id: str, subject_id: str, wanted: Sequence[LimitRule], now_ms: int
) -> "Changes":
    """Make `wanted` the limits of `subject_id`: the same name keeps its id, what is not named goes."""
    present = {rule.name: rule for rule in rules_of(connection, [subject_id]).get(subject_id, [])}
    named = {rule.name: rule for rule in wanted}  # the last of a name wins
    changes = Changes()
    for name in present.keys() - named.keys():
        connection.execute(delete(limit_rules).where(limit_rules.c.id == present[name].id))
        changes.deleted.append(present[name])
    for name, rule in named.items():
        if name in present:
            kept = present[name].id
            connection.execute(update(limit_rules).where(limit_rules.c.id == kept).values(_values(rule)))
            changes.updated.append(structs.replace(rule, id=kept))
        else:
            row = {"id": rule.id, "workspace_id": workspace_id, "subject_id": subject_id, "name": name}
            connection.execute(insert(limit_rules).values(row | _values(rule) | {"created_at_ms": now_ms}))
            changes.created.append(rule)
    return changes


def add_rules(
    connection: Connection, workspace_id: str, wanted: Mapping[str, Sequence[LimitRule]], now_ms: int
) -> None:
    """Give new subjects (id to limits) their limits; the last of a name wins."""
    rows = [
        {"id": rule.id, "workspace_id": workspace_id, "subject_id": subject_id, "name": rule.name}
        | _values(rule)
        | {"created_at_ms": now_ms}
        for subject_id, rules in wanted.items()
        for rule in {rule.name: rule for rule in rules}.values()
    ]
    if rows:
        connection.execute(insert(limit_rules), rows)


def drop_rules(connection: Connection, subject_ids: Sequence[str]) -> None:
    """Remove all limits of subjects that go."""
    connection.execute(delete(limit_rules).where(limit_rules.c.subject_id.in_(subject_ids)))


class Changes:
    """What `set_rules` did, for the audit log."""

    def __init__(self) -> None:
        self.created: list[LimitRule] = []
        self.updated: list[LimitRule] = []
        self.deleted: list[LimitRule] = []


def _values(rule: LimitRule) -> dict[str, Any]:
    return {
        "limit": rule.limit,
        "duration_ms": rule.duration_ms,
        "auto_apply": rule.auto_apply,
        "algorithm": rule.algorithm,
        "burst": rule.burst,
        "mode": rule.mode,
    }


def rule_of(row: Any) -> LimitRule:
    """The rule in a row that has `rule_columns`; names and numbers that many rules have are kept once."""
    return LimitRule(
        id=row.rule_id,
        name=_once(row.rule_name),
        limit=_once(row.limit),
        duration_ms=_once(row.duration_ms),
        auto_apply=row.auto_apply,
        algorithm=_once(row.algorithm),
        burst=_once(row.burst),
        mode=_once(row.mode),
    )


@lru_cache(maxsize=4_096, typed=True)
def _once(value: T) -> T:
    """An equal value that was seen before, so that a million rules share one."""
    return value


def ensure_namespaces(
    connection: Connection, workspace_id: str, names: Iterable[str], now_ms: int
) -> list[Namespace]:
    """Create the namespaces among `names` that do not exist; those created, for the audit log."""
    created = []
    for name in dict.fromkeys(names):
        if find_namespace(connection, workspace_id, name) is None:
            fresh = Namespace(new_id("rlns"), workspace_id, name, created_at_ms=now_ms)
            connection.execute(
                insert(namespaces).values(
                    id=fresh.id, workspace_id=workspace_id, name=name, created_at_ms=now_ms
                )
            )
            created.append(fresh)
    return created


def find_namespace(connection: Connection, workspace_id: str, name: str) -> Namespace | None:
    """The namespace with that name or id, deleted or not."""
    rows = connection.execute(
        select(namespaces)
        .where(namespaces.c.workspace_id == workspace_id)
        .where(or_(namespaces.c.id == name, namespaces.c.name == name))
    ).all()
    if not rows:
        return None
    return _namespace(next((row for row in rows if row.id == name), rows[0]))


def page_namespaces(
    connection: Connection, workspace_id: str, *, search: str, cursor: str, limit: int
) -> list[tuple[Namespace, int]]:
    """Up to `limit` live namespaces from id `cursor` on, each with the number of its live overrides.

    `search` is looked for in id and name, in any case; empty finds all.
    """
    count = (
        select(func.count())
        .select_from(overrides)
        .where(overrides.c.namespace_id == namespaces.c.id)
        .where(overrides.c.deleted_at_ms.is_(None))
        .scalar_subquery()
        .label("override_count")
    )
    question = (
        select(namespaces, count)
        .where(namespaces.c.workspace_id == workspace_id)
        .where(namespaces.c.deleted_at_ms.is_(None))
        .where(namespaces.c.id >= cursor)
    )
    if search:
        question = question.where(
            or_(
                *(
                    column.icontains(search, autoescape=True)
                    for column in (namespaces.c.id, namespaces.c.name)
                )
            )
        )
    rows = connection.execute(question.order_by(namespaces.c.id).limit(limit))
    return [(_namespace(row), row.override_count) for row in rows]


def update_namespace(connection: Connection, workspace_id: str, namespace_id: str, **values: Any) -> None:
    """Change columns of a namespace."""
    mine = (namespaces.c.workspace_id == workspace_id) & (namespaces.c.id == namespace_id)
    connection.execute(update(namespaces).where(mine).values(values))


def _namespace(row: Row[Any]) -> Namespace:
    return Namespace(row.id, row.workspace_id, row.name, row.deleted_at_ms, row.created_at_ms)


def overrides_of(connection: Connection, namespace_id: str) -> list[Override]:
    """The live overrides of a namespace, by id."""
    return page_overrides(connection, namespace_id, cursor="", limit=None)


def page_overrides(
    connection: Connection, namespace_id: str, *, cursor: str, limit: int | None
) -> list[Override]:
    """Up to `limit` live overrides of a namespace from id `cursor` on."""
    rows = connection.execute(
        select(overrides)
        .where(overrides.c.namespace_id == namespace_id)
        .where(overrides.c.deleted_at_ms.is_(None))
        .where(overrides.c.id >= cursor)
        .order_by(overrides.c.id)
        .limit(limit)
    )
    return [_override(row) for row in rows]


def put_override(connection: Connection, workspace_id: str, wanted: Override, now_ms: int) -> Override:
    """Insert or replace the override of its identifier; the first id stays, also after a deletion."""
    values = {
        "limit": wanted.limit,
        "duration_ms": wanted.duration_ms,
        "expires_at_ms": wanted.expires_at_ms,
        "reason": wanted.reason,
    }
    known = connection.execute(
        select(overrides.c.id)
        .where(overrides.c.namespace_id == wanted.namespace_id)
        .where(overrides.c.identifier == wanted.identifier)
    ).scalar()
    if known is None:
        row: dict[str, Any] = {
            "id": wanted.id,
            "workspace_id": workspace_id,
            "namespace_id": wanted.namespace_id,
        }
        row |= {"identifier": wanted.identifier, "created_at_ms": now_ms}
        connection.execute(insert(overrides).values(row | values))
        return wanted
    again = {"updated_at_ms": now_ms, "deleted_at_ms": None}
    connection.execute(update(overrides).where(overrides.c.id == known).values(values | again))
    return replace(wanted, id=known)


def delete_override(
    connection: Connection, namespace_id: str, identifier: str, now_ms: int
) -> Override | None:
    """Mark the override of exactly that identifier deleted; the override, or `None`."""
    found = find_override(connection, namespace_id, identifier)
    if found is not None:
        connection.execute(update(overrides).where(overrides.c.id == found.id).values(deleted_at_ms=now_ms))
    return found


def find_override(connection: Connection, namespace_id: str, identifier: str) -> Override | None:
    """The live override of exactly that identifier."""
    row = connection.execute(
        select(overrides)
        .where(overrides.c.namespace_id == namespace_id)
        .where(overrides.c.identifier == identifier)
        .where(overrides.c.deleted_at_ms.is_(None))
    ).one_or_none()
    return None if row is None else _override(row)


def _override(row: Row[Any]) -> Override:
    return Override(
        id=row.id,
        namespace_id=row.namespace_id,
        identifier=row.identifier,
        limit=row.limit,
        duration_ms=row.duration_ms,
        expires_at_ms=row.expires_at_ms,
        reason=row.reason,
    )

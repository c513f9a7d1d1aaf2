"""Taking keys over: many at once, in units of work of a bounded size."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

from latchwork.domains import audit
from latchwork.domains.credits import store as credits_store
from latchwork.domains.identities import store as identities_store
from latchwork.domains.keys import Api, Key
from latchwork.domains.keys import store as keys_store
from latchwork.domains.migrations import store
from latchwork.domains.migrations.records import ForeignKey, Migrated
from latchwork.domains.permissions import store as permissions_store
from latchwork.domains.ratelimits.store import add_rules
from latchwork.kernel.events import Event
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell

T = TypeVar("T")

_ROWS = 500
"""About how many rows one unit writes: some tens of milliseconds in which nobody else can write."""


class Ids(NamedTuple):
    """Ids of what keys refer to: identities by external id, permissions and roles by folded name."""

    identities: Mapping[str, str]
    permissions: Mapping[str, str]
    roles: Mapping[str, str]


def in_portions(items: Iterable[T], weight: Callable[[T], int]) -> Iterator[list[T]]:
    """`items` in their order, in portions of at least one and about 500 rows; `weight` counts an item's."""
    portion: list[T] = []
    rows = 0
    for item in items:
        heavier = weight(item)
        if portion and rows + heavier > _ROWS:
            yield portion
            portion, rows = [], 0
        portion.append(item)
        rows += heavier
    if portion:
        yield portion


def take_over(
    connection: Connection, who: Principal, api: Api, keys: Sequence[ForeignKey], now_ms: int
) -> Migrated:
    """Make keys of `keys`, whose digests differ, in the API's keyspace, passing over digests that are taken.

    Identities, permissions and roles that are missing are created.
    """
    taken = store.taken(connection, [key.digest for key in keys])
    fresh = [key for key in keys if key.digest not in taken]
    made: list[tuple[Key, ForeignKey]] = []
    created: tuple[tuple[str, str], ...] = ()
    if fresh:
        ids, entries = _ensure(connection, who, fresh, now_ms)
        created = tuple((each.resources[0].type, each.resources[0].id) for each in entries)
        made = [(_key(api, ids, each, now_ms), each) for each in fresh]
        _add(connection, api.workspace_id, made, ids, now_ms)
        entries += chain.from_iterable(_entries(api, key, each, ids) for key, each in made)
        audit.record(connection, who, now_ms, *entries)
        tell(connection, *(_created(api, key, now_ms) for key, _ in made))
        changed(connection, *(("key", key.digest) for key, _ in made))
    present = tuple(key.digest for key in keys if key.digest in taken)
    return Migrated({key.digest: key.id for key, _ in made}, present, created)


def _ensure(
    connection: Connection, who: Principal, keys: Sequence[ForeignKey], now_ms: int
) -> tuple[Ids, list[audit.Entry]]:
    """Ids of everything that `keys` refer to; what to record of what was created."""
    workspace_id = who.workspace_id
    external_ids = [key.wanted.external_id for key in keys if key.wanted.external_id is not None]
    slugs = dict.fromkeys(slug for key in keys for slug in key.wanted.permissions)
    names = dict.fromkeys(name for key in keys for name in key.wanted.roles)
    identities, new_identities = identities_store.ensure_all(connection, workspace_id, external_ids, now_ms)
    permissions, new_slugs = permissions_store.ensure(connection, workspace_id, slugs, now_ms)
    roles, new_roles = permissions_store.ensure_roles(connection, workspace_id, names, now_ms)
    entries = [_new("identity", identities[name], name) for name in new_identities]
    entries += [_new("permission", permissions[slug.casefold()], slug) for slug in new_slugs]
    entries += [_new("role", roles[name.casefold()], name) for name in new_roles]
    return Ids(identities, permissions, roles), entries


def _key(api: Api, ids: Ids, foreign: ForeignKey, now_ms: int) -> Key:
    wanted = foreign.wanted
    return Key(
        id=foreign.id,
        workspace_id=api.workspace_id,
        for_workspace_id=None,
        keyspace_id=api.keyspace_id,
        api_id=api.id,
        lineage_id=foreign.id,
        digest=foreign.digest,
        start=foreign.start,
        name=wanted.name,
        identity_id=None if wanted.external_id is None else ids.identities[wanted.external_id],
        meta=wanted.meta,
        enabled=wanted.enabled,
        expires_ms=wanted.expires_ms,
        ip_whitelist=wanted.ip_whitelist,
        created_ms=now_ms,
        pending_migration_id=foreign.pending_migration_id,
    )


def _add(
    connection: Connection, workspace_id: str, made: Sequence[tuple[Key, ForeignKey]], ids: Ids, now_ms: int
) -> None:
    keys_store.add_keys(connection, [key for key, _ in made])
    for _, each in made:
        if each.sealed is not None:
            keys_store.keep_sealed(connection, workspace_id, each.id, each.sealed)
    balances = {key.id: each.wanted.credits for key, each in made if each.wanted.credits is not None}
    if balances:
        credits_store.open_balances(connection, workspace_id, balances, now_ms)
    add_rules(connection, workspace_id, {key.id: each.wanted.limits for key, each in made}, now_ms)
    permissions = {
        (key.id, ids.permissions[slug.casefold()]) for key, each in made for slug in each.wanted.permissions
    }
    roles = {(key.id, ids.roles[name.casefold()]) for key, each in made for name in each.wanted.roles}
    store.grant(connection, workspace_id, sorted(permissions), sorted(roles))


def _entries(api: Api, key: Key, foreign: ForeignKey, ids: Ids) -> Iterator[audit.Entry]:
    subject = audit.Resource("key", key.id, key.name, {"migrated": True})
    yield audit.Entry("key.create", f"Took over key {key.id}", (subject, audit.Resource("api", api.id)))
    for slug in dict.fromkeys(foreign.wanted.permissions):
        permission = audit.Resource("permission", ids.permissions[slug.casefold()], slug)
        sentence = f"Gave permission {slug} to key {key.id}"
        yield audit.Entry("authorization.connect_permission_and_key", sentence, (subject, permission))
    for name in dict.fromkeys(foreign.wanted.roles):
        role = audit.Resource("role", ids.roles[name.casefold()], name)
        sentence = f"Gave role {name} to key {key.id}"
        yield audit.Entry("authorization.connect_role_and_key", sentence, (subject, role))


def _new(noun: str, id_: str, name: str) -> audit.Entry:
    return audit.Entry(f"{noun}.create", f"Created {noun} {name}", (audit.Resource(noun, id_, name),))


def _created(api: Api, key: Key, now_ms: int) -> Event:
    return Event.now(api.workspace_id, "key.created", now_ms, key_id=key.id, api_id=api.id)

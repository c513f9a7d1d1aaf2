"""Issuing a key: what is asked becomes rows, in one unit of work."""

from collections.abc import Iterable
from dataclasses import replace

from latchwork.domains import audit
from latchwork.domains.credits import store as credits_store
from latchwork.domains.identities import store as identities_store
from latchwork.domains.keys import store
from latchwork.domains.keys.records import Api, Key, Minted, NewKey
from latchwork.domains.keys.rules import DEFAULT_BYTE_LENGTH, digest_of, mint, networks, start_of
from latchwork.domains.permissions import store as permissions_store
from latchwork.domains.permissions.faults import RoleNotFound
from latchwork.domains.ratelimits.store import set_rules
from latchwork.kernel.events import Event
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell


def checked(wanted: NewKey) -> NewKey:
    """`wanted` in canonical form; raises `BadRequest`."""
    return replace(wanted, ip_whitelist=networks(wanted.ip_whitelist))


def issue(connection: Connection, who: Principal, api: Api, wanted: NewKey, now_ms: int) -> Minted:
    """Mint a key and write everything that belongs to it."""
    prefix = wanted.prefix or api.default_prefix
    byte_length = wanted.byte_length or api.default_byte_length or DEFAULT_BYTE_LENGTH
    text = mint(prefix, byte_length)
    key_id = new_id("key")
    key = Key(
        id=key_id,
        workspace_id=api.workspace_id,
        for_workspace_id=None,
        keyspace_id=api.keyspace_id,
        api_id=api.id,
        lineage_id=key_id,
        digest=digest_of(text),
        start=start_of(text, prefix),
        name=wanted.name,
        identity_id=identity_of(connection, who, wanted.external_id, now_ms),
        meta=wanted.meta,
        enabled=wanted.enabled,
        expires_ms=wanted.expires_ms,
        ip_whitelist=wanted.ip_whitelist,
        created_ms=now_ms,
        byte_length=byte_length,
    )
    store.add_key(connection, key)
    if wanted.credits is not None:
        credits_store.open_balances(connection, key.workspace_id, {key.id: wanted.credits}, now_ms)
    entries = [_created(key)]
    if wanted.limits:
        set_rules(connection, key.workspace_id, key.id, wanted.limits, now_ms)
    if wanted.permissions:
        entries += grant_permissions(connection, who, key, wanted.permissions, now_ms)
    if wanted.roles:
        entries += grant_roles(connection, key, wanted.roles)
    audit.record(connection, who, now_ms, *entries)
    tell(connection, Event.now(key.workspace_id, "key.created", now_ms, key_id=key.id, api_id=api.id))
    changed(connection, ("key", key.digest))
    return Minted(key.id, text)


def identity_of(connection: Connection, who: Principal, external_id: str | None, now_ms: int) -> str | None:
    """The id of the identity called `external_id`, which is created and recorded where there is none."""
    if external_id is None:
        return None
    identity_id, created = identities_store.ensure(connection, who.workspace_id, external_id, now_ms)
    if created:
        entry = audit.Entry(
            "identity.create",
            f"Created identity {external_id}",
            (audit.Resource("identity", identity_id, external_id),),
        )
        audit.record(connection, who, now_ms, entry)
    return identity_id


def grant_permissions(
    connection: Connection, who: Principal, key: Key, slugs: Iterable[str], now_ms: int
) -> list[audit.Entry]:
    """Make `slugs` the key's direct permissions, creating those that are missing; what to record."""
    wanted = list(slugs)
    ids, created = permissions_store.ensure(connection, key.workspace_id, wanted, now_ms)
    store.set_permissions(connection, key, ids.values())
    subject = audit.Resource("key", key.id, key.name)
    return [
        audit.Entry(
            "permission.create",
            f"Created permission {slug}",
            (audit.Resource("permission", ids[slug.casefold()], slug),),
        )
        for slug in created
    ] + [
        audit.Entry(
            "authorization.connect_permission_and_key",
            f"Gave permission {slug} to key {key.id}",
            (subject, audit.Resource("permission", ids[slug.casefold()], slug)),
        )
        for slug in dict.fromkeys(wanted)
    ]


def grant_roles(connection: Connection, key: Key, names: Iterable[str]) -> list[audit.Entry]:
    """Make the roles called `names` the key's roles; raises `RoleNotFound`; what to record."""
    wanted = list(dict.fromkeys(names))
    found = permissions_store.find_roles(connection, key.workspace_id, wanted) if wanted else {}
    for name in wanted:
        if name.casefold() not in found:
            raise RoleNotFound.called(name)
    store.set_roles(connection, key, [role.id for role in found.values()])
    subject = audit.Resource("key", key.id, key.name)
    return [
        audit.Entry(
            "authorization.connect_role_and_key",
            f"Gave role {role.name} to key {key.id}",
            (subject, audit.Resource("role", role.id, role.name)),
        )
        for role in found.values()
    ]


def _created(key: Key) -> audit.Entry:
    resources = (
        audit.Resource("key", key.id, key.name, {"start": key.start}),
        audit.Resource("api", key.api_id or ""),
    )
    return audit.Entry("key.create", f"Created key {key.id}", resources)

"""Rerolling a key: a new text with everything the old one had, and an end for the old one; in one unit of work."""

from dataclasses import replace

from msgspec import structs

from latchwork.domains import audit
from latchwork.domains.credits import store as credits_store
from latchwork.domains.keys import recovery, store
from latchwork.domains.keys.records import Api, Key, Minted
from latchwork.domains.keys.rules import DEFAULT_BYTE_LENGTH, digest_of, ending, mint, prefix_of, start_of
from latchwork.domains.ratelimits.store import rules_of, set_rules
from latchwork.kernel.events import Event
from latchwork.kernel.faults import PreconditionFailed
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection
from latchwork.kernel.sql.outbox import tell


def must_be_allowed(connection: Connection, who: Principal, api: Api, old: Key) -> bool:
    """Whether the key is recoverable; then `who` must be permitted to, and the API to keep the new one too."""
    if not store.sealed_texts(connection, old.workspace_id, [old.id]):
        return False
    who.must("api", api.id, "encrypt_key")
    recovery.must_be_allowed(api)
    return True


def must_not_double(connection: Connection, old: Key, grace_ms: int | None) -> None:
    """Raise `PreconditionFailed` where the old key would live on with credits that the new one gets too."""
    if grace_ms != 0 and old.id in credits_store.find(connection, [old.id]):
        raise PreconditionFailed(
            "This key has credits of its own, which its successor takes over, so it has to end at once: "
            "send `expiration` as 0."
        )


def successor(api: Api, old: Key, now_ms: int) -> tuple[Minted, Key]:
    """A new key like the old one: of its lineage, with its prefix and of its length where they are known."""
    prefix = prefix_of(old.start) or api.default_prefix
    byte_length = old.byte_length or api.default_byte_length or DEFAULT_BYTE_LENGTH
    text = mint(prefix, byte_length)
    fresh = replace(
        old,
        id=new_id("key"),
        digest=digest_of(text),
        start=start_of(text, prefix),
        created_ms=now_ms,
        updated_ms=None,
        pending_migration_id=None,
        byte_length=byte_length,
    )
    return Minted(fresh.id, text), fresh


def add(
    connection: Connection, old: Key, fresh: Key, unfolded: int, now_ms: int, *, moves_credits: bool
) -> bool:
    """Write the new key and what it takes over; `unfolded` comes from the ledger, which holds the old one still.

    Where it `moves_credits` the old one has none left: it ends now, and whoever has not heard of that must not
    spend them a second time. Answers whether there were any to move.
    """
    store.add_key(connection, fresh)
    store.copy_grants(connection, old.id, fresh.id)
    limits = rules_of(connection, [old.id]).get(old.id, [])
    renewed = [structs.replace(rule, id=new_id("rl")) for rule in limits]
    set_rules(connection, fresh.workspace_id, fresh.id, renewed, now_ms)
    if credits_store.stored(connection, old.id) is not None:  # which holds the row still
        balance = credits_store.find(connection, [old.id])[old.id]
        left = replace(balance, remaining=balance.remaining - unfolded)
        credits_store.open_balances(connection, fresh.workspace_id, {fresh.id: left}, now_ms)
        if moves_credits:
            credits_store.use_up(connection, old.id, unfolded)
            return True
    return False


def end(connection: Connection, old: Key, grace_ms: int | None, now_ms: int) -> None:
    """Let the old key end after its time of grace, if it does not end before; `None` changes nothing."""
    if grace_ms is None:
        return
    expires_ms = ending(now_ms, grace_ms, old.expires_ms)
    if expires_ms != old.expires_ms:
        store.update_key(connection, old.id, {"expires_at_ms": expires_ms}, now_ms)


def record(connection: Connection, who: Principal, old: Key, fresh: Key, now_ms: int) -> None:
    """The audit row and the event."""
    resources = (
        audit.Resource("key", old.id, old.name),
        audit.Resource("key", fresh.id, fresh.name, {"start": fresh.start, "lineageId": fresh.lineage_id}),
        audit.Resource("api", fresh.api_id or ""),
    )
    entry = audit.Entry("key.reroll", f"Rerolled key {old.id} into {fresh.id}", resources)
    audit.record(connection, who, now_ms, entry)
    event = Event.now(
        fresh.workspace_id, "key.rerolled", now_ms, key_id=fresh.id, old_key_id=old.id, api_id=fresh.api_id
    )
    tell(connection, event)

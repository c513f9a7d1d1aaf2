"""Unkey: what its list endpoints answer, and its database's table of keys."""

from hashlib import sha256
from typing import Any

from latchwork.adapters.exports.values import Fields, Wrong, given, limit
from latchwork.domains.migrations import shown_of

_DEFAULT_LIMIT = "default"


class NotInUse(Exception):
    """The row is no key that is in use; the message says why."""


def key_of(record: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A row in the words of the API, and what of it has no place here; raises `Wrong`, `NotInUse`."""
    fields = Fields(record)
    _must_be_in_use(fields)
    identity = fields.json_object("identity") or {}
    key = given(
        **_hash(fields),
        name=fields.text("name"),
        externalId=Fields(identity).text("externalId", "external_id")
        or fields.text("externalId", "external_id", "ownerId", "owner_id"),
        meta=fields.json_object("meta"),
        roles=fields.words("roles"),
        permissions=fields.words("permissions"),
        expires=fields.moment_ms("expires"),
        enabled=fields.truth("enabled"),
        credits=_credits(fields),
        ratelimits=_limits(fields),
    )
    notes = []
    if identity.get("ratelimits"):
        notes.append("the limits of its identity are not taken: set them with identities.updateIdentity")
    if identity.get("meta"):
        notes.append("the meta of its identity is not taken")
    return key, notes


def _must_be_in_use(fields: Fields) -> None:
    if fields.value("deletedAt", "deleted_at", "deletedAtM", "deleted_at_m")[1]:
        raise NotInUse("It was deleted there.")
    if fields.text("forWorkspaceId", "for_workspace_id"):
        raise NotInUse("It is a root key there; make a new one here.")


def _hash(fields: Fields) -> dict[str, Any]:
    start = fields.text("start")
    hash_, text = fields.text("hash"), fields.text("plaintext")
    if fields.text("pendingMigrationId", "pending_migration_id"):
        raise Wrong("pendingMigrationId", "The key waits for its first use there; its hash is not its own.")
    if hash_ is not None:
        return {"hash": hash_, "start": start}
    if text is None:
        raise Wrong("hash", "It is missing. List the keys decrypted, or export the table of keys.")
    return {"hash": sha256(text.encode()).hexdigest(), "start": start or shown_of(text) or None}


def _credits(fields: Fields) -> dict[str, Any] | None:
    nested = fields.json_object("credits")
    if nested is not None:
        return (
            given(remaining=Fields(nested).integer("remaining"), refill=nested.get("refill") or None) or None
        )
    remaining = fields.integer("remaining", "remainingRequests", "remaining_requests")
    if remaining is None:
        return None
    refill = _refill(fields)
    return given(remaining=remaining, refill=refill)


def _refill(fields: Fields) -> dict[str, Any] | None:
    nested = fields.json_object("refill")
    if nested is not None:
        of = Fields(nested)
        amount, day, interval = of.integer("amount"), of.integer("refillDay"), of.text("interval")
    else:
        amount = fields.integer("refillAmount", "refill_amount")
        day, interval = fields.integer("refillDay", "refill_day"), None
    if amount is None:
        return None
    if interval == "daily" or (interval is None and day is None):
        return {"interval": "daily", "amount": amount}
    return {"interval": "monthly", "amount": amount, "refillDay": day or 1}


def _limits(fields: Fields) -> list[dict[str, Any]]:
    _, several = fields.value("ratelimits")
    if several is not None:
        if not isinstance(several, list) or not all(isinstance(each, dict) for each in several):
            raise Wrong("ratelimits", "It should be a list of limits.")
        return [_limit(each) for each in several]
    nested = fields.json_object("ratelimit")
    of = fields if nested is None else Fields(nested)
    most = of.integer("ratelimitLimit", "ratelimit_limit", "limit", "refillRate")
    duration_ms = of.integer("ratelimitDuration", "ratelimit_duration", "duration", "refillInterval")
    if most is None or duration_ms is None:
        return []
    return [limit(_DEFAULT_LIMIT, most, duration_ms)]


def _limit(one: dict[str, Any]) -> dict[str, Any]:
    of = Fields(one)
    name, most, duration_ms = of.text("name"), of.integer("limit"), of.integer("duration")
    if name is None or most is None or duration_ms is None:
        raise Wrong("ratelimits", "A limit needs name, limit and duration.")
    return limit(name, most, duration_ms, auto_apply=bool(of.truth("autoApply", "auto_apply")))

"""LiteLLM: its table of virtual keys, `LiteLLM_VerificationToken`."""

import re
from hashlib import sha256
from typing import Any, NamedTuple

from latchwork.adapters.exports.values import Fields, Wrong, given, limit

_MINUTE_MS = 60_000
_DAILY = {"1d", "24h"}
_MONTHLY = {"30d", "31d", "1mo"}
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_TEXT = "sk-"
_KEPT = (
    "key_name",
    "team_id",
    "organization_id",
    "models",
    "aliases",
    "config",
    "permissions",
    "max_parallel_requests",
    "allowed_routes",
    "allowed_cache_controls",
    "model_max_budget",
    "budget_id",
)
"""Fields without a place of their own here; they are kept in `meta.litellm`."""

_NOTHING: tuple[Any, ...] = (None, [], {}, "[]", "{}")


class Budgets(NamedTuple):
    """What to do with budgets, which are in dollars: a dollar is so many credits, or they are left out."""

    credits_per_dollar: int | None = None
    left_out: bool = False


def key_of(record: dict[str, Any], budgets: Budgets) -> tuple[dict[str, Any], list[str]]:
    """A row in the words of the API, and what of it has no place here; raises `Wrong`."""
    fields = Fields(record)
    notes: list[str] = []
    key = given(
        hash=_hash(fields),
        name=fields.text("key_alias"),
        externalId=fields.text("user_id", "team_id"),
        meta=_meta(fields),
        expires=fields.moment_ms("expires"),
        enabled=not fields.truth("blocked"),
        credits=_credits(fields, budgets, notes),
        ratelimits=_limits(fields),
    )
    if fields.words("models"):
        notes.append("its models are kept in meta.litellm; which of them it may use is for your API to say")
    return key, notes


def _hash(fields: Fields) -> str:
    token = fields.text("token")
    if token is None:
        raise Wrong("token", "It is missing.")
    if token.startswith(_TEXT):  # stored as it is by old versions
        return sha256(token.encode()).hexdigest()
    if not _HASH.fullmatch(token):
        raise Wrong("token", "It should be a SHA-256 in hexadecimal.")
    return token


def _meta(fields: Fields) -> dict[str, Any] | None:
    kept = {name: found for name in _KEPT if (found := fields.value(name)[1]) not in _NOTHING}
    own = fields.json_object("metadata") or {}
    return (own | ({"litellm": kept} if kept else {})) or None


def _limits(fields: Fields) -> list[dict[str, Any]]:
    requests, tokens = fields.integer("rpm_limit"), fields.integer("tpm_limit")
    found = [] if requests is None else [limit("requests", requests, _MINUTE_MS)]
    return found if tokens is None else [*found, limit("tokens", tokens, _MINUTE_MS, auto_apply=False)]


def _credits(fields: Fields, budgets: Budgets, notes: list[str]) -> dict[str, Any] | None:
    budget = fields.decimal("max_budget")
    if budget is None:
        return None
    if budgets.left_out:
        notes.append("its budget is left out: here it may spend without limit")
        return None
    if budgets.credits_per_dollar is None:
        raise Wrong("max_budget", "It is in dollars. Say what one is worth, or leave budgets out.")
    spent = fields.decimal("spend") or 0.0
    remaining = max(0, round((budget - spent) * budgets.credits_per_dollar))
    whole = round(budget * budgets.credits_per_dollar)
    return given(remaining=remaining, refill=_refill(fields, whole, notes) if whole else None)


def _refill(fields: Fields, amount: int, notes: list[str]) -> dict[str, Any] | None:
    every = fields.text("budget_duration")
    if every is None:
        return None
    if every in _DAILY:
        return {"interval": "daily", "amount": amount}
    if every in _MONTHLY:
        reset_ms = fields.moment_ms("budget_reset_at")
        return {"interval": "monthly", "amount": amount, "refillDay": _day_of(reset_ms)}
    notes.append(f"its budget came back every {every[:16]}, for which there is no refill here")
    return None


def _day_of(moment_ms: int | None) -> int:
    from datetime import UTC, datetime

    return 1 if moment_ms is None else datetime.fromtimestamp(moment_ms / 1000, UTC).day

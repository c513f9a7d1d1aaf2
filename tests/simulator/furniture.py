"""What every cluster begins with: two workspaces, and keys that are free, paid for and limited."""

from collections.abc import Mapping

from sqlalchemy import Connection, insert

from latchwork.domains.credits.tables import balances
from latchwork.domains.keys.tables import apis, keys
from latchwork.domains.ratelimits import (
    MOVING_WINDOW,
    SLIDING_WINDOW,
    TOKEN_BUCKET,
    Algorithm,
    Counter,
    counter_key,
)
from latchwork.domains.ratelimits.tables import limit_rules
from latchwork.domains.workspaces.tables import workspaces
from latchwork.kernel.sql.statements import OF, updating
from tests.simulator.node import WORKSPACE

MIDNIGHT_MS = 1_799_971_200_000
DAY_MS = 86_400_000
LONG_MS = 25_200_000
"""Seven hours, of which one window holds all of a course of events around midnight."""
FREE, METERED, LIMITED, POURED, TURNED, RESTED = (
    word * 8 for word in (b"free", b"paid", b"many", b"pour", b"turn", b"rest")
)
"""Keys: free; with credits; with a long and a short limit; with buckets; with short windows; never verified."""
KEYS = FREE, METERED, LIMITED, POURED, TURNED, RESTED
VERIFIED = FREE, METERED, LIMITED, POURED, TURNED
WITH_CREDITS = METERED, RESTED
REFILL = 40
WORKSPACES = (WORKSPACE, "ws_1")
_LIMIT_IS = updating(limit_rules.c.id, ("limit", "burst"))
_CREDITS_ARE = updating(balances.c.subject_id, ("remaining",))
_LIMITS: tuple[tuple[str, bytes, int, int, Algorithm, int | None], ...] = (
    ("long", LIMITED, 0, LONG_MS, SLIDING_WINDOW, None),
    ("short", LIMITED, 15, 1_000, MOVING_WINDOW, None),
    ("slow", POURED, 2, LONG_MS, TOKEN_BUCKET, 0),
    ("quick", POURED, 20, 1_000, TOKEN_BUCKET, 10),
    ("turning", TURNED, 12, 1_500, SLIDING_WINDOW, None),
)


def limited_by(name: str) -> Counter:
    """The counter of the limit of that name."""
    _, digest, _, duration_ms, algorithm, _ = next(each for each in _LIMITS if each[0] == name)
    return counter_key(WORKSPACE, digest.decode(), name), algorithm, duration_ms


LONG, SLOW = limited_by("long"), limited_by("slow")
"""Counters from which nothing fades while a course of events lasts."""


def furnish(connection: Connection) -> None:
    """Write it; each world sets its own limit and credits."""
    some = {"created_at_ms": 0, "workspace_id": WORKSPACE}
    for each in WORKSPACES:
        connection.execute(insert(workspaces).values(id=each, name=each, enabled=True, created_at_ms=0))
    connection.execute(
        insert(apis).values(
            id="api", keyspace_id="ks", name="api", delete_protection=False, ip_whitelist=[],
            analytics="off", stale_ok_s=0, **some,
        )
    )  # fmt: skip
    for digest in KEYS:
        connection.execute(
            insert(keys).values(
                id=digest.decode(), keyspace_id="ks", lineage_id="l", digest=digest, start="k", name="1",
                enabled=True, ip_whitelist=[], **some,
            )
        )  # fmt: skip
    for digest in WITH_CREDITS:
        connection.execute(
            insert(balances).values(
                subject_id=digest.decode(), workspace_id=WORKSPACE, remaining=0, refill_amount=REFILL,
                refill_due_at_ms=MIDNIGHT_MS,
            )
        )  # fmt: skip
    for name, digest, limit, duration_ms, algorithm, burst in _LIMITS:
        connection.execute(
            insert(limit_rules).values(
                id=name, subject_id=digest.decode(), name=name, limit=limit, duration_ms=duration_ms,
                auto_apply=True, algorithm=algorithm, burst=burst, mode="enforce", **some,
            )
        )  # fmt: skip


def make_different(connection: Connection, limit: int, credits: Mapping[bytes, int]) -> None:
    """Set what each world has of its own: the size of `LONG` and of `SLOW`, and the credits of keys."""
    connection.execute(_LIMIT_IS, {OF: "long", "limit": limit, "burst": None})
    connection.execute(_LIMIT_IS, {OF: "slow", "limit": 2, "burst": limit})
    for digest, remaining in credits.items():
        connection.execute(_CREDITS_ARE, {OF: digest.decode(), "remaining": remaining})

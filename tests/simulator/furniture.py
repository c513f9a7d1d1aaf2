"""What every cluster begins with: two workspaces, and keys that are free, paid for and limited."""

from sqlalchemy import Connection, insert

from latchwork.domains.credits.tables import balances
from latchwork.domains.keys.tables import apis, keys
from latchwork.domains.ratelimits.tables import limit_rules
from latchwork.domains.workspaces.tables import workspaces
from tests.simulator.node import WORKSPACE

HOUR_MS = 3_600_000
FREE, METERED, LIMITED = KEYS = b"free" * 8, b"paid" * 8, b"many" * 8
WORKSPACES = (WORKSPACE, "ws_1")


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
    connection.execute(
        insert(balances).values(subject_id=METERED.decode(), workspace_id=WORKSPACE, remaining=0)
    )
    for name, limit, duration_ms, algorithm in (
        ("hourly", 0, HOUR_MS, "sliding_window"),
        ("short", 15, 1_000, "moving_window"),
    ):
        connection.execute(
            insert(limit_rules).values(
                id=name, subject_id=LIMITED.decode(), name=name, limit=limit, duration_ms=duration_ms,
                auto_apply=True, algorithm=algorithm, mode="enforce", **some,
            )
        )  # fmt: skip

"""Many keys at once: written into the database of a stopped server through the product's own tables."""

import secrets
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, create_engine, insert, select

from benchmarks.latchwork import LIMIT, Latchwork
from latchwork.compose.data_dir import DataDir
from latchwork.domains.credits.tables import balances
from latchwork.domains.keys.rules import digest_of, mint, start_of
from latchwork.domains.keys.tables import apis, keys
from latchwork.domains.ratelimits.tables import limit_rules
from latchwork.kernel.ids import new_id

_CHUNK = 20_000


def add_keys(server: Latchwork, count: int, *, credits: int | None = None) -> list[str]:
    """Add `count` keys with one auto-applied limit to a new API of a running server.

    The server is stopped and started around it. With `credits`, each key has that balance.
    """
    api_id = server.call("apis.createApi", {"name": "seeded"})["apiId"]
    server.stop()
    texts = [mint(None, 16) for _ in range(count)]
    engine = create_engine(f"sqlite:///{DataDir(server.data_dir).database}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA synchronous=OFF")
        connection.exec_driver_sql("PRAGMA cache_size=-262144")
        _write(connection, api_id, texts, credits)
    engine.dispose()
    server.start()
    return texts


def _write(connection: Connection, api_id: str, texts: list[str], credits: int | None) -> None:
    api = connection.execute(select(apis).where(apis.c.id == api_id)).one()
    now_ms = time.time_ns() // 1_000_000
    # Keys are shuffled by their digests anyway; ids in order are what a server would have given.
    ids = [new_id("key") for _ in texts]
    shared = {"workspace_id": api.workspace_id, "created_at_ms": now_ms}
    key_columns = shared | {"keyspace_id": api.keyspace_id, "enabled": True, "ip_whitelist": []}
    _insert(
        connection,
        keys,
        (
            key_columns
            | {"id": id_, "lineage_id": id_, "digest": digest_of(text), "start": start_of(text, None)}
            for id_, text in zip(ids, texts, strict=True)
        ),
    )
    rule = shared | {
        "name": LIMIT["name"],
        "limit": LIMIT["limit"],
        "duration_ms": LIMIT["duration"],
        "auto_apply": True,
        "algorithm": "sliding_window",
        "mode": "enforce",
    }
    _insert(connection, limit_rules, (rule | {"id": new_id("rl"), "subject_id": id_} for id_ in ids))
    if credits is not None:
        balance = {"workspace_id": api.workspace_id, "remaining": credits}
        _insert(connection, balances, (balance | {"subject_id": id_} for id_ in ids))


def _insert(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    for chunk in _chunks(iter(rows)):
        connection.execute(insert(table), chunk)


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


def some(texts: list[str], count: int) -> list[str]:
    """`count` of the keys, drawn uniformly, none twice."""
    return secrets.SystemRandom().sample(texts, count)

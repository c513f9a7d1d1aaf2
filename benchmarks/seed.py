"""Many keys at once: written into the database of a stopped server through the product's own tables."""

import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy import Connection, Table, create_engine, insert, select

from benchmarks.latchwork import LIMIT, Latchwork
from latchwork.compose.data_dir import DataDir
from latchwork.domains.credits.tables import balances
from latchwork.domains.keys.rules import digest_of, mint
from latchwork.domains.keys.tables import apis, keys
from latchwork.domains.ratelimits.tables import limit_rules


def add_keys(server: Latchwork, count: int, *, credits: int | None = None) -> list[str]:
    """Add `count` keys with one auto-applied limit to a new API of a running server.

    The server is stopped and started around it. With `credits`, each key has that balance.
    """
    api_id = server.call("apis.createApi", {"name": "seeded"})["apiId"]
    texts = [mint(None, 16) for _ in range(count)]
    with stopped(server) as connection:
        _write(connection, api_id, texts, credits)
    return texts


@contextmanager
def stopped(server: Latchwork) -> Iterator[Connection]:
    """The database of a server that is stopped for so long, in a transaction."""
    server.stop()
    engine = create_engine(f"sqlite:///{DataDir(server.data_dir).database}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA synchronous=OFF")
        connection.exec_driver_sql("PRAGMA cache_size=-524288")
        yield connection
    engine.dispose()
    server.start()


def _write(connection: Connection, api_id: str, texts: list[str], credits: int | None) -> None:
    api = connection.execute(select(apis).where(apis.c.id == api_id)).one()
    shared = {"workspace_id": api.workspace_id, "created_at_ms": time.time_ns() // 1_000_000}
    ids = [f"key_{api_id[-12:]}{number:010d}" for number in range(len(texts))]
    fill(
        connection,
        keys,
        shared | {"keyspace_id": api.keyspace_id, "enabled": True, "ip_whitelist": "[]"},
        ("id", "lineage_id", "digest", "start"),
        ((id_, id_, digest_of(text), text[:4]) for id_, text in zip(ids, texts, strict=True)),
    )
    rule = {"name": LIMIT["name"], "limit": LIMIT["limit"], "duration_ms": LIMIT["duration"]}
    fill(
        connection,
        limit_rules,
        shared | rule | {"auto_apply": True, "algorithm": "sliding_window", "mode": "enforce"},
        ("id", "subject_id"),
        ((id_.replace("key_", "rl_"), id_) for id_ in ids),
    )
    if credits is not None:
        balance = {"workspace_id": api.workspace_id, "remaining": credits}
        fill(connection, balances, balance, ("subject_id",), ((id_,) for id_ in ids))


def fill(
    connection: Connection,
    table: Table,
    shared: dict[str, Any],
    names: Sequence[str],
    rows: Iterable[tuple[Any, ...]],
) -> None:
    """Insert rows of which most columns are the same; past SQLAlchemy, which would take minutes."""
    compiled = insert(table).compile(dialect=connection.dialect, column_keys=[*names, *shared])
    order = [[*names, *shared].index(name) for name in compiled.positiontup or ()]
    same = tuple(shared.values())
    driver = cast(sqlite3.Connection, connection.connection.driver_connection)
    driver.executemany(str(compiled), (tuple((row + same)[i] for i in order) for row in rows))


def some(texts: list[str], count: int) -> list[str]:
    """`count` of the keys, drawn uniformly, none twice."""
    return secrets.SystemRandom().sample(texts, count)

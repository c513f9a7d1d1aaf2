"""Which index SQLite goes by: without statistics it has to be led, and keys are many."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event

from latchwork.domains.identities import Identity
from latchwork.domains.identities import store as identities_store
from latchwork.domains.key_lists import KeyQuery
from latchwork.domains.key_lists import store as lists
from latchwork.domains.key_lists.records import Position
from latchwork.domains.keys import store


@pytest.fixture
def engine(sqlite_path: Path) -> Engine:
    return create_engine(f"sqlite:///{sqlite_path}")


def _of_an_api(connection: Connection) -> None:
    store.page_keys(connection, "ws_1", "ks_1", external_id=None, cursor="", limit=10)


def _of_an_identity(connection: Connection) -> None:
    identities_store.add(connection, Identity("id_1", "ws_1", "user_1", {}), 0)
    store.page_keys(connection, "ws_1", "ks_1", external_id="user_1", cursor="", limit=10)


def _by_id(connection: Connection) -> None:
    store.find_key(connection, "ws_1", "key_1")


def _listed(**query: Any) -> Any:
    def ask(connection: Connection) -> None:
        wanted = lists.Wanted("ws_1", KeyQuery(**query), "", None, None, None)
        lists.page(connection, wanted, Position(None, "key_1"), 10, lists.Effort())

    return ask


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (_of_an_api, "ix_keys_live_keyspace_id_id (keyspace_id=? AND id>?)"),
        (_of_an_identity, "ix_keys_identity_id_id (identity_id=? AND id>?)"),
        (_by_id, "sqlite_autoindex_keys_1 (id=?)"),
        (_listed(), "ix_keys_live_workspace_id_id (workspace_id=? AND id>?)"),
        (
            _listed(enabled=False),
            "ix_keys_live_workspace_id_enabled_id (workspace_id=? AND enabled=? AND id>?)",
        ),
    ],
)
def test_keys_are_read_by_the_index_that_has_them_in_order(engine: Engine, ask: Any, index: str) -> None:
    assert index in " ".join(_plans(engine, ask))


@pytest.mark.parametrize(
    ("sort", "value", "index"),
    [
        ("name", "a", "ix_keys_live_workspace_id_name_id (workspace_id=? AND name_order=? AND id>?)"),
        ("-name", "a", "ix_keys_live_workspace_id_name_id (workspace_id=? AND name_order<?)"),
        ("expires", 1, "ix_keys_live_workspace_id_expiry_id (workspace_id=? AND expiry_order=? AND id>?)"),
        ("-expires", 1, "ix_keys_live_workspace_id_expiry_id (workspace_id=? AND expiry_order<?)"),
        ("lastUsedAt", 1, "ix_key_uses_workspace_id_used_at_ms_key_id (workspace_id=? AND used_at_ms>?)"),
    ],
)
def test_every_order_has_an_index_and_needs_no_sorting(
    engine: Engine, sort: Any, value: str | int, index: str
) -> None:
    def ask(connection: Connection) -> None:
        wanted = lists.Wanted("ws_1", KeyQuery(sort=sort), "", None, None, None)
        lists.page(connection, wanted, Position(value, "key_1"), 10, lists.Effort())

    plans = " ".join(_plans(engine, ask))
    assert index in plans
    assert "TEMP B-TREE" not in plans


def _plans(engine: Engine, ask: Any) -> list[str]:
    """How SQLite means to answer each statement."""
    asked: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda *of: asked.append((of[2], of[3])))
    with engine.connect() as connection:
        ask(connection)
        statements = list(asked)
        plans = [
            connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values) for sql, values in statements
        ]
        return [row[3] for plan in plans for row in plan]

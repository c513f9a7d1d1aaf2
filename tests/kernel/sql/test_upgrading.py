"""A database of the first version, with everything in it, opened by this one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, insert, table, text
from sqlalchemy import column as named
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from latchwork.asgi import Application
from latchwork.compose.data_dir import DataDir
from latchwork.compose.platform import opened
from latchwork.compose.surfaces import surfaces_of
from latchwork.domains.keys.rules import digest_of
from latchwork.kernel import sql
from latchwork.kernel.clock import ManualClock
from latchwork.settings import Secret, Settings
from tests.surfaces.rpc.conftest import START_MS, Client, House

Unit = Callable[[Connection], None]
ACME = {"workspace_id": "ws_acme", "created_at_ms": START_MS}


def upgraded(connection: Connection, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(sql.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def add(connection: Connection, name: str, *rows: dict[str, Any]) -> None:
    connection.execute(insert(table(name, *map(named, rows[0]))), list(rows))


def key(number: int, **more: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "id": f"key_{number}",
        "keyspace_id": "ks_pay",
        "lineage_id": f"key_{number}",
        "digest": digest_of(f"secret_{number}"),
        "start": "secr",
        "name": f"Number {number}",
        "identity_id": None,
        "enabled": True,
        "deleted_at_ms": None,
        "ip_whitelist": "[]",
    }
    return ACME | known | more


def first_version(connection: Connection) -> None:
    """A database as the first version left it."""
    upgraded(connection, "0001")
    add(
        connection,
        "workspaces",
        {"id": "ws_acme", "name": "acme", "enabled": True, "created_at_ms": START_MS},
    )
    add(connection, "keyspaces", ACME | {"id": "ks_pay", "store_encrypted_keys": False})
    api = {"id": "api_pay", "keyspace_id": "ks_pay", "name": "pay", "delete_protection": False}
    add(connection, "apis", ACME | api | {"ip_whitelist": "[]", "analytics": "full", "stale_ok_s": 0})
    person = ACME | {"meta": "{}", "deleted_at_ms": None}
    add(
        connection,
        "identities",
        person | {"id": "id_here", "external_id": "user_here"},
        person | {"id": "id_gone", "external_id": "user_gone", "deleted_at_ms": START_MS},
    )
    add(
        connection,
        "keys",
        key(1, identity_id="id_here"),
        key(2, identity_id="id_gone"),
        key(3, enabled=False),
        key(4, deleted_at_ms=START_MS),
    )
    add(connection, "namespaces", ACME | {"id": "ns_mail", "name": "mail"})
    override = {"id": "ovr_1", "namespace_id": "ns_mail", "identifier": "user_here"}
    add(connection, "overrides", ACME | override | {"limit": 7, "duration_ms": 60_000})
    credits = {"subject_id": "key_1", "workspace_id": "ws_acme", "remaining": 5}
    add(connection, "credit_balances", credits)


def left_by_a_version_that_described_no_released_keys(connection: Connection) -> None:
    """As `first_version`, one migration short of where keys of deleted identities are described anew."""
    first_version(connection)
    upgraded(connection, "0013")
    found = connection.execute(text("SELECT text FROM key_texts WHERE key_id = 'key_2'")).scalar_one()
    assert "user_gone" in found


class Old:
    """A place for a database of some version, which is then opened by this one."""

    def __init__(self, directory: Path, postgres_url: str | None) -> None:
        self.directory = directory
        self.url = postgres_url

    async def fill(self, unit: Unit) -> None:
        if self.url is None:
            engine = create_engine(f"sqlite:///{DataDir(self.directory).database}")
            with engine.begin() as connection:
                unit(connection)
            engine.dispose()
            return
        remote = create_async_engine(make_url(self.url).set(drivername="postgresql+asyncpg"))
        async with remote.begin() as connection:
            await connection.run_sync(unit)
        await remote.dispose()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Client]:
        """A root key's way into the workspace of it."""
        (self.directory / "spool").mkdir()
        clock = ManualClock(START_MS)
        url = None if self.url is None else Secret(self.url)
        settings = Settings(data_dir=self.directory, database_url=url, test_clock=True)
        async with opened(settings, clock) as platform:
            surfaces = surfaces_of(platform)
            application = Application(surfaces.mounts, fallback=surfaces.fallback, hot=surfaces.hot)
            transport = httpx.ASGITransport(application, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://latchwork") as http:
                yield await House(platform, http, clock).root_key("ws_acme", "*")


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    is_file = request.param == "sqlite"
    return Old(tmp_path, None if is_file else request.getfixturevalue("empty_postgres_url"))


async def ids(client: Client, **query: Any) -> list[str]:
    return [key["keyId"] for key in await client.data("keys.listKeys", query)]


async def test_everything_of_the_first_version_is_still_there(old: Old) -> None:
    await old.fill(first_version)
    async with old.opened() as client:
        listed = await client.data("apis.listKeys", {"apiId": "api_pay"})
        assert [key["keyId"] for key in listed] == ["key_1", "key_2", "key_3"]
        assert listed[0]["identity"]["externalId"] == "user_here"
        (api,) = await client.data("apis.listApis", {})
        assert (api["id"], api["keyCount"]) == ("api_pay", 3)
        identities = await client.data("identities.listIdentities", {})
        assert [identity["externalId"] for identity in identities] == ["user_here"]
        override = {"namespace": "mail", "identifier": "user_here"}
        assert (await client.data("ratelimit.getOverride", override))["limit"] == 7


async def test_the_keys_of_the_first_version_are_found_and_verify(old: Old) -> None:
    await old.fill(first_version)
    async with old.opened() as client:
        assert await ids(client, search="number 3") == ["key_3"]
        assert await ids(client, search="user_here") == await ids(client, externalId="user_here") == ["key_1"]
        assert await ids(client, sort="-name") == ["key_3", "key_2", "key_1"]
        codes = []
        for number in (1, 2, 3, 4):
            verdict = await client.data("keys.verifyKey", {"key": f"secret_{number}"})
            codes.append(verdict["code"])
        assert codes == ["VALID", "VALID", "DISABLED", "NOT_FOUND"]
        assert (await client.data("keys.getKey", {"keyId": "key_1"}))["credits"]["remaining"] == 4


@pytest.mark.parametrize("left", [first_version, left_by_a_version_that_described_no_released_keys])
async def test_a_search_finds_no_key_by_an_identity_that_was_deleted_long_ago(old: Old, left: Unit) -> None:
    await old.fill(left)
    async with old.opened() as client:
        assert await ids(client, search="user_gone") == []
        assert await ids(client, search="number 2") == ["key_2"]
        assert await ids(client, search="user_here") == ["key_1"]


async def test_keys_are_counted_whoever_adds_and_deletes_them(old: Old) -> None:
    def changed_by_another_version(connection: Connection) -> None:
        first_version(connection)
        upgraded(connection, "head")
        add(connection, "keys", key(5), key(6), key(7, deleted_at_ms=START_MS))
        for statement in (
            "UPDATE keys SET deleted_at_ms = 1 WHERE id = 'key_1'",
            "UPDATE keys SET deleted_at_ms = 2 WHERE id IN ('key_1', 'key_7')",
            "UPDATE keys SET name = 'other'",
            "UPDATE keys SET deleted_at_ms = NULL WHERE id = 'key_4'",
            "DELETE FROM keys WHERE id IN ('key_6', 'key_7')",
        ):
            connection.execute(text(statement))

    await old.fill(changed_by_another_version)
    async with old.opened() as client:
        (api,) = await client.data("apis.listApis", {})
        listed = await client.data("apis.listKeys", {"apiId": "api_pay"})
        assert [key["keyId"] for key in listed] == ["key_2", "key_3", "key_4", "key_5"]
        assert api["keyCount"] == 4


def text_of(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def row(seq: int, event: str, actor: str, *resources: tuple[str, str]) -> dict[str, Any]:
    """A row of the audit log, whose chain nobody looks at."""
    touched: list[dict[str, Any]] = [
        {"type": kind, "id": id_, "name": None, "meta": {}} for kind, id_ in resources
    ]
    said = {"seq": seq, "id": f"log_{seq}", "time_ms": START_MS - 1_000 + seq, "event": event}
    link = {"previous_digest": b"", "digest": b""}
    texts = dict.fromkeys(("display", "remote_ip", "user_agent", "correlation_id"), "")
    named = {"actor": text_of({"type": "key", "id": actor, "name": None}), "resources": text_of(touched)}
    return {"workspace_id": "ws_acme"} | said | link | texts | named


async def test_the_audit_log_is_found_by_who_and_what_whichever_version_wrote_it(old: Old) -> None:
    def written_by_other_versions(connection: Connection) -> None:
        first_version(connection)
        add(
            connection,
            "audit_log",
            row(1, "key.create", "root_a", ("key", "key_1"), ("api", "api_pay")),
            row(2, 'key."odd"', 'root_"b', ("key", 'key:2"'), ("key", 'key:2"')),
            row(3, "workspace.update", "root_a"),
        )
        upgraded(connection, "head")
        add(connection, "audit_log", row(4, "key.update", 'root_"b', ("key", "key_1")))
        add(connection, "audit_heads", {"workspace_id": "ws_acme", "seq": 4, "digest": b""})

    async def found(**wanted: Any) -> list[str]:
        rows = await client.data("auditLogs.list", wanted)
        return [entry["id"] for entry in rows if entry["id"].removeprefix("log_") in {"1", "2", "3", "4"}]

    await old.fill(written_by_other_versions)
    async with old.opened() as client:
        assert await found() == ["log_4", "log_3", "log_2", "log_1"]
        assert await found(resourceId="key_1") == ["log_4", "log_1"]
        assert await found(resourceId="key_1", actorId="root_a") == ["log_1"]
        assert await found(resourceId='key:2"') == await found(events=['key."odd"']) == ["log_2"]
        assert await found(actorId='root_"b') == ["log_4", "log_2"]
        assert await found(actorId="root_a") == ["log_3", "log_1"]
        assert await found(resourceType="api") == ["log_1"]
        assert await found(resourceType="api", resourceId="key_1") == []
        assert await found(resourceType="key", start=START_MS - 997) == ["log_4"]

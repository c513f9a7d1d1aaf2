"""`analytics.getVerifications` and `getRatelimits`: who may ask, what is answered, and what never is."""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.asgi import Application
from latchwork.compose.surfaces import surfaces_of
from latchwork.domains.analytics import Analytics, QueryMemoryExceeded, QueryRowsExceeded, QueryTimeout
from latchwork.domains.analytics.spool import Spool
from latchwork.domains.analytics.sql.tree import Question
from tests.surfaces.rpc.conftest import START_MS, Client, House

V, L = "key_verifications_v1", "ratelimits_v1"
HOUR_MS = 3_600_000


async def asked(client: Client, query: str, procedure: str = "getVerifications") -> Any:
    return await client.data(f"analytics.{procedure}", {"query": query})


async def refused(client: Client, query: str, procedure: str = "getVerifications", status: int = 400) -> str:
    """The last part of the error's type."""
    error = await client.error(f"analytics.{procedure}", {"query": query}, status)
    return str(error["type"]).rpartition("/")[2]


async def used_key(client: Client, api_id: str, tags: list[str] | None = None, **key: Any) -> str:
    """A key that was verified once; its id."""
    made = await client.data("keys.createKey", {"apiId": api_id} | key)
    assert (await client.data("keys.verifyKey", {"key": made["key"], "tags": tags or []}))["code"] == "VALID"
    return str(made["keyId"])


async def api(client: Client, name: str = "another") -> str:
    created: dict[str, str] = await client.data("apis.createApi", {"name": name})
    return created["apiId"]


async def limit(client: Client, namespace: str, identifier: str, **headers: str) -> None:
    body = {"namespace": namespace, "identifier": identifier, "limit": 1, "duration": 60_000}
    await client.data("ratelimit.limit", body, **headers)


class TestVerifications:
    async def test_what_was_answered_can_be_asked_for_at_once(self, acme: Client, api_id: str) -> None:
        key_id = await used_key(acme, api_id, ["a", "b"], externalId="ann")
        rows = await asked(acme, f"SELECT * FROM {V}")
        (row,) = rows
        assert row | {
            "request_id": "",
            "workspace_id": "",
            "key_space_id": "",
            "identity_id": "",
            "latency": 0,
        } == {
            "request_id": "",
            "time": START_MS,
            "workspace_id": "",
            "key_space_id": "",
            "identity_id": "",
            "external_id": "ann",
            "key_id": key_id,
            "outcome": "VALID",
            "tags": ["a", "b"],
            "region": "",
            "source": "api",
            "app_id": "",
            "spent_credits": 0,
            "latency": 0,
        }

    async def test_spent_credits_are_those_that_were_spent(self, acme: Client, api_id: str) -> None:
        made = await acme.data("keys.createKey", {"apiId": api_id, "credits": {"remaining": 5}})
        for cost in (3, 4, 0):
            await acme.post("keys.verifyKey", {"key": made["key"], "credits": {"cost": cost}})
        rows = await asked(
            acme, f"SELECT outcome, spent_credits FROM {V} ORDER BY spent_credits DESC, outcome"
        )
        assert [tuple(row.values()) for row in rows] == [("VALID", 3), ("USAGE_EXCEEDED", 0), ("VALID", 0)]

    async def test_times_are_told_in_utc_and_nothing_is_infinite(self, acme: Client, api_id: str) -> None:
        await used_key(acme, api_id)
        (row,) = await asked(
            acme,
            "SELECT fromUnixTimestamp64Milli(time) AS moment, toStartOfHour(moment) AS hour, toDate(moment) AS day, "
            f"spent_credits / 0 AS nan, 1 / 0 AS inf, outcome = 'VALID' AS good, 1 / 4 AS quarter, "
            f"9007199254740993 AS large, NULL AS nothing FROM {V}",
        )
        assert row == {
            "moment": "2027-01-15T08:00:00.000Z",
            "hour": "2027-01-15T08:00:00Z",
            "day": "2027-01-15",
            "nan": None,
            "inf": None,
            "good": True,
            "quarter": 0.25,
            "large": "9007199254740993",
            "nothing": None,
        }

    async def test_counts_by_period_are_there_too(self, acme: Client, api_id: str) -> None:
        for _ in range(3):
            await used_key(acme, api_id)
        for period in ("minute", "hour", "day", "month"):
            rows = await asked(acme, f"SELECT sum(count) AS n FROM key_verifications_per_{period}_v1")
            assert rows == [{"n": 3}]

    async def test_a_key_that_was_not_found_is_not_recorded(self, acme: Client) -> None:
        assert (await acme.data("keys.verifyKey", {"key": "nobody's"}))["code"] == "NOT_FOUND"
        assert await asked(acme, f"SELECT count() AS n FROM {V}") == [{"n": 0}]


class TestRatelimits:
    async def test_limits_are_recorded_with_what_was_said_of_them(self, acme: Client) -> None:
        for _ in range(2):
            await limit(acme, "mail", "ann")
        rows = await asked(
            acme, f'SELECT identifier, passed, "limit", remaining, reset_at, tokens FROM {L}', "getRatelimits"
        )
        told = {"identifier": "ann", "limit": 1, "remaining": 0, "reset_at": START_MS + 60_000, "tokens": 1}
        assert sorted(rows, key=str) == sorted([told | {"passed": True}, told | {"passed": False}], key=str)
        counts = await asked(
            acme, "SELECT sum(total) AS all, sum(passed) AS good FROM ratelimits_per_hour_v1", "getRatelimits"
        )
        assert counts == [{"all": 2, "good": 1}]

    async def test_many_limits_at_once_are_recorded_one_by_one(self, acme: Client) -> None:
        question = {"namespace": "mail", "limit": 5, "duration": 60_000}
        await acme.data("ratelimit.multiLimit", [question | {"identifier": name, "cost": 2} for name in "ab"])
        rows = await asked(acme, f"SELECT identifier, tokens FROM {L} ORDER BY identifier", "getRatelimits")
        assert rows == [{"identifier": "a", "tokens": 2}, {"identifier": "b", "tokens": 2}]

    async def test_a_request_without_metrics_is_not_recorded(self, acme: Client) -> None:
        await limit(acme, "mail", "quiet", **{"x-unkey-metrics": "disabled"})
        await limit(acme, "mail", "heard")
        assert await asked(acme, f"SELECT identifier FROM {L}", "getRatelimits") == [{"identifier": "heard"}]

    async def test_overrides_are_named(self, acme: Client) -> None:
        await limit(acme, "mail", "ann")
        body = {"namespace": "mail", "identifier": "ann", "limit": 9, "duration": 60_000}
        override = await acme.data("ratelimit.setOverride", body)
        await limit(acme, "mail", "ann")
        rows = await asked(acme, f"SELECT override_id FROM {L} WHERE override_id != ''", "getRatelimits")
        assert rows == [{"override_id": override["overrideId"]}]


class TestWhoMayAsk:
    async def test_a_caller_of_one_api_sees_that_one_only(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        other_id = await api(acme)
        mine, _ = await used_key(acme, api_id), await used_key(acme, other_id)
        workspace = (await asked(acme, f"SELECT DISTINCT workspace_id AS id FROM {V}"))[0]["id"]
        one = await house.root_key(workspace, f"api.{api_id}.read_analytics", "api.*.read_api")
        assert await asked(one, f"SELECT key_id FROM {V}") == [{"key_id": mine}]
        assert await asked(one, "SELECT sum(count) AS n FROM key_verifications_per_day_v1") == [{"n": 1}]
        both = await house.root_key(workspace, *(f"api.{id_}.read_analytics" for id_ in (api_id, other_id)))
        assert await asked(both, f"SELECT count() AS n FROM {V}") == [{"n": 2}]
        every = await house.root_key(workspace, "api.*.read_analytics")
        assert await asked(every, f"SELECT count() AS n FROM {V}") == [{"n": 2}]

    async def test_a_caller_of_foreign_or_unknown_apis_sees_nothing(self, house: House, acme: Client) -> None:
        beta = await house.tenant("beta")
        foreign_id = await api(beta)
        await used_key(beta, foreign_id)
        await used_key(acme, await api(acme))
        workspace = (await asked(acme, f"SELECT DISTINCT workspace_id AS id FROM {V}"))[0]["id"]
        client = await house.root_key(
            workspace, f"api.{foreign_id}.read_analytics", "api.api_unknown.read_analytics"
        )
        assert await asked(client, f"SELECT count() AS n FROM {V}") == [{"n": 0}]

    async def test_a_caller_of_one_namespace_sees_that_one_only(self, house: House, acme: Client) -> None:
        await limit(acme, "mail", "ann")
        await limit(acme, "calls", "bob")
        (mail,) = await asked(
            acme, f"SELECT namespace_id, workspace_id FROM {L} WHERE identifier = 'ann'", "getRatelimits"
        )
        permission = f"ratelimit.{mail['namespace_id']}.read_analytics"
        client = await house.root_key(mail["workspace_id"], permission)
        assert await asked(client, f"SELECT identifier FROM {L}", "getRatelimits") == [{"identifier": "ann"}]

    @pytest.mark.parametrize(
        ("procedure", "lacking"),
        [
            ("getVerifications", "api.*.read_analytics or api.<apiId>.read_analytics"),
            ("getRatelimits", "ratelimit.*.read_analytics or ratelimit.<ratelimitId>.read_analytics"),
        ],
    )
    async def test_others_are_forbidden(
        self, house: House, acme: Client, procedure: str, lacking: str
    ) -> None:
        workspace = (await house.platform.workspaces.all())[0].id
        for permissions in ([], ["api.*.read_api"], ["ratelimit.*.limit"], ["identity.*.read_analytics"]):
            client = await house.root_key(workspace, *permissions)
            error = await client.error(f"analytics.{procedure}", {"query": "SELECT 1"}, 403)
            assert error["detail"] == f"Missing one of these permissions: {lacking}"

    async def test_nobody_asks_without_a_root_key(self, acme: Client) -> None:
        stranger = Client(acme.http, "lw_root_nobody")
        assert await refused(stranger, "SELECT 1", status=401) == "key_not_found"


ESCAPES = [
    "SELECT * FROM {t} WHERE 1 = 1 OR workspace_id != ''",
    "SELECT * FROM {t} WHERE NOT (workspace_id = 'x')",
    "SELECT * FROM {t} WHERE ((1 = 1) OR (1 = 1 AND (workspace_id LIKE '%')))",
    "SELECT * FROM {t} WHERE workspace_id IN (SELECT workspace_id FROM {t})",
    "SELECT 'x' AS workspace_id, * FROM (SELECT request_id FROM {t})",
    "SELECT request_id AS workspace_id FROM {t} WHERE workspace_id = workspace_id OR 1 = 1",
    "SELECT a.* FROM {t} AS a LEFT JOIN (SELECT workspace_id AS w FROM {t}) AS b ON 1 = 1",
    "SELECT request_id FROM {t} UNION ALL SELECT request_id FROM {t}",
    "SELECT request_id FROM {t} UNION DISTINCT (SELECT request_id FROM {t} WHERE 1 = 1 OR 1 = 1)",
    "SELECT request_id FROM {t} EXCEPT SELECT 'x'",
    "WITH w AS (SELECT * FROM {t}) SELECT * FROM w",
    "WITH w AS (WITH w AS (SELECT * FROM {t}) SELECT * FROM w) SELECT * FROM w",
    "WITH w AS (SELECT 1 AS x) SELECT * FROM (WITH w AS (SELECT * FROM {t}) SELECT * FROM w)",
    "SELECT * FROM {t} -- WHERE workspace_id = 'x'",
    "SELECT * FROM {t} /* ) OR (1 = 1 */ WHERE 1 = 1",
    "SELECT * FROM (SELECT * FROM {t}) AS {t}",
    "SELECT * FROM {t} AS t WHERE t.workspace_id != 'x'",
    "SELECT (SELECT groupArray(external_id) FROM {t}) AS everyone",
    "SELECT * FROM {t} WHERE time >= 1799999000000 OR time < 1799999000000",
    "SELECT count() AS n, groupUniqArray(workspace_id) FROM {t}",
    "SELECT arrayJoin(groupArray(x)) FROM (SELECT external_id AS x FROM {t})",
    "SELECT * FROM {t} WHERE external_id = 'x'' OR 1=1 --'",
    "SELECT * FROM {t} WHERE external_id = 'x\\' OR 1=1 --'",
    "SELECT * FROM {t} WHERE external_id = '\\\\' OR 1 = 1 OR external_id = '\\\\'",
    "SELECT * FROM {t} LIMIT 1000000000",
]
FORBIDDEN = {
    "SELECT * FROM system.tables": "invalid_analytics_table",
    "SELECT * FROM default.key_verifications_v1": "invalid_analytics_table",
    "SELECT * FROM information_schema.tables": "invalid_analytics_table",
    "SELECT * FROM duckdb_tables": "invalid_analytics_table",
    "SELECT * FROM sqlite_master": "invalid_analytics_table",
    "SELECT * FROM verifications": "invalid_analytics_table",
    "SELECT * FROM subjects": "invalid_analytics_table",
    "SELECT * FROM ratelimits_v1": "invalid_analytics_table",
    "WITH key_verifications_v1 AS (SELECT 1 AS x) SELECT * FROM key_verifications_v1": "invalid_analytics_table",
    "SELECT * FROM 'analytics.duckdb'": "invalid_analytics_table",
    "SELECT * FROM url('http://127.0.0.1/x', CSV)": "invalid_analytics_function",
    "SELECT * FROM file('/etc/passwd')": "invalid_analytics_function",
    "SELECT * FROM s3('https://x/y')": "invalid_analytics_function",
    "SELECT * FROM remote('127.0.0.1', system.one)": "invalid_analytics_function",
    "SELECT * FROM numbers(1000000000)": "invalid_analytics_function",
    "SELECT * FROM generateRandom('a Int')": "invalid_analytics_function",
    "SELECT * FROM read_csv('/etc/passwd')": "invalid_analytics_function",
    "SELECT * FROM read_text('/etc/passwd')": "invalid_analytics_function",
    "SELECT * FROM merge('.*')": "invalid_analytics_function",
    "SELECT * FROM values('a Int', 1)": "invalid_analytics_query",
    "SELECT sleep(3)": "invalid_analytics_function",
    "SELECT getSetting('x')": "invalid_analytics_function",
    "SELECT current_setting('x')": "invalid_analytics_function",
    "SELECT version()": "invalid_analytics_function",
    "SELECT hostName()": "invalid_analytics_function",
    "SELECT repeat('x', 1000000000)": "invalid_analytics_function",
    "SELECT range(1000000000)": "invalid_analytics_function",
    "SELECT dictGet('a', 'b', 1)": "invalid_analytics_function",
    "SELECT joinGet('a', 'b', 1)": "invalid_analytics_function",
    "SELECT replaceRegexpAll('a', '(a+)+$', 'b')": "invalid_analytics_function",
    "SELECT match('a', '(a+)+$')": "invalid_analytics_function",
    "SELECT sumState(1)": "invalid_analytics_function",
    "SELECT groupArray(10)(time) FROM key_verifications_v1": "invalid_analytics_function",
    "SELECT 1 SETTINGS max_execution_time = 0": "invalid_analytics_query",
    "SELECT * FROM key_verifications_v1 SETTINGS additional_table_filters = {}": "invalid_analytics_query",
    "SELECT 1 FORMAT CSV": "invalid_analytics_query",
    "SELECT 1 INTO OUTFILE '/tmp/x'": "invalid_analytics_query",
    "SELECT * FROM key_verifications_v1 AS a, key_verifications_v1 AS b": "invalid_analytics_query",
    "SELECT * FROM key_verifications_v1 AS a CROSS JOIN key_verifications_v1 AS b": "invalid_analytics_query",
    "SELECT 1; DROP TABLE verifications": "invalid_analytics_query_type",
    "SELECT 1; SELECT 2": "invalid_analytics_query_type",
    "INSERT INTO verifications SELECT 1": "invalid_analytics_query_type",
    "DELETE FROM verifications": "invalid_analytics_query_type",
    "ALTER TABLE verifications DROP COLUMN time": "invalid_analytics_query_type",
    "CREATE TABLE x (a Int)": "invalid_analytics_query_type",
    "SYSTEM SHUTDOWN": "invalid_analytics_query_type",
    "SHOW TABLES": "invalid_analytics_query_type",
    "DESCRIBE TABLE key_verifications_v1": "invalid_analytics_query_type",
    "EXPLAIN SELECT 1": "invalid_analytics_query_type",
    "SET max_memory_usage = 0": "invalid_analytics_query_type",
    "ATTACH 'x.db'": "invalid_analytics_query_type",
    "COPY x TO '/tmp/x'": "invalid_analytics_query_type",
    "INSTALL httpfs": "invalid_analytics_query_type",
    "PRAGMA database_list": "invalid_analytics_query_type",
    "SELECT FROM WHERE": "invalid_analytics_query",
    "": "invalid_analytics_query",
    "SELECT count() FROM key_verifications_v1 WHERE time > 0": "query_range_exceeds_retention",
    "SELECT count() FROM key_verifications_per_day_v1 WHERE time > '1990-01-01'": "query_range_exceeds_retention",
}


class TestIsolation:
    @pytest.mark.parametrize(("procedure", "table"), [("getVerifications", V), ("getRatelimits", L)])
    async def test_no_query_answers_anything_of_another_workspace(
        self, house: House, acme: Client, api_id: str, procedure: str, table: str
    ) -> None:
        beta = await house.tenant("beta")
        canary = await used_key(beta, await api(beta), ["canary"], externalId="canary")
        await limit(beta, "canary", "canary")
        await used_key(acme, api_id, ["own"], externalId="own")
        await limit(acme, "own", "own")
        (theirs,) = await asked(beta, f"SELECT * FROM {table}", procedure)
        for query in ESCAPES:
            answer = await acme.post(f"analytics.{procedure}", {"query": query.format(t=table)})
            assert answer.status_code in (200, 400), query
            for secret in ("canary", canary, theirs["workspace_id"], theirs["request_id"]):
                assert secret not in answer.text, query

    @pytest.mark.parametrize("kind", sorted(set(FORBIDDEN.values())))
    async def test_what_is_forbidden_is_refused_by_its_own_code(self, acme: Client, kind: str) -> None:
        for query in (query for query, code in FORBIDDEN.items() if code == kind):
            assert await refused(acme, query) == kind, query

    async def test_every_error_of_a_query_names_no_table_of_the_engine(self, acme: Client) -> None:
        for query in ("SELECT nothing FROM key_verifications_v1", "SELECT 5 % 0", "SELECT toInt64('x')"):
            error = await acme.error("analytics.getVerifications", {"query": query}, 400)
            assert "verifications AS events" not in error["detail"] and "DuckDB" not in error["detail"]

    async def test_a_query_is_one_text_of_bounded_length(self, acme: Client) -> None:
        for body in ({}, {"query": 5}, {"query": "x" * 10_001}, {"query": "SELECT '\0'"}):
            assert (await acme.error("analytics.getVerifications", body, 400))["errors"]


class Troubled(DuckDbAnalytics):
    """A store whose questions end with a fault, or with a number of rows."""

    def __init__(self, path: Path, trouble: Exception | int) -> None:
        super().__init__(path)
        self._trouble = trouble

    def ask(self, question: Question, timeout_s: float) -> Generator[tuple[Any, ...], None, None]:
        if isinstance(self._trouble, Exception):
            raise self._trouble
        yield from (("x" * 100,) for _ in range(self._trouble))


@asynccontextmanager
async def answering(house: House, analytics: Analytics) -> AsyncIterator[Client]:
    """The house with other analytics, and a caller of it who may do everything."""
    await analytics.start()
    platform = replace(house.platform, services=replace(house.platform.services, analytics=analytics))
    surfaces = surfaces_of(platform)
    application = Application(surfaces.mounts, fallback=surfaces.fallback, hot=surfaces.hot)
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://latchwork") as http:
        workspace = (await house.platform.workspaces.all())[0].id
        yield Client(http, (await house.root_key(workspace, "*")).key)
    await analytics.stop()


class TestLimits:
    @pytest.mark.parametrize(
        ("trouble", "status", "code"),
        [
            (QueryTimeout(), 422, "query_execution_timeout"),
            (QueryMemoryExceeded(), 422, "query_memory_limit_exceeded"),
            (QueryRowsExceeded(), 422, "query_rows_limit_exceeded"),
            (50_000, 422, "query_memory_limit_exceeded"),
        ],
    )
    async def test_what_takes_too_much_is_unprocessable(
        self, house: House, acme: Client, tmp_path: Path, trouble: Exception | int, status: int, code: str
    ) -> None:
        store = Troubled(tmp_path / "troubled.duckdb", trouble)
        analytics = Analytics(store, Spool(tmp_path / "troubled", 1 << 20), house.clock)
        async with answering(house, analytics) as client:
            for procedure in ("getVerifications", "getRatelimits"):
                assert await refused(client, "SELECT 'x' AS x", procedure, status) == code

    async def test_a_database_that_fails_is_503_and_says_so(
        self, house: House, acme: Client, tmp_path: Path
    ) -> None:
        (tmp_path / "broken.duckdb").write_bytes(b"not a database" * 500)
        store = DuckDbAnalytics(tmp_path / "broken.duckdb")
        analytics = Analytics(store, Spool(tmp_path / "broken", 1 << 20), house.clock)
        async with answering(house, analytics) as client:
            assert await refused(client, "SELECT 1", status=503) == "analytics_connection_failed"

    async def test_without_analytics_it_is_412(self, house: House, acme: Client) -> None:
        async with answering(house, Analytics(None, None, house.clock)) as client:
            for procedure in ("getVerifications", "getRatelimits"):
                assert await refused(client, "SELECT 1", procedure, 412) == "analytics_not_configured"

    async def test_an_hour_has_a_number_of_queries(self, house: House, acme: Client, tmp_path: Path) -> None:
        store = DuckDbAnalytics(tmp_path / "few.duckdb")
        spool = Spool(tmp_path / "few", 1 << 20)
        analytics = Analytics(store, spool, house.clock, queries_per_hour=2)
        async with answering(house, analytics) as client:
            await asked(client, "SELECT 1 AS n")
            assert await refused(client, "SELECT") == "invalid_analytics_query"
            answer = await client.post("analytics.getVerifications", {"query": "SELECT 1 AS n"})
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == str((HOUR_MS - START_MS % HOUR_MS) // 1000)
            assert answer.json()["error"]["type"].endswith("user/too_many_requests/query_quota_exceeded")
            house.clock.advance(HOUR_MS)
            await asked(client, "SELECT 1 AS n")

    async def test_a_workspace_has_a_few_queries_at_the_same_time(self, acme: Client) -> None:
        answers = await asyncio.gather(
            *(acme.post("analytics.getVerifications", {"query": "SELECT 1 AS n"}) for _ in range(20))
        )
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {200, 429} and codes.count(200) >= 5
        assert await asked(acme, "SELECT 1 AS n") == [{"n": 1}]

"""The family `workspace` through the outermost door: limits told, changed and kept to, and what was used."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from latchwork.domains.audit.tables import audit_log
from latchwork.kernel.sql import ALL_WORKSPACES
from latchwork.settings import AnalyticsSettings
from tests.surfaces.rpc.conftest import START_MS, Client, House

NONE = {
    "apiBillableOperationsCountMaxPerMonth": {"limit": None, "current": 0},
    "apiRequestsCountMaxPerMinute": {"limit": None},
    "logsRetentionDaysMax": {"limit": None},
    "logsAuditRetentionDaysMax": {"limit": None},
    "logdrainsMax": {"limit": None, "current": 0},
}
ASKED = {"namespace": "n", "identifier": "i", "limit": 1000, "duration": 60_000}
PER_MONTH = "apiBillableOperationsCountMaxPerMonth"
DAY_MS = 86_400_000


def ms(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)


async def limited(house: House, *permissions: str) -> Client:
    workspace = (await house.platform.workspaces.all())[0]
    return await house.root_key(workspace.id, *permissions)


class TestLimits:
    async def test_without_limits_each_is_null_and_none_is_missing(self, house: House, acme: Client) -> None:
        assert await acme.data("workspace.getLimits", {}) == NONE

    async def test_no_body_and_no_type_are_needed(self, house: House, acme: Client) -> None:
        headers = {"authorization": f"Bearer {acme.key}"}
        answer = await house.http.post("/v2/workspace.getLimits", headers=headers)
        assert (answer.status_code, answer.json()["data"]) == (200, NONE)

    async def test_limits_are_changed_one_by_one_and_lifted_by_null(self, acme: Client) -> None:
        wanted = {
            "apiRequestsPerMinute": 600,
            PER_MONTH: 1000,
            "logsRetentionDaysMax": 30,
            "logsAuditRetentionDaysMax": 365,
            "logdrainsMax": 2,
        }
        for name, value in wanted.items():
            answer = await acme.data("workspace.updateLimits", {name: value})
            told = "apiRequestsCountMaxPerMinute" if name == "apiRequestsPerMinute" else name
            assert answer[told]["limit"] == value
        full = await acme.data("workspace.getLimits", {})
        assert [each["limit"] for each in full.values()] == [1000, 600, 30, 365, 2]
        assert await acme.data("workspace.updateLimits", dict.fromkeys(wanted)) == NONE

    async def test_the_limit_of_requests_has_two_names(self, acme: Client) -> None:
        both = {"apiRequestsPerMinute": 6, "apiRequestsCountMaxPerMinute": 6}
        answer = await acme.data("workspace.updateLimits", both)
        assert answer["apiRequestsCountMaxPerMinute"]["limit"] == 6
        error = await acme.error("workspace.updateLimits", both | {"apiRequestsPerMinute": 7}, 400)
        assert "two names of one limit" in error["detail"]

    async def test_a_change_is_in_the_audit_log_with_before_and_after(
        self, house: House, acme: Client
    ) -> None:
        await acme.data("workspace.updateLimits", {"apiRequestsPerMinute": 600})
        row = await house.platform.db.read(
            lambda c: c.execute(select(audit_log).order_by(audit_log.c.id.desc())).mappings().first(),
            ALL_WORKSPACES,
        )
        assert row is not None and row["event"] == "workspace.update_limits"
        facts = row["resources"][0]["meta"]
        requests = [facts[when]["requests_per_minute"] for when in ("before", "after")]
        assert requests == [None, 600]

    @pytest.mark.parametrize(
        ("wrong", "location"),
        [
            ({"apiRequestsPerMinute": -1}, "/properties/apiRequestsPerMinute/minimum"),
            ({"apiRequestsPerMinute": 10**9 + 1}, "/properties/apiRequestsPerMinute/maximum"),
            ({"logsRetentionDaysMax": 0}, "/properties/logsRetentionDaysMax/minimum"),
            ({PER_MONTH: "5"}, f"/properties/{PER_MONTH}/type"),
            ({"cpuCoresMax": 5}, "/additionalProperties"),
        ],
    )
    async def test_bad_input_is_named(self, acme: Client, wrong: dict[str, Any], location: str) -> None:
        error = await acme.error("workspace.updateLimits", wrong, 400)
        assert [found["location"] for found in error["errors"]] == [location]

    async def test_each_needs_its_permission(self, house: House, acme: Client) -> None:
        nobody = await limited(house, "api.*.read_api")
        for procedure, action in (
            ("getLimits", "read_limits"),
            ("updateLimits", "update_limits"),
            ("getUsage", "read_usage"),
        ):
            error = await nobody.error(f"workspace.{procedure}", {}, 403)
            assert error["detail"] == f"Missing permission: 'workspace.*.{action}'"
            await (await limited(house, f"workspace.*.{action}")).data(f"workspace.{procedure}", {})

    async def test_a_workspace_sees_and_changes_its_own_limits(self, house: House, acme: Client) -> None:
        other = await house.tenant("other")
        await acme.data("workspace.updateLimits", {"apiRequestsPerMinute": 600})
        assert await other.data("workspace.getLimits", {}) == NONE


class TestRequestsPerMinute:
    async def test_a_new_limit_holds_for_the_very_next_request(self, house: House, acme: Client) -> None:
        await acme.data("ratelimit.limit", ASKED)  # answered from memory from now on
        await acme.data("workspace.updateLimits", {"apiRequestsPerMinute": 2})
        first = await acme.post("ratelimit.limit", ASKED)
        assert (first.headers["ratelimit-limit"], first.headers["ratelimit-remaining"]) == ("2", "1")
        await acme.data("apis.listApis", {})
        refused = await acme.post("ratelimit.limit", ASKED)
        assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
        assert int(refused.headers["retry-after"]) >= 1
        house.clock.advance(120_000)
        await acme.data("workspace.updateLimits", {"apiRequestsPerMinute": None})
        assert "ratelimit-limit" not in (await acme.post("ratelimit.limit", ASKED)).headers

    async def test_of_many_at_once_exactly_as_many_pass_as_the_limit_says(
        self, house: House, acme: Client
    ) -> None:
        await acme.data("workspace.updateLimits", {"apiRequestsPerMinute": 10})
        names = [{"name": f"api {n}"} for n in range(60)]
        answers = await asyncio.gather(*(acme.post("apis.createApi", name) for name in names))
        assert sorted({answer.status_code for answer in answers}) == [200, 429]
        house.clock.advance(120_000)
        await acme.data("workspace.updateLimits", {"apiRequestsPerMinute": None})
        assert len(await acme.data("apis.listApis", {})) == 10

    async def test_none_at_all_refuses_everything(self, acme: Client) -> None:
        await acme.data("workspace.updateLimits", {"apiRequestsPerMinute": 0})
        await acme.error("workspace.getLimits", {}, 429)
        await acme.data("workspace.updateLimits", {"apiRequestsPerMinute": None})  # but can be undone
        await acme.data("workspace.getLimits", {})


class TestOperationsPerMonth:
    """Verifications and limits, counted exactly within one process."""

    async def test_what_was_used_before_the_limit_counts(self, house: House, acme: Client) -> None:
        for _ in range(3):
            await acme.data("ratelimit.limit", ASKED)
        answer = await acme.data("workspace.updateLimits", {PER_MONTH: 5})
        assert answer[PER_MONTH] == {"limit": 5, "current": 3}
        await acme.data("ratelimit.limit", ASKED)
        await acme.error("ratelimit.multiLimit", [ASKED, ASKED], 429)
        await acme.data("ratelimit.multiLimit", [ASKED])
        refused = await acme.post("ratelimit.limit", ASKED)
        assert refused.status_code == 429
        assert "5 times a month" in refused.json()["error"]["detail"]
        assert int(refused.headers["retry-after"]) == (ms(2027, 2) - START_MS) // 1000
        await acme.data("apis.listApis", {})  # managing goes on

    async def test_of_many_at_once_exactly_as_many_pass_as_the_limit_says(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        made = await acme.data("keys.createKey", {"apiId": api_id})
        await acme.data("workspace.updateLimits", {PER_MONTH: 10})
        one, two = {"key": made["key"]}, {"requests": [{"key": made["key"]}] * 2}
        answers = await asyncio.gather(
            *(acme.post("keys.verifyKey", one) for _ in range(20)),
            *(acme.post("keys.verifyKeys", two) for _ in range(20)),
        )
        passed = [answer.status_code == 200 for answer in answers]
        assert sum(passed[:20]) + 2 * sum(passed[20:]) in (9, 10)
        assert sorted({answer.status_code for answer in answers}) == [200, 429]

    async def test_a_new_month_begins_anew(self, house: House, acme: Client) -> None:
        await acme.data("workspace.updateLimits", {PER_MONTH: 1})
        await acme.data("ratelimit.limit", ASKED)
        await acme.error("ratelimit.limit", ASKED, 429)
        house.clock.advance(ms(2027, 2) - START_MS)
        await acme.data("ratelimit.limit", ASKED)
        await acme.error("ratelimit.limit", ASKED, 429)

    async def test_a_raised_and_a_lifted_limit_hold_at_once(self, acme: Client) -> None:
        await acme.data("workspace.updateLimits", {PER_MONTH: 0})
        await acme.error("ratelimit.limit", ASKED, 429)
        await acme.data("workspace.updateLimits", {PER_MONTH: 1})
        await acme.data("ratelimit.limit", ASKED)
        await acme.data("workspace.updateLimits", {PER_MONTH: None})
        await acme.data("ratelimit.limit", ASKED)
        answer = await acme.data("workspace.updateLimits", {PER_MONTH: 3})
        assert answer[PER_MONTH]["current"] == 2  # also what was used without a limit
        await acme.data("ratelimit.limit", ASKED)
        await acme.error("ratelimit.limit", ASKED, 429)


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
class TestLogsRetention:
    """Events of a workspace that are older than it may keep them are neither asked for nor kept."""

    async def _used(self, client: Client) -> int:
        usage = await client.data("workspace.getUsage", {})
        return int(usage["totals"]["api"]["ratelimits"])

    async def test_a_shorter_reach_holds_at_once_for_its_workspace_alone(
        self, house: House, acme: Client
    ) -> None:
        other = await house.tenant("other")
        for client in (acme, other):
            await client.data("ratelimit.limit", ASKED)
        house.clock.advance(2 * DAY_MS)
        await acme.data("ratelimit.limit", ASKED)
        assert await self._used(acme) == 2
        await acme.data("workspace.updateLimits", {"logsRetentionDaysMax": 1})
        assert (await self._used(acme), await self._used(other)) == (1, 1)
        query = "SELECT count() AS n FROM ratelimits_v1"
        (counted,) = await acme.data("analytics.getRatelimits", {"query": query})
        assert counted["n"] == 1

    async def test_it_is_known_again_after_a_start(self, house: House, acme: Client) -> None:
        await acme.data("workspace.updateLimits", {"logsRetentionDaysMax": 1})
        await acme.data("ratelimit.limit", ASKED)
        house.clock.advance(2 * DAY_MS)
        limits = house.platform.services.workspace_limits
        workspace = (await house.platform.workspaces.all())[0]
        limits.analytics.keep(workspace.id, None)
        assert await self._used(acme) == 1
        await limits.load()
        assert await self._used(acme) == 0

    async def test_a_longer_one_than_the_servers_changes_nothing(self, acme: Client) -> None:
        await acme.data("workspace.updateLimits", {"logsRetentionDaysMax": 36_500})
        await acme.data("ratelimit.limit", ASKED)
        assert await self._used(acme) == 1


class TestUsage:
    async def test_operations_of_the_month_are_counted(self, house: House, acme: Client, api_id: str) -> None:
        other = await house.tenant("other")
        await other.data("ratelimit.limit", ASKED)
        made = await acme.data("keys.createKey", {"apiId": api_id})
        for _ in range(2):
            await acme.data("keys.verifyKey", {"key": made["key"]})
        await acme.data("ratelimit.limit", ASKED)
        await acme.data("ratelimit.limit", ASKED | {"identifier": "j"}, **{"x-unkey-metrics": "disabled"})
        assert await acme.data("workspace.getUsage", {}) == {
            "period": {"start": ms(2027, 1), "end": START_MS},
            "totals": {
                "api": {"verifications": 2, "ratelimits": 1},
                "compute": {"cpuSeconds": 0, "memoryGiBHours": 0, "storageGiBHours": 0, "egressGiB": 0},
                "gateway": {"activeKeys": 0},
            },
            "breakdowns": {"byEnvironment": [], "byApp": []},
        }
        house.clock.advance(ms(2027, 2) - START_MS)
        assert (await acme.data("workspace.getUsage", {}))["totals"]["api"]["verifications"] == 0
        past = await acme.data("workspace.getUsage", {"period": {"year": 2027, "month": 1}})
        assert past["period"] == {"start": ms(2027, 1), "end": ms(2027, 2)}
        assert past["totals"]["api"] == {"verifications": 2, "ratelimits": 1}

    @pytest.mark.parametrize(
        ("year", "month", "word"), [(2027, 2, "future"), (2026, 10, "90 days"), (2000, 1, "90 days")]
    )
    async def test_a_month_out_of_reach_is_a_400(
        self, acme: Client, year: int, month: int, word: str
    ) -> None:
        body = {"period": {"year": year, "month": month}}
        assert word in (await acme.error("workspace.getUsage", body, 400))["detail"]

    @pytest.mark.parametrize(
        ("period", "location"),
        [
            ({"year": 2027}, "/properties/period/required"),
            ({"year": 2027, "month": 13}, "/properties/period/properties/month/maximum"),
            ({"year": 1999, "month": 1}, "/properties/period/properties/year/minimum"),
        ],
    )
    async def test_bad_input_is_named(self, acme: Client, period: dict[str, int], location: str) -> None:
        error = await acme.error("workspace.getUsage", {"period": period}, 400)
        assert [found["location"] for found in error["errors"]] == [location]


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
class TestWithoutAnalytics:
    @pytest.fixture
    def analytics_settings(self) -> AnalyticsSettings:
        return AnalyticsSettings(enabled=False)

    async def test_usage_cannot_be_told(self, acme: Client) -> None:
        error = await acme.error("workspace.getUsage", {}, 412)
        assert error["type"].endswith("data/analytics_not_configured")
        assert "current" not in (await acme.data("workspace.getLimits", {}))[PER_MONTH]

    async def test_operations_are_counted_from_when_the_limit_was_set(self, acme: Client) -> None:
        await acme.data("ratelimit.limit", ASKED)
        await acme.data("workspace.updateLimits", {PER_MONTH: 1})
        await acme.data("ratelimit.limit", ASKED)
        await acme.error("ratelimit.limit", ASKED, 429)

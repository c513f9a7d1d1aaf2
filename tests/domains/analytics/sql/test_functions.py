"""Every function and operator that is allowed answers the same on both engines."""

import pytest

from latchwork.domains.analytics.sql.functions import FUNCTIONS
from tests.domains.analytics.sql.engines import Both

RAW, LIMITS = "key_verifications_v1", "ratelimits_v1"
AT = "fromUnixTimestamp64Milli(time)"

CALLS: dict[str, list[str]] = {
    "count": ["count()", "count(*)", "count(key_id)", "count(DISTINCT key_id)", "count(1)"],
    "sum": ["sum(spent_credits)", "sum(latency)", "sum(DISTINCT spent_credits)", "sum(time)"],
    "avg": ["avg(spent_credits)", "avg(latency)"],
    "min": ["min(time)", "min(external_id)", "min(latency)", f"min({AT})", "min(toDate('2026-01-01'))"],
    "max": ["max(time)", "max(outcome)", f"max(toStartOfDay({AT}))"],
    "any": ["any(workspace_id)", "any(source)"],
    "groupArray": ["groupArray(request_id)", "length(groupArray(external_id))", "groupArray(spent_credits)"],
    "groupUniqArray": ["groupUniqArray(outcome)", "groupUniqArray(spent_credits)"],
    "uniq": ["uniq(key_id)", "uniq(spent_credits)"],
    "uniqExact": ["uniqExact(external_id)", f"uniqExact(toDate({AT}))"],
    "quantile": [
        "quantile(0.5)(latency)",
        "quantile(latency)",
        "quantile(0.99)(spent_credits)",
        "quantile(0)(time)",
    ],
    "countIf": ["countIf(outcome = 'VALID')", "countIf(spent_credits)", "countIf(1 = 2)"],
    "sumIf": [
        "sumIf(spent_credits, outcome = 'VALID')",
        "sumIf(latency, 1 = 2)",
        "sumIf(spent_credits, 1 = 2)",
    ],
    "row_number": ["row_number() OVER (ORDER BY request_id)"],
    "rank": ["rank() OVER (PARTITION BY outcome ORDER BY spent_credits)"],
    "dense_rank": ["dense_rank() OVER (ORDER BY spent_credits DESC)"],
    "now": ["now()", "now() - INTERVAL 3 HOUR", "NOW() > toDateTime('2026-01-01 00:00:00')"],
    "now64": ["now64()", "now64(3)", f"{AT} < now64()"],
    "today": ["today()", "today() - 1", "today() - INTERVAL 1 MONTH", "today() - toDate('2025-12-25')"],
    "toDate": [
        f"toDate({AT})",
        "toDate('2026-01-31')",
        "toDate(20000)",
        "toDate(1767225600)",
        "toDate(now())",
    ],
    "toDateTime": [
        f"toDateTime({AT})",
        "toDateTime('2026-01-31 12:30:01')",
        "toDateTime(1767225600)",
        "toDateTime(time / 1000)",
        "toDateTime(today())",
    ],
    "toDateTime64": [
        f"toDateTime64({AT}, 3)",
        "toDateTime64('2026-01-31 12:30:01.250', 3)",
        "toDateTime64(17, 3)",
        "toDateTime64(now(), 3)",
        "toDateTime64(today(), 3)",
    ],
    "toStartOfMinute": [f"toStartOfMinute({AT})", "toStartOfMinute(now())"],
    "toStartOfHour": [f"toStartOfHour({AT})", f"date_trunc('hour', {AT})"],
    "toStartOfDay": [f"toStartOfDay({AT})", f"date_trunc('day', {AT})", "toStartOfDay(today())"],
    "toStartOfWeek": [
        f"toStartOfWeek({AT})",
        f"toStartOfWeek({AT}, 1)",
        f"date_trunc('week', {AT})",
        "toStartOfWeek(toDate('2026-01-04'))",
        "toStartOfWeek(toDate('2026-01-05'), 1)",
    ],
    "toStartOfMonth": [f"toStartOfMonth({AT})", "toStartOfMonth(today())", f"date_trunc('month', {AT})"],
    "toStartOfYear": [f"toStartOfYear({AT})", "date_trunc('year', today())"],
    "formatDateTime": [
        f"formatDateTime({AT}, '%Y-%m-%d %H:%i:%S')",
        "formatDateTime(today(), '%F %T %y %j 100%%')",
    ],
    "fromUnixTimestamp64Milli": [AT, "fromUnixTimestamp64Milli(1767225600123)"],
    "toUnixTimestamp64Milli": [f"toUnixTimestamp64Milli({AT})", "toUnixTimestamp64Milli(now64())"],
    **{
        f"toInterval{unit}": [
            f"now() - toInterval{unit}(spent_credits + 1)",
            f"today() + toInterval{unit}(1)",
            f"{AT} + INTERVAL 2 {unit.upper()}",
            f"toDate('2024-02-29') - INTERVAL 1 {unit}",
        ]
        for unit in ("Second", "Minute", "Hour", "Day", "Week", "Month", "Quarter", "Year")
    },
    "lower": ["lower(external_id)", "lower('ÀB')"],
    "upper": ["upper(external_id)", "upper('éa')"],
    "substring": [
        "substring(external_id, 2)",
        "substring(request_id, 5, 3)",
        "substring('héllo', 2, 2)",
        "substring(external_id, -2)",
        "substring(external_id, 1, spent_credits)",
        "substr(key_id, spent_credits, 2)",
        "substring(external_id, 1, spent_credits - 2)",
    ],
    "concat": ["concat(key_id, ':', external_id)", "key_id || '-' || spent_credits", "concat('a')"],
    "length": [
        "length(external_id)",
        "length(tags)",
        "length('é')",
        "length(arrayFilter(x -> x = 'a', tags))",
    ],
    "trim": ["trim('  a b ')", "trim(external_id)", "trim('\\ta ')"],
    "startsWith": ["startsWith(external_id, 'a')", "startsWith(key_id, '')"],
    "endsWith": ["endsWith(external_id, 'n')", "endsWith(external_id, external_id)"],
    "JSONExtractString": [
        "JSONExtractString(external_id, 'plan')",
        "JSONExtractString(external_id, 'n', 'é')",
        "JSONExtractString(external_id, 'missing')",
        "JSONExtractString('{\"a/b~\": \"x\"}', 'a/b~')",
        "JSONExtractString('{\"a\": 5}', 'a')",
        "JSONExtractString('[1]', 'a')",
        "JSONExtractString('{', 'a')",
        "JSONExtractString('{\"a\": {\"b\": [1, true, null]}}', 'a')",
        "JSONExtractString('{\"a\": null}', 'a')",
        "JSONExtractString(if(spent_credits = 1, NULL, '{}'), 'a')",
    ],
    "round": [
        "round(latency, 1)",
        "round(2.5)",
        "round(-0.125, 2)",
        "round(spent_credits)",
        "round(latency * 1000)",
    ],
    "floor": ["floor(latency * 10)", "floor(-1.5)", "floor(spent_credits)"],
    "ceil": ["ceil(latency * 10)", "ceiling(1.2)", "ceil(spent_credits)"],
    "abs": ["abs(spent_credits - 2)", "abs(-1.5)"],
    "coalesce": ["coalesce(NULL, key_id)", "coalesce(NULL, spent_credits, 1.5)", "coalesce(NULL, NULL)"],
    "toString": [
        "toString(spent_credits)",
        "toString(latency)",
        f"toString({AT})",
        "toString(now())",
        "toString(today())",
        "toString(key_id)",
        "toString(1.0)",
        "toString(-0.1)",
        "toString(123456.789)",
        *(
            f"toString(latency * {factor})"
            for factor in ("1e-6", "-1e-4", "0.000123", "1e9", "1e15", "-1e17", "1e19", "1e22")
        ),
    ],
    "toInt32": ["toInt32('42')", "toInt32(latency * 100)", "toInt32(-1.9)", "toInt32(spent_credits = 1)"],
    "toInt64": ["toInt64('-42')", "toInt64(latency * 100)", "toInt64(now())", "spent_credits::Int64"],
    "toFloat64": ["toFloat64('1.5')", "toFloat64(spent_credits)", "CAST(spent_credits AS Float64)"],
    "has": [
        "has(tags, if(spent_credits = 1, NULL, 'a'))",
        "has(tags, NULL)",
        "has(tags, 'a')",
        "has(['x'], 'x')",
        "has([1, 2], spent_credits)",
    ],
    "hasAny": ["hasAny(tags, ['a', 'q'])", "hasAny(tags, [])"],
    "hasAll": ["hasAll(tags, ['a', 'b'])", "hasAll(tags, [])"],
    "arrayJoin": [
        "arrayJoin(tags)",
        "upper(arrayJoin(tags))",
        "arrayJoin(arrayFilter(t -> length(t) > 1, tags))",
    ],
    "arrayFilter": ["arrayFilter(x -> x != 'a', tags)", "arrayFilter(n -> n > spent_credits, [1, 2, 3])"],
    "if": ["if(outcome = 'VALID', 1, 0)", "if(spent_credits, 'paid', 'free')", "outcome = 'VALID' ? 1 : 2.5"],
    "case": [
        "CASE WHEN spent_credits > 2 THEN 'many' WHEN spent_credits > 0 THEN 'few' END",
        "CASE outcome WHEN 'VALID' THEN 1 WHEN 'EXPIRED' THEN 2 ELSE 3 END",
    ],
    "arithmetic": [
        "spent_credits + 1",
        "1 - spent_credits * 2",
        "spent_credits / 2",
        "5 % (spent_credits + 1)",
        "-7 % 3",
        "latency * spent_credits",
        "1 / 0",
        "0 / 0",
        "-spent_credits",
        "40000 * 90000 * 3",
        "2.5 - 1",
        "now() - toDateTime('2026-01-01 00:00:00')",
        "now() - 60",
        "now() + spent_credits",
    ],
    "comparison": [
        "spent_credits = 1",
        "1 < spent_credits",
        "external_id >= 'b'",
        "latency <= 0.5",
        "key_id != ''",
        f"{AT} > '2026-01-02'",
        "today() = '2026-01-04'",
        "now() <> today()",
        "spent_credits > 1.5",
    ],
    "logic": [
        "outcome = 'VALID' AND spent_credits > 1",
        "NOT spent_credits OR 1 = 2",
        "true",
        "NULL",
        "NULL OR 1 = 1",
        "spent_credits BETWEEN 1 AND 2",
        "outcome IN ('VALID', 'EXPIRED')",
        "spent_credits NOT IN (1, 2)",
        "external_id LIKE '%b%'",
        "external_id LIKE '%100\\\\%'",
        "external_id ILIKE 'B%'",
        "key_id NOT LIKE 'key_1_'",
        "nullable IN ('key_110', NULL)",
        "nullable NOT IN ('key_110', external_id)",
        "NULL IN (1, 2)",
        f"nullable IN (SELECT if(spent_credits = 1, NULL, key_id) FROM {RAW} WHERE spent_credits < 2)",
        f"nullable NOT IN (SELECT if(spent_credits = 1, NULL, 'x') FROM {RAW})",
        f"nullable NOT IN (SELECT key_id FROM {RAW} WHERE 1 = 2)",
        "nullable IS NULL",
        "nullable IS NOT NULL",
    ],
}
"""What is asked by the function that it tries; the last four are operators."""


def test_no_function_is_allowed_that_is_not_tried() -> None:
    assert set(FUNCTIONS) <= set(CALLS)


@pytest.mark.parametrize("call", [call for calls in CALLS.values() for call in calls])
def test_both_engines_answer_the_same(both: Both, call: str) -> None:
    source = f"(SELECT *, if(spent_credits = 1, NULL, key_id) AS nullable FROM {RAW})"
    rows = both.rows(f"SELECT {call} AS answer FROM {source}")
    assert rows


@pytest.mark.parametrize(
    "call", [call for name in FUNCTIONS if FUNCTIONS[name].aggregate for call in CALLS[name]]
)
def test_both_engines_answer_the_same_of_groups_and_of_nothing(both: Both, call: str) -> None:
    assert len(both.rows(f"SELECT outcome, {call} AS answer FROM {RAW} GROUP BY outcome")) == 4
    assert len(both.rows(f"SELECT {call} AS answer FROM {RAW} WHERE key_id = 'nobody'")) == 1


@pytest.mark.parametrize(
    "call",
    ["sum(spent_credits)", "count()", "max(latency)", "groupArray(outcome)", "countIf(outcome = 'VALID')"],
)
def test_both_engines_answer_the_same_over_windows(both: Both, call: str) -> None:
    for window in (
        "PARTITION BY outcome",
        "ORDER BY request_id",
        "ORDER BY time % 7, request_id",
        "PARTITION BY outcome ORDER BY request_id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
        "ORDER BY request_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
    ):
        assert both.rows(f"SELECT request_id, {call} OVER ({window}) AS answer FROM {RAW}")


@pytest.mark.parametrize(
    "call",
    [
        "sum(passed)",
        "countIf(passed)",
        "countIf(NOT passed)",
        "avg(passed)",
        "passed",
        "passed = true",
        "passed = 1",
        "passed + 1",
        "if(passed, tokens, 0)",
        'max("limit")',
        "max(`limit`) - min(remaining)",
        "max(reset_at)",
    ],
)
def test_both_engines_answer_the_same_of_limits(both: Both, call: str) -> None:
    assert both.rows(f"SELECT {call} AS answer FROM {LIMITS}")

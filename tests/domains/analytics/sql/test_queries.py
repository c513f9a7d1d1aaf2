"""Clauses: what may be combined, what names mean, and that both engines agree about it."""

from datetime import date, datetime

import pytest

from latchwork.domains.analytics import InvalidFunction, InvalidQuery, InvalidTable, RangeExceedsRetention
from latchwork.domains.analytics.sql.tables import TABLES
from tests.domains.analytics.recordings import DAY_MS, NOW_MS
from tests.domains.analytics.sql.engines import Both, ratelimits, verifications

V, L = "key_verifications_v1", "ratelimits_v1"
AT = "fromUnixTimestamp64Milli(time)"

QUERIES = [
    f"SELECT * FROM {V}",
    f"SELECT v.* FROM {V} AS v",
    f"SELECT DISTINCT outcome FROM {V}",
    f"SELECT outcome, count() AS n FROM {V} GROUP BY outcome HAVING n > 5 ORDER BY n DESC, outcome LIMIT 3",
    f"SELECT outcome, count() FROM {V} GROUP BY 1 ORDER BY 2 DESC, 1",
    f"SELECT toStartOfHour({AT}) AS time, outcome, COUNT(*) AS n FROM {V} GROUP BY time, outcome ORDER BY time, 2",
    f"SELECT toStartOfDay({AT}) AS time FROM {V} WHERE time >= {NOW_MS + DAY_MS} GROUP BY time",
    f"SELECT spent_credits * 2 AS doubled, doubled + 1 AS more FROM {V} WHERE doubled > 2",
    f"WITH used AS (SELECT key_id, sum(spent_credits) AS spent FROM {V} GROUP BY key_id) "
    "SELECT u.key_id, spent FROM used AS u WHERE spent > 1",
    f"WITH a AS (SELECT key_id FROM {V}), b AS (SELECT key_id FROM a WHERE key_id != 'key_110') SELECT count() FROM b",
    f"SELECT count() FROM {V} WHERE key_id IN (SELECT key_id FROM {V} WHERE outcome = 'EXPIRED')",
    f"SELECT count() FROM {V} WHERE key_id NOT IN (SELECT key_id FROM {V} WHERE outcome = 'EXPIRED')",
    f"SELECT key_id, (SELECT max(spent_credits) FROM {V}) - spent_credits AS less FROM {V}",
    f"SELECT n, count() FROM (SELECT key_id, count() AS n FROM {V} GROUP BY key_id) GROUP BY n",
    f"SELECT a.key_id, b.n FROM {V} AS a INNER JOIN (SELECT key_id, count() AS n FROM {V} GROUP BY key_id) AS b "
    "ON a.key_id = b.key_id AND b.n > 3",
    f"SELECT a.key_id, b.outcome FROM {V} AS a LEFT JOIN (SELECT DISTINCT key_id, outcome FROM {V} "
    "WHERE outcome = 'EXPIRED') AS b ON a.key_id = b.key_id",
    f"SELECT key_id FROM {V} WHERE outcome = 'VALID' UNION ALL SELECT external_id FROM {V}",
    f"SELECT key_id FROM {V} UNION DISTINCT SELECT key_id FROM {V}",
    f"SELECT * FROM (SELECT key_id, 1 AS n FROM {V} UNION DISTINCT SELECT external_id, 2 FROM {V}) "
    "ORDER BY key_id, n LIMIT 5 OFFSET 1",
    f"(SELECT key_id FROM {V}) UNION ALL (SELECT external_id FROM {V}) ORDER BY key_id DESC, 1 LIMIT 4 OFFSET 1",
    *(
        f"SELECT key_id FROM {V} {operator} SELECT key_id FROM {V} WHERE outcome = 'VALID'"
        for operator in ("EXCEPT", "EXCEPT ALL", "INTERSECT", "INTERSECT ALL", "INTERSECT DISTINCT")
    ),
    f"SELECT key_id FROM {V} EXCEPT DISTINCT SELECT key_id FROM {V} WHERE outcome = 'EXPIRED' AND spent_credits = 1",
    f"(SELECT key_id FROM {V} ORDER BY 1 LIMIT 1) UNION ALL (SELECT key_id FROM {V} ORDER BY key_id DESC LIMIT 1)",
    f"SELECT * FROM (SELECT key_id FROM {V} UNION ALL SELECT key_id FROM {V}) AS u WHERE key_id LIKE '%0'",
    f"SELECT arrayJoin(tags) AS tag, count() AS n FROM {V} WHERE outcome = 'VALID' GROUP BY tag ORDER BY n DESC, tag",
    f"SELECT arrayJoin(tags) AS tag, upper(tag) AS loud FROM {V} WHERE tag != 'a'",
    f"SELECT key_id, groupUniqArray(arrayJoin(tags)) AS tags FROM {V} GROUP BY key_id",
    f"SELECT count(), countIf(has(tags, 'a')) / count() AS share FROM {V}",
    f"SELECT key_id, sum(n) OVER (PARTITION BY key_id ORDER BY day) AS running FROM "
    f"(SELECT key_id, toDate({AT}) AS day, count() AS n FROM {V} GROUP BY key_id, day)",
    f"SELECT key_id, row_number() OVER (ORDER BY count() DESC, key_id) AS place FROM {V} GROUP BY key_id",
    f"SELECT count() FILTER (WHERE outcome = 'VALID') AS good, sum(spent_credits) FILTER (WHERE 1 = 2) FROM {V}",
    f"SELECT key_id FROM {V} ORDER BY request_id DESC LIMIT 2, 3",
    f"SELECT max(request_id) FROM {V} WHERE {AT} BETWEEN '2026-01-01 05:00:00' AND '2026-01-01 06:00:00'",
    f"SELECT 1 AS one, 'x' AS x, 2.5 AS y, today() AS t FROM {V} LIMIT 1",
    "SELECT 1 + 1 AS two",
    f"SELECT outcome FROM {V} WHERE 1 = 1 GROUP BY outcome HAVING count() > 1 AND max(latency) < 1000 -- why",
    f"select Outcome from (SELECT outcome AS Outcome FROM {V}) group by Outcome",
    f'SELECT `key_id`, "outcome" FROM {V} /* both quotes */',
    f"SELECT identifier, countIf(NOT passed) AS refused FROM {L} GROUP BY identifier ORDER BY refused DESC LIMIT 1",
    f"SELECT identifier, \"limit\", remaining FROM {L} WHERE override_id = ''",
    *(
        f"SELECT {value} AS told, count() AS n FROM {V} GROUP BY told ORDER BY n DESC, told"
        for value in (
            f"key_id IN (SELECT key_id FROM {V} WHERE outcome = 'EXPIRED' AND spent_credits = 3)",
            f"(SELECT max(spent_credits) FROM {V}) - spent_credits",
            "if(spent_credits IN (SELECT 1 UNION ALL SELECT 2), 'some', outcome)",
        )
    ),
    f"SELECT count() AS n FROM {V} GROUP BY key_id IN (SELECT key_id FROM {V} WHERE spent_credits = 3) ORDER BY n",
    f"SELECT key_id IN (SELECT key_id FROM {V} WHERE spent_credits = 3) AS b FROM {V} "
    f"GROUP BY key_id IN (SELECT key_id FROM {V} WHERE spent_credits = 3) HAVING b ORDER BY b",
    f"(SELECT spent_credits AS x FROM {V}) UNION DISTINCT (SELECT latency FROM {V}) ORDER BY x DESC",
    f"(SELECT spent_credits > 1 AS x FROM {V}) UNION DISTINCT (SELECT spent_credits FROM {V}) ORDER BY 1",
    f"(SELECT NULL AS x FROM {V}) UNION DISTINCT (SELECT latency FROM {V}) ORDER BY x LIMIT 9",
    f"(SELECT NULL AS x FROM {V}) UNION DISTINCT (SELECT NULL FROM {V}) ORDER BY x LIMIT 9",
    f"SELECT {AT} AS t FROM {V} UNION ALL SELECT toDateTime({AT}) FROM {V}",
    f"SELECT x FROM (SELECT latency AS x FROM {V} EXCEPT SELECT spent_credits FROM {V}) GROUP BY x ORDER BY x DESC",
    *(f"SELECT {each} AS x FROM {V} GROUP BY x" for each in ("'a'", "2", "2.5", "today()", "NULL", "[1, 2]")),
    f"SELECT 9 AS nine, outcome FROM {V} GROUP BY nine, outcome ORDER BY nine, outcome",
    f"SELECT NULL AS x, outcome FROM {V} ORDER BY x, 1, 2 DESC",
]


def test_a_union_is_sorted_as_a_whole_only_in_parentheses(both: Both) -> None:
    two = f"SELECT key_id FROM {V} UNION ALL SELECT outcome AS key_id FROM {V}"
    last = both.rows(f"{two} ORDER BY key_id LIMIT 3")
    assert len(last) == 73
    assert (
        both.rows(f"SELECT key_id FROM ({two}) ORDER BY key_id LIMIT 3", in_order=True) == [("EXPIRED",)] * 3
    )


@pytest.mark.parametrize("value", ["'x'", "NULL", "today()"])
def test_no_rows_make_no_group_even_of_constants(both: Both, value: str) -> None:
    assert both.rows(f"SELECT {value} AS a, count() FROM {V} WHERE outcome = 'DISABLED' GROUP BY a") == []


@pytest.mark.parametrize("sql", QUERIES)
def test_both_engines_answer_the_same(both: Both, sql: str) -> None:
    assert both.rows(sql)


@pytest.mark.parametrize("sql", [sql for sql in QUERIES if "ORDER BY" in sql.rsplit(")", 1)[-1]])
def test_what_is_sorted_comes_in_the_same_order(both: Both, sql: str) -> None:
    assert both.rows(sql, in_order=True)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_the_same_rows_on_both_engines(both: Both, table: str) -> None:
    rows = both.rows(f"SELECT * FROM {table}")
    assert {len(row) for row in rows} == {len(TABLES[table].columns)}


@pytest.mark.parametrize("period", ["minute", "hour", "day", "month"])
def test_counts_by_period_add_up_to_the_events(both: Both, period: str) -> None:
    table, mine = (
        f"key_verifications_per_{period}_v1",
        [e for e in verifications() if e[2].workspace_id == "ws_1"],
    )
    expected = [(len(mine), sum(event[5] for event in mine))]
    assert both.rows(f"SELECT sum(count), sum(spent_credits) FROM {table}") == expected
    assert (
        both.rows(f"SELECT sum(n), sum(s) FROM (SELECT count + 0 AS n, spent_credits AS s FROM {table})")
        == expected
    )
    by_key = both.rows(f"SELECT key_id, time, sum(count) AS n FROM {table} GROUP BY key_id, time")
    assert sum(row[2] for row in by_key) == len(mine)
    assert both.rows(f"SELECT outcome, max(count), count() FROM {table} GROUP BY outcome")
    assert both.rows(f"SELECT time, tags, sumIf(count, outcome = 'VALID') FROM {table} GROUP BY time, tags")
    assert both.rows(f"SELECT uniq(key_id), min(time), sum(count) / uniq(key_id) FROM {table}")
    assert both.rows(f"SELECT arrayJoin(tags) AS tag, sum(count) FROM {table} GROUP BY tag")
    assert both.rows(f"SELECT DISTINCT outcome FROM {table}")
    limits = f"ratelimits_per_{period}_v1"
    theirs = [event for event in ratelimits() if event[2].workspace_id == "ws_1"]
    assert both.rows(f"SELECT sum(total), sum(passed), sum(passed_tokens) FROM {limits}") == [
        (len(theirs), sum(e[4] for e in theirs), sum(e[10] for e in theirs if e[4]))
    ]
    assert both.rows(
        f"SELECT identifier, max(latency_p99), avg(latency_avg) FROM {limits} GROUP BY identifier"
    )


def test_names_of_the_answer_are_those_that_were_written(both: Both) -> None:
    from latchwork.domains.analytics.sql.fences import Fence
    from latchwork.domains.analytics.sql.reading import read

    fence = Fence("verifications", "ws_1", None, 0, NOW_MS)
    asked = read(
        f"SELECT outcome, count() AS n, sum(spent_credits), 1 + 1, `key_id` AS `a b` FROM {V} GROUP BY 1, 5",
        fence,
    )
    assert asked.names == ("outcome", "n", "sum(spent_credits)", "1 + 1", "a b")


def test_time_is_that_of_the_clock(both: Both) -> None:
    assert both.rows("SELECT now() AS a, today() AS b") == [(datetime(2026, 1, 4), date(2026, 1, 4))]


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT count() FROM {V} WHERE time >= {NOW_MS - 31 * DAY_MS}",
        f"SELECT count() FROM {V} WHERE {NOW_MS - 31 * DAY_MS} < time AND outcome = 'VALID'",
        f"SELECT count() FROM {V} WHERE time BETWEEN 1 AND 2",
        f"SELECT count() FROM {V} WHERE {AT} > now() - INTERVAL 40 DAY",
        f"SELECT count() FROM {V} WHERE time > toUnixTimestamp64Milli(now64() - toIntervalWeek(5 + 1))",
        f"SELECT count() FROM {V} WHERE {AT} >= toStartOfMonth(now() - INTERVAL 1 MONTH)",
        "SELECT sum(count) FROM key_verifications_per_hour_v1 WHERE time >= '2025-11-30 00:00:00'",
        "SELECT sum(count) FROM key_verifications_per_day_v1 WHERE time >= today() - 40",
        f"SELECT 1 FROM (SELECT key_id FROM {V} WHERE time > 0) AS x",
        f"SELECT 1 FROM {V} AS a INNER JOIN {V} AS b ON a.key_id = b.key_id WHERE b.time > 5",
    ],
)
def test_a_time_before_the_retention_is_refused(both: Both, sql: str) -> None:
    with pytest.raises(RangeExceedsRetention):
        both.rows(sql)


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT count() FROM {V}",
        f"SELECT count() FROM {V} WHERE time >= {NOW_MS - 30 * DAY_MS}",
        f"SELECT count() FROM {V} WHERE {AT} >= now() - INTERVAL 33 DAY",
        f"SELECT count() FROM {V} WHERE time > 5 OR time < 7",
        "SELECT sum(count) AS n FROM key_verifications_per_month_v1 WHERE time >= '2025-12-01'",
        "SELECT sum(count) AS n FROM key_verifications_per_day_v1 WHERE time >= toDate(now()) - 5",
    ],
)
def test_a_time_within_the_retention_is_not(both: Both, sql: str) -> None:
    assert both.rows(sql)[0][0] > 0


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "   -- nothing",
        "SELECT",
        "SELECT 'unended",
        f"SELECT count( FROM {V}",
        f"SELECT nothing FROM {V}",
        f"SELECT x.key_id FROM {V}",
        f"SELECT a AS b, b AS a FROM {V}",
        f"SELECT key_id FROM {V} AS a INNER JOIN {V} AS b ON a.key_id = b.key_id",
        f"SELECT a.key_id FROM {V} AS a INNER JOIN {V} AS a ON 1 = 1",
        f"SELECT a.key_id FROM {V} AS a, {V} AS b",
        f"SELECT a.key_id FROM {V} AS a CROSS JOIN {V} AS b",
        f"SELECT a.key_id FROM {V} AS a FULL JOIN {V} AS b ON a.key_id = b.key_id",
        f"SELECT a.key_id FROM {V} AS a ASOF JOIN {V} AS b ON a.key_id = b.key_id",
        f"SELECT a.key_id FROM {V} AS a ANY LEFT JOIN {V} AS b ON a.key_id = b.key_id",
        f"SELECT a.key_id FROM {V} AS a LEFT JOIN {V} AS b USING (key_id)",
        f"SELECT key_id, key_id FROM {V}",
        f"SELECT key_id FROM (SELECT key_id, outcome AS key_id FROM {V})",
        f"SELECT key_id, count() FROM {V}",
        f"SELECT key_id FROM {V} GROUP BY outcome",
        f"SELECT sum(count()) FROM {V} GROUP BY key_id",
        f"SELECT key_id FROM {V} WHERE count() > 1",
        f"SELECT key_id FROM {V} GROUP BY key_id ORDER BY outcome",
        f"SELECT outcome FROM {V} GROUP BY 2",
        f"SELECT outcome FROM {V} ORDER BY 2",
        f"SELECT outcome FROM {V} ORDER BY 'x'",
        f"SELECT outcome FROM {V} GROUP BY 1.5",
        f"SELECT ['a', NULL] AS x FROM {V}",
        f"SELECT (key_id IN (SELECT key_id FROM {V})) IN (SELECT 1 = 1) FROM {V}",
        f"SELECT (SELECT max(key_id) FROM {V}) IN (SELECT key_id FROM {V}) AS x FROM {V}",
        f"SELECT substring(key_id, 1, -1) FROM {V}",
        "SELECT toDate('2026-02-31') AS x",
        "SELECT toDateTime('2026-01-31 25:00:00') AS x",
        "SELECT toDate(-1) AS x",
        "SELECT toDateTime(5000000000) AS x",
        "SELECT toDate('1969-12-31') AS x",
        "SELECT today() - 30000 AS x",
        "SELECT now() + INTERVAL 100 YEAR AS x",
        f"SELECT 1 AS one FROM {V} HAVING 1 = 1",
        f"SELECT 2 AS d, outcome FROM {V} GROUP BY d",
        f"SELECT NULL AS x FROM {V} UNION ALL SELECT tags FROM {V}",
        f"SELECT key_id + 1 FROM {V}",
        f"SELECT key_id = 1 FROM {V}",
        f"SELECT tags = 'a' FROM {V}",
        f"SELECT time = '2026-01-01' FROM {V}",
        f"SELECT {AT} > 'yesterday' FROM {V}",
        f"SELECT {AT} > '2026-01-01T00:00:00+02:00' FROM {V}",
        f"SELECT toStartOfHour(time) FROM {V}",
        f"SELECT if(1 = 1, key_id, 1) FROM {V}",
        f"SELECT [1, 'a'] FROM {V}",
        f"SELECT latency % 2 FROM {V}",
        f"SELECT -key_id FROM {V}",
        f"SELECT now() + now() FROM {V}",
        f"SELECT INTERVAL 1 DAY FROM {V}",
        f"SELECT key_id FROM {V} WHERE key_id",
        f"SELECT key_id FROM {V} WHERE key_id IN ()",
        f"SELECT key_id FROM {V} WHERE key_id IN (SELECT key_id, outcome FROM {V})",
        f"SELECT key_id FROM {V} WHERE key_id IN (SELECT time FROM {V})",
        f"SELECT (SELECT key_id, outcome FROM {V}) FROM {V}",
        f"SELECT key_id FROM {V} WHERE EXISTS (SELECT 1 FROM {V})",
        f"SELECT key_id FROM {V} AS o WHERE key_id IN (SELECT key_id FROM {V} WHERE time = o.time)",
        f"SELECT key_id FROM {V} UNION ALL SELECT key_id, outcome FROM {V}",
        f"SELECT key_id FROM {V} UNION ALL SELECT time FROM {V}",
        f"SELECT key_id FROM {V} UNION SELECT key_id FROM {V}",
        f"(SELECT key_id FROM {V}) UNION ALL (SELECT key_id FROM {V}) ORDER BY outcome",
        f"(SELECT key_id FROM {V}) UNION ALL (SELECT key_id FROM {V}) ORDER BY 2",
        f"(SELECT key_id FROM {V}) UNION ALL (SELECT key_id FROM {V}) ORDER BY upper(key_id)",
        f"SELECT arrayJoin(tags), arrayJoin([1]) FROM {V}",
        f"SELECT arrayJoin(groupArray(key_id)) FROM {V}",
        "SELECT arrayJoin([1, 2])",
        "SELECT *",
        f"SELECT x.* FROM {V}",
        f"SELECT * EXCEPT (key_id) FROM {V}",
        f"SELECT * REPLACE (1 AS key_id) FROM {V}",
        f"SELECT COLUMNS('k') FROM {V}",
        f"SELECT count(key_id, outcome) FROM {V}",
        f"SELECT (key_id, outcome) FROM {V}",
        f"SELECT tags[1] FROM {V}",
        f"SELECT tags.1 FROM {V}",
        f"SELECT 99999999999999999999 FROM {V}",
        f"SELECT 1e999 FROM {V}",
        f"SELECT 0x10 FROM {V}",
        f"SELECT row_number() FROM {V}",
        f"SELECT key_id FROM {V} LIMIT key_id",
        f"SELECT key_id FROM {V} LIMIT -1",
        f"SELECT key_id FROM {V} LIMIT 1 BY key_id",
        f"SELECT key_id FROM {V} ORDER BY key_id LIMIT 1 WITH TIES",
        f"SELECT key_id FROM {V} ORDER BY key_id NULLS FIRST",
        f"SELECT key_id FROM {V} ORDER BY time WITH FILL",
        f"SELECT DISTINCT ON (key_id) key_id FROM {V}",
        f"SELECT key_id FROM {V} GROUP BY key_id WITH TOTALS",
        f"SELECT key_id FROM {V} GROUP BY ROLLUP(key_id)",
        f"SELECT key_id FROM {V} FINAL",
        f"SELECT key_id FROM {V} SAMPLE 0.1",
        f"SELECT key_id FROM {V} PREWHERE outcome = 'VALID'",
        f"SELECT key_id FROM {V} ARRAY JOIN tags AS tag",
        f"SELECT key_id FROM {V} QUALIFY row_number() OVER (ORDER BY time) = 1",
        f"SELECT sum(time) OVER w FROM {V} WINDOW w AS (ORDER BY time)",
        f"SELECT sum(time) OVER (ORDER BY time RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM {V}",
        f"SELECT substring(key_id, 0) FROM {V}",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r",
        f"WITH 5 AS n SELECT n FROM {V}",
        f"SELECT {{p:String}} FROM {V}",
        f"SELECT @@version FROM {V}",
        "SELECT " + "(" * 200 + "1" + ")" * 200,
        f"SELECT {' + '.join(['1'] * 3100)} FROM {V}",
        f"SELECT {', '.join(f'1 AS c{n}' for n in range(101))} FROM {V}",
        "SELECT " + ", ".join(f"c{n} + c{n} AS c{n + 1}" for n in range(1, 30)) + f", 1 AS c1 FROM {V}",
        "WITH t0 AS (SELECT 1 AS n), "
        + ", ".join(
            f"t{n} AS (SELECT a.n FROM t{n - 1} AS a JOIN t{n - 1} AS b ON a.n = b.n)" for n in range(1, 20)
        )
        + " SELECT n FROM t19",
    ],
)
def test_what_is_no_query_or_cannot_be_answered_is_refused(both: Both, sql: str) -> None:
    with pytest.raises((InvalidQuery, InvalidFunction)):
        both.rows(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 5 % 0",
        "SELECT toInt64('x')",
        "SELECT toInt64('1.5')",
        "SELECT toInt64(1e30)",
        "SELECT toInt64(0.0 / 0)",
        f"SELECT toInt32(time) FROM {V}",
        f"SELECT time * time FROM {V}",
        f"SELECT sum(time * 100000) FROM {V}",
        f"SELECT sumIf(time * 100000, true) OVER () FROM {V}",
        f"SELECT [if(spent_credits = 1, NULL, 'a')] FROM {V}",
    ],
)
def test_a_value_that_cannot_be_computed_is_an_invalid_query(both: Both, sql: str) -> None:
    with pytest.raises(InvalidQuery):
        both.rows(sql)


@pytest.mark.parametrize("name", ["KEY_VERIFICATIONS_V1", "verifications", "spaces", "a.b"])
def test_other_tables_are_not_there(both: Both, name: str) -> None:
    with pytest.raises(InvalidTable):
        both.rows(f"SELECT 1 AS key_verifications_v1 FROM {name} AS ratelimit_v1")

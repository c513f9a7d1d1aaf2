"""The same events in DuckDB and in ClickHouse, and the same questions to both."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from latchwork.adapters.clickhouse import SETTINGS, ClickHouseWriter
from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.domains.analytics.batches import Draft
from latchwork.domains.analytics.batches import read as read_batch
from latchwork.domains.analytics.records import Row
from latchwork.domains.analytics.sql.fences import Fence
from latchwork.domains.analytics.sql.reading import read
from latchwork.domains.analytics.sql.tables import TABLES, Table
from latchwork.domains.analytics.sql.tree import Question
from latchwork.domains.analytics.sql.types import Type
from tests.domains.analytics.recordings import DAY_MS, HOUR_MS, NOW_MS, Namespace, Subject
from tests.engines.clickhouse import ClickHouse, clickhouse

ASKED_MS = NOW_MS + 3 * DAY_MS
_WITHIN_S = 60.0
_TYPES = {
    "int": "Int64",
    "float": "Float64",
    "string": "String",
    "bool": "Bool",
    "date": "Date",
    "datetime": "DateTime('UTC')",
    "list": "Array(String)",
}


def verifications() -> list[Row]:
    """A few dozen verifications of two workspaces, over two days, with everything that they may carry."""
    people = [
        ("", ""),
        ("id_1", "ann"),
        ("id_2", "Bob's \\ 100%"),
        ("id_3", '{"plan": "pro", "n": {"é": "ü"}}'),
    ]
    subjects = [
        Subject(workspace, f"ks_{space}", f"key_{workspace[-1]}{space}{number}", *person)
        for workspace in ("ws_1", "ws_2")
        for space in (1, 2)
        for number, person in enumerate(people)
    ]
    outcomes = ("VALID", "VALID", "RATE_LIMITED", "EXPIRED", "USAGE_EXCEEDED")
    tags: list[list[str]] = [[], ["a"], ["b", "a"], ["path=/v1/chat", "Ünïcode"], ["  spaced ", "a", "a"], []]
    return [
        (
            NOW_MS + n * HOUR_MS // 3 + n * 37,
            f"req_{n:09d}",
            subjects[n * 7 % len(subjects)],
            outcomes[n % len(outcomes)],
            tags[n % len(tags)],
            n % 4,
            n * 13 % 1000,
        )
        for n in range(140)
    ]


def ratelimits() -> list[Row]:
    """A few dozen limits in two namespaces of each of two workspaces."""
    namespaces = [Namespace(f"rlns_{w}{n}", f"ws_{w}") for w in (1, 2) for n in (1, 2)]
    return [
        (
            NOW_MS + n * HOUR_MS // 4 + n * 11,
            f"req_{n:09d}",
            namespaces[n % 4],
            ("user_1", "user_2", "10.0.0.1")[n % 3],
            n % 5 != 0,
            n * 7 % 300,
            None if n % 2 else "rlor_1",
            10,
            n % 10,
            NOW_MS + n * 1000,
            n % 3,
        )
        for n in range(90)
    ]


class Both:
    """Asks both engines, and answers with the rows on which they agree."""

    def __init__(self, duckdb: DuckDbAnalytics, clickhouse: ClickHouse) -> None:
        self._duckdb = duckdb
        self._clickhouse = clickhouse

    def rows(
        self,
        sql: str,
        spaces: Sequence[str] | None = None,
        *,
        workspace_id: str = "ws_1",
        in_order: bool = False,
    ) -> list[tuple[Any, ...]]:
        """The rows that both answer, sorted unless `in_order`."""
        family = "ratelimits" if "ratelimits_" in sql else "verifications"
        allowed = None if spaces is None else tuple(spaces)
        fence = Fence(family, workspace_id, allowed, NOW_MS - 30 * DAY_MS, ASKED_MS)  # type: ignore[arg-type]
        question = read(sql, fence)
        ours, theirs = self.of_duckdb(question), self.of_clickhouse(question)
        if not in_order:
            ours, theirs = sorted(ours, key=repr), sorted(theirs, key=repr)
        assert ours == theirs, f"DuckDB and ClickHouse disagree about {sql}"
        return ours

    def of_duckdb(self, question: Question) -> list[tuple[Any, ...]]:
        """What DuckDB answers."""
        rows = self._duckdb.ask(question, _WITHIN_S)
        return [_row(question, row) for row in rows]

    def of_clickhouse(self, question: Question) -> list[tuple[Any, ...]]:
        """What ClickHouse answers."""
        rows = self._clickhouse.rows(ClickHouseWriter().query(question.query), SETTINGS)
        return [_row(question, row) for row in rows]


@contextmanager
def both(directory: Path) -> Iterator[Both]:
    """Both engines, with the events."""
    store = DuckDbAnalytics(directory / "analytics.duckdb")
    store.open()
    events = verifications(), ratelimits()
    store.ingest(read_batch("b_1", Draft().frame(*events)))
    with clickhouse() as engine:
        for table in TABLES.values():
            _create(engine, table)
        _insert(engine, TABLES["key_verifications_v1"], [_verification(row) for row in events[0]])
        _insert(engine, TABLES["ratelimits_v1"], [_ratelimit(row) for row in events[1]])
        for table in TABLES.values():
            if table.period is not None:
                _roll_up(engine, table)
        yield Both(store, engine)
    store.close()


def _row(question: Question, row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(_value(value, type_) for value, type_ in zip(row, question.types, strict=True))


def _value(value: Any, type_: Type) -> Any:
    """A value as Python has it, whichever engine told it; lists sorted, floats cut to nine digits."""
    if value is None:
        return None
    match type_.kind:
        case "list":
            assert type_.of is not None
            return sorted((_value(each, type_.of) for each in value), key=repr)
        case "float":
            return float(f"{float(value):.9g}") if math.isfinite(float(value)) else None
        case "bool":
            return bool(value)
        case "datetime" | "moment":
            return value if isinstance(value, datetime) else datetime.fromisoformat(value)
        case "date":
            return value if isinstance(value, date) else date.fromisoformat(value)
    assert isinstance(value, int if type_.kind == "int" else str), (value, type_)
    return value


def _create(engine: ClickHouse, table: Table) -> None:
    columns = ", ".join(f'"{name}" {_TYPES[type_.kind]}' for name, type_ in table.columns.items())
    engine.rows(f'CREATE TABLE "{table.name}" ({columns}) ENGINE = MergeTree ORDER BY time')


def _insert(engine: ClickHouse, table: Table, rows: list[list[object]]) -> None:
    told = ", ".join("(" + ", ".join(map(_literal, row)) + ")" for row in rows)
    engine.rows(f'INSERT INTO "{table.name}" VALUES {told}')


def _literal(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)


def _verification(row: Row) -> list[object]:
    time_ms, request_id, subject, outcome, tags, spent, latency_us = row
    whose = [
        subject.workspace_id,
        subject.keyspace_id,
        subject.identity_id,
        subject.external_id,
        subject.key_id,
    ]
    return [request_id, time_ms, *whose, outcome, tags, "", "api", "", spent, latency_us / 1000]


def _ratelimit(row: Row) -> list[object]:
    time_ms, request_id, namespace, identifier, passed, latency_us, override_id, *rest = row
    of = [namespace.workspace_id, namespace.id, identifier, passed]
    return [request_id, time_ms, *of, latency_us / 1000, override_id or "", *rest]


def _roll_up(engine: ClickHouse, table: Table) -> None:
    """Fill a table of counts as its documentation says, in ClickHouse's own words."""
    moment = "toDateTime(fromUnixTimestamp64Milli(time, 'UTC'), 'UTC')"
    bucket = f"toStartOf{str(table.period).capitalize()}({moment})"
    counted = {
        "time": bucket,
        "count": "count()",
        "spent_credits": "sum(spent_credits)",
        "passed": "countIf(passed)",
        "total": "count()",
        "total_tokens": "sum(tokens)",
        "passed_tokens": "sumIf(tokens, passed)",
        "latency_avg": "avg(latency)",
        "latency_p75": "quantileExactInclusive(0.75)(latency)",
        "latency_p99": "quantileExactInclusive(0.99)(latency)",
    }
    raw = "key_verifications_v1" if table.family == "verifications" else "ratelimits_v1"
    keys = [f'r."{name}"' if name not in counted else bucket for name in table.columns if name not in counted]
    items = [counted.get(name, f'r."{name}"') for name in table.columns]
    grouped = ", ".join([bucket, *keys])
    engine.rows(f'INSERT INTO "{table.name}" SELECT {", ".join(items)} FROM "{raw}" AS r GROUP BY {grouped}')

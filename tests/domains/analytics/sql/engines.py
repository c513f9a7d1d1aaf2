"""The same events in DuckDB and in ClickHouse, and the same questions to both."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from random import Random
from typing import Any

from latchwork.adapters.clickhouse import ClickHouseAnalytics
from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.domains.analytics import AnalyticsStore, InvalidQuery
from latchwork.domains.analytics.batches import Draft
from latchwork.domains.analytics.batches import read as read_batch
from latchwork.domains.analytics.records import Row
from latchwork.domains.analytics.sql.fences import Fence
from latchwork.domains.analytics.sql.reading import read
from latchwork.domains.analytics.sql.tree import Question
from latchwork.domains.analytics.sql.types import Type
from tests.domains.analytics.recordings import DAY_MS, HOUR_MS, NOW_MS, Namespace, Subject

ASKED_MS = NOW_MS + 3 * DAY_MS
_WITHIN_S = 60.0


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


def random_verifications(workspace_id: str, events: int) -> list[Row]:
    """So many verifications of a workspace, always the same; moments, people and the rest repeat themselves."""
    of = Random(workspace_id)
    people = [("", ""), ("id_1", "ann"), ("id_2", "Ann é"), ("id_3", '{"plan": "%_"}')]
    subjects = [Subject(workspace_id, f"ks_{n % 2}", f"key_{n}", *people[n % len(people)]) for n in range(5)]
    moments = [NOW_MS + of.randrange(3 * DAY_MS) for _ in range(events)]
    return [
        (
            of.choice(moments),
            f"req_{n:09d}",
            of.choice(subjects),
            of.choice(("VALID", "VALID", "EXPIRED", "DISABLED")),
            of.sample(("a", "b", "", "é", "a%"), of.randrange(4)),
            of.randrange(4),
            of.randrange(5_000),
        )
        for n in range(events)
    ]


RANDOM = {
    f"ws_random_{events}": random_verifications(f"ws_random_{events}", events) for events in (0, 1, 6, 40)
}
"""Verifications of further workspaces."""


class Both:
    """Asks both engines, and answers with the rows on which they agree."""

    def __init__(self, duckdb: AnalyticsStore, clickhouse: AnalyticsStore) -> None:
        self._stores = duckdb, clickhouse

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
        ours, theirs = (_asked(store, question) for store in self._stores)
        if isinstance(ours, InvalidQuery) and isinstance(theirs, InvalidQuery):
            assert ours.detail == theirs.detail
            raise ours
        assert isinstance(ours, list) and isinstance(theirs, list), f"{ours!r} and {theirs!r} of {sql}"
        if not in_order:
            ours, theirs = sorted(ours, key=repr), sorted(theirs, key=repr)
        assert ours == theirs, f"DuckDB and ClickHouse disagree about {sql}"
        return ours


@contextmanager
def both(directory: Path, clickhouse_url: str) -> Iterator[Both]:
    """Both engines, with the events."""
    stores = DuckDbAnalytics(directory / "analytics.duckdb"), ClickHouseAnalytics(clickhouse_url)
    for store in stores:
        store.open()
        store.ingest(read_batch("b_1", Draft().frame(verifications(), ratelimits())))
        store.ingest(read_batch("b_2", Draft().frame([row for rows in RANDOM.values() for row in rows], [])))
    yield Both(*stores)
    for store in stores:
        store.close()


def _asked(store: AnalyticsStore, question: Question) -> list[tuple[Any, ...]] | InvalidQuery:
    try:
        return [_row(question, row) for row in store.ask(question, _WITHIN_S)]
    except InvalidQuery as cannot_be_computed:
        return cannot_be_computed


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
            assert isinstance(value, datetime), value
            return value
        case "date":
            assert type(value) is date, value
            return value
    assert isinstance(value, int if type_.kind == "int" else str), (value, type_)
    return value

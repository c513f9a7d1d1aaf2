"""DuckDB and ClickHouse count the same, whatever was recorded and however often a batch arrives."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchwork.adapters.clickhouse import ClickHouseAnalytics
from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.domains.analytics import AnalyticsStore, Counts, VerificationsQuestion
from latchwork.domains.analytics.batches import Draft, read
from latchwork.domains.analytics.records import OUTCOMES, Row
from tests.domains.analytics.recordings import (
    HOUR_MS,
    NOW_MS,
    Namespace,
    Subject,
    limit,
    question,
    verification,
)
from tests.engines.clickhouse_http import ClickHouseServer

_WITHIN_S = 30.0
_TAGS = ("a", "b'", "\\", "\0", "é🔑", "", "\n\t")
_PEOPLE = (("", ""), ("id_1", "ann"), ("id_2", "b\\'ob"))
_TIMES = st.integers(NOW_MS - 30 * HOUR_MS, NOW_MS + 60 * HOUR_MS)


@st.composite
def batches(draw: st.DrawFn, workspace_id: str) -> list[tuple[str, bytes]]:
    """Batches of events; some are there twice."""
    subjects = [
        Subject(workspace_id, f"ks_{space}", f"key_{number}", *person)
        for space in (1, 2)
        for number, person in enumerate(_PEOPLE)
    ]
    event = st.builds(
        verification,
        time_ms=_TIMES,
        subject=st.sampled_from(subjects),
        outcome=st.sampled_from(list(OUTCOMES.values())),
        tags=st.lists(st.sampled_from(_TAGS), max_size=4),
    )
    namespace = Namespace(f"rlns_{workspace_id}", workspace_id)
    limits = st.builds(limit, time_ms=_TIMES).map(lambda row: (*row[:2], namespace, *row[3:]))
    events: st.SearchStrategy[list[Row]] = st.lists(event, max_size=25)
    made = [
        (uuid4().hex, Draft().frame(draw(events), draw(st.lists(limits, max_size=5))))
        for _ in range(draw(st.integers(1, 3)))
    ]
    return made + draw(st.lists(st.sampled_from(made), max_size=2))


_QUESTIONS = st.builds(
    lambda span, group_by, keys, external_id, tags: question(
        start_ms=min(span),
        end_ms=max(span) + 1,
        group_by=frozenset(group_by),
        key_ids=tuple(keys),
        external_id=external_id,
        tags=tuple(tags),
    ),
    st.tuples(_TIMES, _TIMES),
    st.sets(st.sampled_from(["key", "identity", "tags", "month", "day", "hour", "minute"]), max_size=3)
    | st.sets(st.sampled_from(["key", "tag", "day"]), max_size=3),
    st.lists(st.sampled_from(["key_0", "key_1", "key_2", "no'ne"]), max_size=2),
    st.none() | st.sampled_from(["ann", "b\\'ob"]),
    st.lists(st.sampled_from(_TAGS), max_size=2),
)


@pytest.fixture(scope="module")
def stores(
    tmp_path_factory: pytest.TempPathFactory, clickhouse: ClickHouseServer
) -> Iterator[list[AnalyticsStore]]:
    """A store of each technology. Every example has a workspace of its own in them."""
    path = tmp_path_factory.mktemp("counting") / "analytics.duckdb"
    made: list[AnalyticsStore] = [DuckDbAnalytics(path), ClickHouseAnalytics(clickhouse.url("counting"))]
    with ExitStack() as stack:
        for store in made:
            store.open()
            stack.enter_context(closing(store))
        yield made


def _in_order(found: list[Counts]) -> list[str]:
    return sorted(map(repr, found))


@settings(max_examples=15)
@given(data=st.data())
def test_both_count_the_same(stores: list[AnalyticsStore], data: st.DataObject) -> None:
    workspace_id = f"ws_{uuid4().hex}"
    for name, frame in data.draw(batches(workspace_id)):
        for store in stores:
            store.ingest(read(name, frame))
    asked: list[VerificationsQuestion] = data.draw(st.lists(_QUESTIONS, min_size=2, max_size=4))
    for each in asked:
        mine = question(
            **{name: getattr(each, name) for name in each.__slots__} | {"workspace_id": workspace_id}
        )
        found, theirs = (_in_order(store.count(mine, _WITHIN_S)) for store in stores)
        assert [row for row in found if "total=0" not in row] == theirs
    start_ms, end_ms = sorted((data.draw(_TIMES), data.draw(_TIMES)))
    usages = [store.usage(workspace_id, start_ms, end_ms, _WITHIN_S) for store in stores]
    assert usages[0] == usages[1]
    tag = data.draw(st.sampled_from(_TAGS))
    keys = [store.keys_tagged(workspace_id, tag, 2, _WITHIN_S) for store in stores]
    assert keys[0] == keys[1]

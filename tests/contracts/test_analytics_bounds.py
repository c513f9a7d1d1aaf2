"""A user's query may take so much and no more, and tells nothing of the engine when it fails."""

import pytest

from latchwork.domains.analytics import AnalyticsStore, InvalidQuery, QueryMemoryExceeded, QueryTimeout
from latchwork.domains.analytics.batches import Draft, read
from latchwork.domains.analytics.sql.answers import rendered
from latchwork.domains.analytics.sql.fences import Fence
from latchwork.domains.analytics.sql.reading import read as understood
from latchwork.domains.analytics.sql.tree import Question
from tests.domains.analytics.recordings import DAY_MS, NOW_MS, verification

_EACH_WITH_EACH = "FROM key_verifications_v1 AS a INNER JOIN key_verifications_v1 AS b ON a.key_id = b.key_id"


def _question(sql: str) -> Question:
    return understood(sql, Fence("verifications", "ws_1", None, NOW_MS - DAY_MS, NOW_MS + DAY_MS))


def _filled(store: AnalyticsStore, events: int) -> None:
    rows = [verification(NOW_MS + n, request_id=f"req_{n:09d}") for n in range(events)]
    store.ingest(read("b_1", Draft().frame(rows, [])))


def test_a_query_that_takes_too_long_is_stopped(store: AnalyticsStore) -> None:
    _filled(store, 30_000)
    asked = _question(f"SELECT sum(length(concat(a.request_id, b.request_id))) AS n {_EACH_WITH_EACH}")
    with pytest.raises(QueryTimeout):
        list(store.ask(asked, 1.0))


def test_a_query_that_needs_too_much_memory_is_stopped(store: AnalyticsStore) -> None:
    _filled(store, 5_000)
    asked = _question(f"SELECT groupArray(concat(a.request_id, b.request_id)) AS n {_EACH_WITH_EACH}")
    with pytest.raises(QueryMemoryExceeded):
        list(store.ask(asked, 60.0))


@pytest.mark.parametrize("what", ["toInt64(request_id)", "toDate(request_id)", "time % (time - time)"])
def test_a_value_that_cannot_be_computed_is_the_querys_fault(store: AnalyticsStore, what: str) -> None:
    _filled(store, 10)
    with pytest.raises(InvalidQuery, match="A value of the query cannot be computed or converted"):
        list(store.ask(_question(f"SELECT {what} AS x FROM key_verifications_v1"), 10.0))


@pytest.mark.parametrize("what", ["b.request_id", "[]", "if(1 = 2, 1, NULL)"])
def test_an_answer_that_is_too_large_is_refused_whatever_is_in_it(store: AnalyticsStore, what: str) -> None:
    _filled(store, 2_000)
    asked = _question(f"SELECT {what} AS x {_EACH_WITH_EACH}")
    with pytest.raises(QueryMemoryExceeded, match="larger than 4 MiB"):
        rendered(asked, store.ask(asked, 60.0))


def test_an_answer_can_be_left_half_way(store: AnalyticsStore) -> None:
    _filled(store, 5_000)
    rows = store.ask(_question(f"SELECT b.request_id {_EACH_WITH_EACH} LIMIT 1000000"), 60.0)
    assert next(rows)
    rows.close()
    assert list(store.ask(_question("SELECT count() AS n FROM key_verifications_v1"), 10.0)) == [(5_000,)]

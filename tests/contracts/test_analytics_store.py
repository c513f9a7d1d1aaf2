"""What every analytics store keeps to."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.domains.analytics import AnalyticsStore
from tests.domains.analytics.recordings import NOW_MS, question

WITHIN_S = 10.0


@pytest.fixture(params=["duckdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnalyticsStore]:
    """An open, empty store; a second technology is one more name here."""
    opened: AnalyticsStore = {"duckdb": lambda: DuckDbAnalytics(tmp_path / "a.duckdb", tmp_path / "in")}[
        request.param
    ]()
    opened.open()
    yield opened
    opened.close()


def _line(time_ms: int = NOW_MS, **changes: object) -> bytes:
    event = {
        "request_id": "req_1",
        "time": time_ms,
        "workspace_id": "ws_1",
        "key_space_id": "ks_1",
        "identity_id": "",
        "external_id": "",
        "key_id": "key_1",
        "outcome": "VALID",
        "region": "",
        "source": "api",
        "app_id": "",
        "tags": [],
        "spent_credits": 0,
        "latency": 0.5,
    }
    return json.dumps(event | changes).encode() + b"\n"


def _total(store: AnalyticsStore) -> int:
    return store.count(question(), WITHIN_S)[0].total


def test_a_batch_given_twice_in_a_row_is_stored_once(store: AnalyticsStore) -> None:
    for _ in range(2):
        store.ingest("b_1", _line() + _line(), b"")
    assert _total(store) == 2


def test_batches_of_different_names_are_different_events(store: AnalyticsStore) -> None:
    for name in ("b_1", "b_2"):
        store.ingest(name, _line(), b"")
    assert _total(store) == 2


def test_what_was_stored_is_there_when_opened_again(store: AnalyticsStore) -> None:
    store.ingest("b_1", _line(), b"")
    store.close()
    store.open()
    store.ingest("b_1", _line(), b"")
    assert _total(store) == 1


def test_a_workspace_sees_only_its_own_events(store: AnalyticsStore) -> None:
    store.ingest("b_1", _line(workspace_id="ws_2"), b"")
    assert _total(store) == 0


def test_pruning_deletes_what_is_older_and_nothing_else(store: AnalyticsStore) -> None:
    store.ingest("b_1", _line(NOW_MS) + _line(NOW_MS + 1), b"")
    store.prune(NOW_MS + 1)
    assert _total(store) == 1


def test_a_batch_that_cannot_be_read_leaves_nothing_behind(store: AnalyticsStore) -> None:
    with pytest.raises(Exception, match=r"."):
        store.ingest("b_1", _line() + b'{"time": "no time"}\n', b"")
    assert _total(store) == 0
    store.ingest("b_1", _line(), b"")
    assert _total(store) == 1

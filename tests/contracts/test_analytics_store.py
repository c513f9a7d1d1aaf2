"""What every analytics store keeps to."""

import pytest

from latchwork.domains.analytics import AnalyticsStore, BadBatch, Batch
from latchwork.domains.analytics.batches import Draft, read
from latchwork.domains.analytics.records import Row, Usage
from tests.domains.analytics.recordings import HOUR_MS, NOW_MS, Subject, limit, question, verification

WITHIN_S = 10.0


def _batch(name: str, *events: Row, limits: tuple[Row, ...] = ()) -> Batch:
    return read(name, Draft().frame(events, limits))


def _total(store: AnalyticsStore) -> int:
    return store.count(question(), WITHIN_S)[0].total


def test_a_batch_given_twice_is_stored_once(store: AnalyticsStore) -> None:
    for name in ("b_1", "b_1", "b_2", "b_1"):
        store.ingest(_batch(name, verification(), verification()))
    assert _total(store) == 4


def test_batches_of_different_names_are_different_events(store: AnalyticsStore) -> None:
    for name in ("b_1", "b_2"):
        store.ingest(_batch(name, verification()))
    assert _total(store) == 2


def test_a_batch_that_may_come_again_is_stored_once_after_others_were_forgotten(
    store: AnalyticsStore,
) -> None:
    for name in ("b_1", "b_2"):
        store.ingest(_batch(name, verification()))
    store.forget(["b_2"])
    store.ingest(_batch("b_2", verification()))
    assert _total(store) == 2


def test_what_was_stored_is_there_when_opened_again(store: AnalyticsStore) -> None:
    store.ingest(_batch("b_1", verification()))
    store.close()
    store.open()
    store.ingest(_batch("b_1", verification()))
    assert _total(store) == 1


def test_a_batch_of_limits_alone_is_stored(store: AnalyticsStore) -> None:
    for _ in range(2):
        store.ingest(_batch("b_1", limits=(limit(), limit())))
    assert store.count(question(), WITHIN_S) == []
    assert store.usage("ws_1", 0, 2 * NOW_MS, WITHIN_S) == Usage(0, 2)


def test_a_workspace_sees_only_its_own_events(store: AnalyticsStore) -> None:
    store.ingest(_batch("b_1", verification(subject=Subject(workspace_id="ws_2"))))
    assert store.count(question(), WITHIN_S) == []


def test_a_key_whose_identity_changed_is_counted_under_both(store: AnalyticsStore) -> None:
    for name, identity in (("b_1", ""), ("b_2", "id_1"), ("b_3", "")):
        subject = Subject(identity_id=identity, external_id=identity and "ann")
        store.ingest(_batch(name, verification(subject=subject)))
    by_key = question(group_by=frozenset({"key"}))
    assert [(counts.key_id, counts.total) for counts in store.count(by_key, WITHIN_S)] == [("key_1", 3)]
    by_identity = question(group_by=frozenset({"identity"}))
    assert [(c.external_id, c.total) for c in store.count(by_identity, WITHIN_S)] == [("ann", 1)]


@pytest.mark.parametrize("shift_ms", [0, 1, HOUR_MS // 2, HOUR_MS - 1])
def test_whole_and_broken_hours_count_each_event_once(store: AnalyticsStore, shift_ms: int) -> None:
    times = [NOW_MS + n * HOUR_MS // 4 for n in range(16)]
    store.ingest(_batch("b_1", *(verification(time_ms) for time_ms in times)))
    for start_ms in (NOW_MS + shift_ms, NOW_MS + HOUR_MS + shift_ms):
        for end_ms in (start_ms + 1, start_ms + HOUR_MS, start_ms + 3 * HOUR_MS):
            asked = question(start_ms=start_ms, end_ms=end_ms)
            counted = sum(counts.total for counts in store.count(asked, WITHIN_S))
            assert counted == sum(start_ms <= time_ms < end_ms for time_ms in times)


def test_pruning_deletes_what_is_older_and_nothing_else(store: AnalyticsStore) -> None:
    store.ingest(_batch("b_1", verification(NOW_MS, tags=["old"]), verification(NOW_MS + 1, tags=["new"])))
    store.prune(NOW_MS + 1)
    by_key = question(group_by=frozenset({"key"}))
    assert store.count(by_key, WITHIN_S)[0].total == 1
    by_tag = question(group_by=frozenset({"tag"}))
    assert [counts.tag for counts in store.count(by_tag, WITHIN_S)] == ["new"]


def test_a_batch_that_cannot_be_read_leaves_nothing_behind(store: AnalyticsStore) -> None:
    bad = _batch("b_1", verification(tags=["a"]), verification())
    bad.tables["tagsets"].columns["tags"] = (
        read("b_2", Draft().frame([verification()], [])).tables["subjects"].columns["key_id"]
    )
    with pytest.raises(BadBatch):
        store.ingest(bad)
    assert store.count(question(), WITHIN_S) == []
    store.ingest(_batch("b_1", verification()))
    assert _total(store) == 1


def test_usage_counts_the_operations_of_a_workspace_from_start_to_before_end(store: AnalyticsStore) -> None:
    moments = [NOW_MS - 1, NOW_MS, NOW_MS + 1, NOW_MS + 2 * HOUR_MS, NOW_MS + 3 * HOUR_MS]
    spaces = [Subject(keyspace_id="ks_1"), Subject(keyspace_id="ks_2"), Subject(workspace_id="ws_2")]
    events = [verification(moment, subject) for moment in moments for subject in spaces]
    store.ingest(_batch("b_1", *events, limits=tuple(limit(moment) for moment in moments)))
    for start_ms, end_ms, expected in (
        (NOW_MS, NOW_MS + 3 * HOUR_MS, 3),
        (NOW_MS - 1, NOW_MS + 3 * HOUR_MS + 1, 5),
        (NOW_MS + 1, NOW_MS + 2 * HOUR_MS, 1),
        (NOW_MS + 1, NOW_MS + 2, 1),
        (NOW_MS + 2, NOW_MS + 3, 0),
    ):
        assert store.usage("ws_1", start_ms, end_ms, WITHIN_S) == Usage(2 * expected, expected)
    assert store.usage("ws_2", 0, NOW_MS * 2, WITHIN_S) == Usage(5, 0)
    assert store.usage("ws_3", 0, NOW_MS * 2, WITHIN_S) == Usage(0, 0)


def test_the_keys_of_a_tag_are_those_of_the_workspace_and_no_more_than_asked_for(
    store: AnalyticsStore,
) -> None:
    for key_id, workspace_id, tags in (
        ("key_2", "ws_1", ["eu", "web"]),
        ("key_1", "ws_1", ["eu"]),
        ("key_1", "ws_1", ["eu"]),
        ("key_3", "ws_1", ["eur"]),
        ("key_4", "ws_2", ["eu"]),
    ):
        subject = Subject(key_id=key_id, workspace_id=workspace_id)
        store.ingest(_batch(f"b_{key_id}", verification(subject=subject, tags=tags)))
    assert store.keys_tagged("ws_1", "eu", 10, WITHIN_S) == ["key_1", "key_2"]
    assert store.keys_tagged("ws_1", "eu", 1, WITHIN_S) == ["key_1"]
    assert store.keys_tagged("ws_2", "web", 10, WITHIN_S) == []


def test_one_workspace_is_pruned_by_itself_in_whole_hours(store: AnalyticsStore) -> None:
    moments = (NOW_MS - 1, NOW_MS, NOW_MS + HOUR_MS)
    for workspace_id in ("ws_1", "ws_2"):
        events = [verification(moment, Subject(workspace_id=workspace_id)) for moment in moments]
        store.ingest(_batch(f"b_{workspace_id}", *events, limits=tuple(limit(moment) for moment in moments)))
    store.prune(NOW_MS + 5, "ws_1")
    assert store.usage("ws_1", 0, 2 * NOW_MS, WITHIN_S) == Usage(2, 4)  # the limits of both were one's
    assert store.usage("ws_2", 0, 2 * NOW_MS, WITHIN_S) == Usage(3, 0)

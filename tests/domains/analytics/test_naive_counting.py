"""The database counts what a few lines of Python count."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchwork.domains.analytics.records import Group, Row
from tests.domains.analytics.recordings import HOUR_MS, NOW_MS, Subject, question, recording, verification

_SUBJECTS = [
    Subject(
        workspace, key_id=f"key_{number}", identity_id=identity, external_id=identity and f"ext_{identity}"
    )
    for workspace in ("ws_1", "ws_2")
    for number, identity in enumerate(("", "id_1", "id_1", "id_2"))
]
_EVENTS = st.lists(
    st.builds(
        verification,
        time_ms=st.integers(NOW_MS, NOW_MS + 3 * HOUR_MS - 1),
        subject=st.sampled_from(_SUBJECTS),
        outcome=st.sampled_from(["VALID", "RATE_LIMITED", "EXPIRED"]),
        tags=st.lists(st.sampled_from(["a", "b", "\0", "é🔑"]), max_size=3),
    ),
    max_size=40,
)


def _keys(event: Row, group: Group) -> list[Any]:
    """The groups an event belongs to."""
    time_ms, _, subject, _, tags, _, _ = event
    if group == "key":
        return [subject.key_id]
    if group == "identity":
        return [subject.identity_id] if subject.identity_id else []
    if group == "tag":
        return sorted(set(tags))
    return [tuple(sorted(tags))] if group == "tags" else [time_ms - time_ms % HOUR_MS]


@pytest.mark.parametrize("group", ["key", "identity", "tag", "tags", "hour"])
@settings(max_examples=8, deadline=None)
@given(events=_EVENTS)
async def test_counts_by_any_group_are_those_of_a_naive_count(group: Group, events: list[Row]) -> None:
    mine = [event for event in events if event[2].workspace_id == "ws_1"]
    expected = Counter((key, event[3]) for event in mine for key in _keys(event, group))
    with TemporaryDirectory() as directory:
        async with recording(Path(directory)) as analytics:
            for event in events:
                analytics.verifications.append(event)
            asked = question(end_ms=NOW_MS + 3 * HOUR_MS, group_by=frozenset({group}))
            rows = await analytics.get_verifications(asked)
    attribute = {"key": "key_id", "identity": "identity_id", "hour": "time_ms"}.get(group, group)
    found = Counter(
        {
            (getattr(row, attribute), outcome): row.outcomes[name]
            for row in rows
            for name, outcome in (("valid", "VALID"), ("rateLimited", "RATE_LIMITED"), ("expired", "EXPIRED"))
        }
    )
    assert +found == expected

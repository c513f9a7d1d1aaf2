"""What is counted, and for whom."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from latchwork.domains.analytics import Analytics, AnalyticsNotConfigured, BadQuestion
from latchwork.domains.analytics.records import OUTCOMES, Group
from latchwork.domains.analytics.rules import MOST_KEYS, check_keys
from latchwork.kernel.clock import ManualClock
from tests.domains.analytics.recordings import (
    DAY_MS,
    HOUR_MS,
    NOW_MS,
    Subject,
    question,
    recording,
    verification,
)


def _groups(*names: Group) -> frozenset[Group]:
    return frozenset(names)


async def test_every_outcome_is_counted_under_its_own_name(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        for times, outcome in enumerate(OUTCOMES.values(), start=1):
            for _ in range(times):
                analytics.verifications.append(verification(outcome=outcome))
        counts = (await analytics.get_verifications(question()))[0]
        assert counts.outcomes == {name: times for times, name in enumerate(OUTCOMES, start=1)}
        assert counts.total == sum(range(1, len(OUTCOMES) + 1))


async def test_no_events_without_groups_are_one_row_of_zeros(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        rows = await analytics.get_verifications(question())
        assert [(row.total, row.time_ms) for row in rows] == [(0, None)]


async def test_a_question_sees_what_was_appended_before_it(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        for expected in (1, 2, 3):
            analytics.verifications.append(verification())
            assert (await analytics.get_verifications(question()))[0].total == expected


async def test_hours_without_events_are_there_with_zeros(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification(NOW_MS + 2 * HOUR_MS + 5))
        asked = question(end_ms=NOW_MS + 4 * HOUR_MS, group_by=_groups("hour"))
        rows = await analytics.get_verifications(asked)
        hours = [NOW_MS + hour * HOUR_MS for hour in range(4)]
        assert [(row.time_ms, row.total) for row in rows] == list(zip(hours, (0, 0, 1, 0), strict=True))


async def test_the_first_hour_counts_from_its_beginning(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification(NOW_MS))
        asked = question(start_ms=NOW_MS + HOUR_MS // 2, group_by=_groups("hour"))
        assert [row.total for row in await analytics.get_verifications(asked)] == [1]


async def test_months_are_the_calendars_months(tmp_path: Path) -> None:
    months = [int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) * 1000 for month in (1, 2, 3, 4)]
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification(months[1] - 1))
        analytics.verifications.append(verification(months[2]))
        asked = question(start_ms=months[0] + DAY_MS, end_ms=months[3], group_by=_groups("month"))
        rows = await analytics.get_verifications(asked)
        assert [(row.time_ms, row.total) for row in rows] == [(months[0], 1), (months[1], 0), (months[2], 1)]


async def test_of_several_units_of_time_the_longest_counts(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification(NOW_MS + 3 * HOUR_MS))
        asked = question(end_ms=NOW_MS + DAY_MS, group_by=_groups("hour", "day"))
        rows = await analytics.get_verifications(asked)
        assert [(row.time_ms, row.total) for row in rows] == [(NOW_MS, 1)]


async def test_an_event_must_carry_every_tag_that_is_asked_for(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        for tags in ([], ["a"], ["b"], ["a", "b"], ["b", "c", "a"]):
            analytics.verifications.append(verification(tags=tags))
        assert (await analytics.get_verifications(question(tags=("a", "b"))))[0].total == 2


async def test_an_event_counts_once_for_each_different_tag(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification(tags=["a", "b", "a"]))
        rows = await analytics.get_verifications(question(group_by=_groups("tag")))
        assert {row.tag: row.total for row in rows} == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    "tag", ["ünïcödé", "🔑", 'quo"te', "it's", "line\nbreak", "a\\b", "{}[],", "nul\0l", "\t"]
)
async def test_a_tag_comes_back_exactly_as_it_was(tmp_path: Path, tag: str) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification(tags=[tag]))
        rows = await analytics.get_verifications(question(tags=(tag,), group_by=_groups("tag")))
        assert [(row.tag, row.total) for row in rows] == [(tag, 1)]


async def test_groups_of_identities_leave_out_keys_without_one(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification(subject=Subject()))
        analytics.verifications.append(verification(subject=Subject(identity_id="id_1", external_id="ann")))
        rows = await analytics.get_verifications(question(group_by=_groups("identity")))
        assert [(row.identity_id, row.external_id, row.total) for row in rows] == [("id_1", "ann", 1)]


async def test_nothing_of_another_workspace_is_ever_counted(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification(subject=Subject(workspace_id="ws_2"), tags=["theirs"]))
        for groups in ((), ("key",), ("identity",), ("tag",), ("tags",), ("hour",)):
            rows = await analytics.get_verifications(question(group_by=_groups(*groups)))
            assert sum(row.total for row in rows) == 0


@pytest.mark.parametrize("text", ["x' OR '1'='1", "'; DROP TABLE ingested; --", "%", "*"])
async def test_a_filter_is_a_value_and_never_sql(tmp_path: Path, text: str) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification(subject=Subject(external_id="ann"), tags=["t"]))
        for filters in ({"external_id": text}, {"tags": (text,)}, {"key_ids": (text,)}):
            assert (await analytics.get_verifications(question(**filters)))[0].total == 0
        assert (await analytics.get_verifications(question()))[0].total == 1


async def test_the_keys_used_most_come_first_when_asked_for(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        for uses in (2, 3, 1):
            subject = Subject(key_id=f"key_{uses}")
            for _ in range(uses):
                analytics.verifications.append(verification(subject=subject))
        asked = question(group_by=_groups("key"), order_by="total", descending=True, limit=2)
        rows = await analytics.get_verifications(asked)
        assert [(row.key_id, row.total) for row in rows] == [("key_3", 3), ("key_2", 2)]


async def test_a_use_is_noted_with_the_newest_event_of_its_key(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        for time_ms in (NOW_MS + 5, NOW_MS + 7, NOW_MS + 9):
            analytics.verifications.append(verification(time_ms))
        await analytics.flush()
        assert analytics.uses == {"key_1": NOW_MS + 9}


@pytest.mark.parametrize(
    "changes",
    [
        {"end_ms": NOW_MS},
        {"end_ms": NOW_MS - 1},
        {"group_by": _groups("tag", "tags")},
        {"end_ms": NOW_MS + 10_002 * HOUR_MS, "group_by": _groups("hour")},
    ],
)
async def test_a_question_that_contradicts_itself_or_asks_too_much_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    async with recording(tmp_path) as analytics:
        with pytest.raises(BadQuestion):
            await analytics.get_verifications(question(**changes))


async def test_a_tag_of_too_many_keys_says_too_little() -> None:
    check_keys(["key_1"] * MOST_KEYS)
    with pytest.raises(BadQuestion, match="`tag`"):
        check_keys(["key_1"] * (MOST_KEYS + 1))


async def test_without_a_store_only_uses_are_noted_and_questions_are_refused() -> None:
    analytics = Analytics(None, None, ManualClock(NOW_MS))
    await analytics.start()
    analytics.verifications.append(verification())
    with pytest.raises(AnalyticsNotConfigured):
        await analytics.get_verifications(question())
    with pytest.raises(AnalyticsNotConfigured):
        await analytics.keys_tagged("ws_1", "eu")
    assert analytics.uses == {"key_1": NOW_MS}
    assert (analytics.health().state, analytics.health().buffered) == ("off", 0)
    await analytics.stop()

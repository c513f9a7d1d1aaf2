"""When keys were last used: noted in memory, kept in rows, on both databases."""

import pytest

from latchwork.domains.analytics import Analytics
from latchwork.domains.directory import LastUse, store
from latchwork.domains.directory.store import Entry
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database
from tests.domains.credits.flaky import FlakyDatabase

NOW_MS = 1_800_000_000_000


@pytest.fixture
async def analytics(database: Database) -> Analytics:
    """Analytics that note uses, over a database with the keys `key_1` and `key_2`."""
    await database.write(_add_keys, ALL_WORKSPACES)
    return Analytics(None, None, ManualClock(NOW_MS))


async def test_a_use_is_known_before_and_after_it_is_written(
    database: Database, analytics: Analytics
) -> None:
    last_use = LastUse(database, analytics)
    assert last_use.of("key_1", await _stored(database, "key_1")) is None
    analytics.uses["key_1"] = NOW_MS
    assert last_use.of("key_1", 0) == NOW_MS
    await last_use.save()
    assert analytics.uses == {}
    assert await _stored(database, "key_1") == NOW_MS
    assert last_use.of("key_1", NOW_MS) == NOW_MS
    assert last_use.of("key_2", await _stored(database, "key_2")) is None


async def test_an_earlier_use_than_is_known_changes_nothing(database: Database, analytics: Analytics) -> None:
    last_use = LastUse(database, analytics)
    for used_ms in (NOW_MS, NOW_MS - 1):
        analytics.uses["key_1"] = used_ms
        await last_use.save()
    assert await _stored(database, "key_1") == NOW_MS


async def test_the_use_of_a_key_that_is_gone_leaves_nothing_behind(
    database: Database, analytics: Analytics
) -> None:
    analytics.uses["key_3"] = NOW_MS
    await LastUse(database, analytics).save()
    assert await database.read(lambda c: store.uses_of(c, ["key_1", "key_3"]), ALL_WORKSPACES) == {"key_1": 0}


async def test_what_could_not_be_written_waits_for_the_next_time(
    database: Database, analytics: Analytics
) -> None:
    flaky = FlakyDatabase(database)
    last_use = LastUse(flaky, analytics)
    analytics.uses["key_1"] = NOW_MS
    flaky.fail_at(1)
    with pytest.raises(Unavailable):
        await last_use.save()
    assert last_use.of("key_1", 0) == NOW_MS
    analytics.uses["key_1"] = NOW_MS + 5
    await last_use.save()
    assert await _stored(database, "key_1") == NOW_MS + 5


async def test_a_stop_writes_what_is_noted_and_survives_a_failure(
    database: Database, analytics: Analytics
) -> None:
    flaky = FlakyDatabase(database)
    for fails in (True, False):
        last_use = LastUse(flaky, analytics)
        last_use.start()
        analytics.uses["key_1"] = NOW_MS
        flaky.fail_at(1 if fails else 100)
        await last_use.stop()
        await last_use.stop()
        assert await _stored(database, "key_1") == (0 if fails else NOW_MS)


async def _stored(database: Database, key_id: str) -> int:
    return (await database.read(lambda connection: store.uses_of(connection, [key_id]), ALL_WORKSPACES))[
        key_id
    ]


def _add_keys(connection: Connection) -> None:
    store.add(connection, [Entry(key_id, "ws_1", (key_id,)) for key_id in ("key_1", "key_2")])

"""A search finds what a naive one finds, in the same order, whichever way is walked and on both databases."""

import random
from collections.abc import Iterable
from functools import partial

import pytest
from sqlalchemy import Connection, insert

from latchwork.domains.identities import store
from latchwork.domains.identities.tables import identities
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.sql import ALL_WORKSPACES, Database

Known = dict[str, str]
"""Ids and external ids."""


async def workspace(database: Database, name: str) -> str:
    return (await Workspaces(database, ManualClock()).create(name)).id


def _add(connection: Connection, workspace_id: str, some: Iterable[tuple[str, str]]) -> None:
    shared = {"workspace_id": workspace_id, "meta": {}, "created_at_ms": 1}
    connection.execute(insert(identities), [{"id": id_, "external_id": name} | shared for id_, name in some])


async def added(database: Database, workspace_id: str, some: Known) -> Known:
    await database.write(partial(_add, workspace_id=workspace_id, some=list(some.items())), ALL_WORKSPACES)
    return some


async def searched(
    database: Database, workspace_id: str, search: str, cursor: str = "", limit: int = 101
) -> list[str]:
    found = await database.read(
        partial(store.page, workspace_id=workspace_id, search=search, cursor=cursor, limit=limit),
        ALL_WORKSPACES,
    )
    return [identity.id for identity in found]


def naive(known: Known, search: str, cursor: str = "", limit: int = 101) -> list[str]:
    wanted = search.strip().casefold()
    return [
        id_
        for id_, name in sorted(known.items())
        if id_ >= cursor and (wanted in id_.casefold() or wanted in name.casefold())
    ][:limit]


async def test_any_text_is_found_by_any_part_of_it(database: Database) -> None:
    chance = random.Random(7)
    alphabet = ["a", "b", "B", "%", "_", "\\", "/", '"', "'", "-", " ", "é", "É", "ß", "日", "*", "(", "ſ"]

    def text(most: int) -> str:
        return "".join(chance.choice(alphabet) for _ in range(chance.randint(1, most)))

    known = {f"id_{n:06d}": f"{text(12)}{n}" for n in range(300)}
    tenant = await workspace(database, "acme")
    await added(database, tenant, known)
    wanted = [text(4) for _ in range(200)] + ["SS", "ſ", "0029", "id_0000", "", "  b  ", "%", "x" * 256]
    for search in wanted:
        cursor = chance.choice(["", "id_000150", "~"])
        found = await searched(database, tenant, search, cursor, 20)
        assert found == naive(known, search, cursor, 20), search


@pytest.fixture
def many() -> Known:
    """In the order of ids: most are called alike, some only late, a few now and then."""
    known = {f"id_{n:06d}": f"user_{n:06d}" for n in range(0, 30_000, 2)}
    known |= {f"id_{n:06d}": f"other_{n:06d}" for n in range(30_000, 52_000, 2)}
    known |= {f"id_{n:06d}": f"xyzxy_{n:06d}" for n in range(46_000, 52_000, 2)}
    known |= {f"id_{n:06d}": f"late_{n:06d}" for n in range(50_900, 51_000, 2)}
    known |= {f"id_{n:06d}": f"rare-z{n:06d}" for n in range(1_000, 52_000, 1_500)}
    return known | {"id_050500": "zxyz_1", "id_051998": "zxyz_2"}


SEARCHES = [
    *(
        "user",
        "other",
        "USER_0001",
        "late",
        "rare",
        "rare_034000",
        "other_035888",
        "absent",
        "0000",
        "id_03599",
    ),
    *("xyz", "zxyz", "xyzxyz"),  # many have the trigrams of the last two, and few or none the texts
    *("_", "..", "-z", "-Z0", "_0", "ser_01", "rare_0", "user_user", "er_0", "9999", "late_017", "user_017"),
]


async def test_common_and_rare_texts_are_found_in_order(database: Database, many: Known) -> None:
    tenant, other = await workspace(database, "acme"), await workspace(database, "other")
    await added(database, tenant, many)
    foreign = await added(database, other, {f"id_{n:06d}": f"user_{n:06d}" for n in range(1, 200, 2)})
    for search in SEARCHES:
        for cursor, limit in (("", 101), ("id_017000", 11), ("~", 5)):
            found = await searched(database, tenant, search, cursor, limit)
            assert found == naive(many, search, cursor, limit), (search, cursor)
        assert await searched(database, other, search) == naive(foreign, search), search


@pytest.mark.parametrize(("late", "first"), [(40, 9_001), (1_500, 27_001)])
async def test_ids_that_came_too_late_for_their_place_are_found_in_their_place(
    database: Database, many: Known, late: int, first: int
) -> None:
    tenant = await workspace(database, "acme")
    known = dict(await added(database, tenant, many))
    known |= await added(
        database,
        tenant,
        {f"id_{n:06d}": f"tardy_{n:06d}" for n in reversed(range(first, first + 2 * late, 2))},
    )
    for search in ("tardy", f"tardy_{first:06d}", "rdy_", *SEARCHES):
        for cursor, limit in (("", 11), (f"id_{first + 50:06d}", 101)):
            found = await searched(database, tenant, search, cursor, limit)
            assert found == naive(known, search, cursor, limit), (search, cursor)


async def test_what_is_deleted_is_searched_no_more(database: Database) -> None:
    tenant = await workspace(database, "acme")
    known = await added(database, tenant, {f"id_{n:06d}": f"user_{n:06d}" for n in range(50)})
    for gone in ("id_000007", "id_000049"):
        await database.write(
            partial(store.change, identity_id=gone, values={"deleted_at_ms": 5}, now_ms=5), ALL_WORKSPACES
        )
        del known[gone]
    known |= await added(database, tenant, {"id_000050": "user_000007"})
    for search in ("user", "000007", "id_000049", "000049"):
        assert await searched(database, tenant, search) == naive(known, search)

"""Lists of keys against a list that is filtered and sorted the plain way, on both databases."""

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import pytest

from latchwork.domains.directory import store as directory_store
from latchwork.domains.identities import Identity
from latchwork.domains.identities import store as identities_store
from latchwork.domains.key_lists import KeyQuery, Sort, store
from latchwork.domains.key_lists.records import Position
from latchwork.domains.key_lists.rules import cursor_of, position_of
from latchwork.domains.keys import Api, Key
from latchwork.domains.keys import store as keys_store
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database

NOW_MS = 1_800_000_000_000
SORTS: tuple[Sort, ...] = get_args(Sort)
NAMES = (
    None,
    "a",
    "A",
    "Billing %",
    "billing_x",
    "ünïcode",
    "ÜNÏCODE",
    "支付服务",
    'say "hi"',
    "back\\slash",
)
SEARCHES = ("", " ", "BILL", "%", "_x", "ÜNÏ", "支付", '"hi"', "k\\s", "user_1", "key_0", "nowhere", "a")


@dataclass(frozen=True)
class Known:
    """A key, with what a list may look at."""

    key: Key
    external_id: str | None
    used_ms: int


@pytest.fixture
async def known(database: Database) -> list[Known]:
    """Sixty keys of two APIs in no order; beside them deleted ones, those of a deleted API, and foreign ones."""
    workspaces = Workspaces(database, ManualClock(NOW_MS))
    mine, foreign = await workspaces.create("mine", None), await workspaces.create("foreign", None)
    return await database.write(lambda connection: _filled(connection, mine.id, foreign.id), ALL_WORKSPACES)


EFFORTS = {
    "walked": store.Effort(0, (3, 1_000)),
    "walked in vain": store.Effort(0, (2, 3)),
    "sorted": store.Effort(1_000, (1, 1), rare=1),
    "either": store.Effort(4, (2, 6), rare=0.1),
    "hurried": store.Effort(0, (1, 2, 1_000), enough_s=-1, rare=0),
}


@pytest.mark.parametrize("effort", EFFORTS.values(), ids=EFFORTS.keys())
async def test_every_page_of_every_list_is_what_it_should_be(
    database: Database, known: list[Known], effort: store.Effort
) -> None:
    workspace_id = known[0].key.workspace_id
    asked = list(_queries(random.Random(1)))
    for query in asked:
        expected = [one.key.id for one in _expected(known, query)]
        for limit in (1, 100) if len(expected) < 10 else (7, 100):
            pages = [page async for page in _pages(database, workspace_id, query, limit, effort)]
            assert [position.key_id for page in pages for position in page] == expected, (query, limit)
            assert max(map(len, pages)) <= limit
    assert len(asked) == 64


@pytest.mark.parametrize("effort", EFFORTS.values(), ids=EFFORTS.keys())
async def test_only_keys_among_those_given_are_listed(
    database: Database, known: list[Known], effort: store.Effort
) -> None:
    workspace_id, ids = known[0].key.workspace_id, [one.key.id for one in known]
    query = KeyQuery(sort="-createdAt")
    for among in (ids[3:9], []):
        pages = [page async for page in _pages(database, workspace_id, query, 100, effort, among)]
        found = [position.key_id for page in pages for position in page]
        assert found == sorted(among, reverse=True)


async def test_a_page_ends_where_the_walk_does_and_the_next_goes_on_from_there(
    database: Database, known: list[Known]
) -> None:
    workspace_id = known[0].key.workspace_id
    walks = store.Effort(0, (2, 3))
    rare = KeyQuery(search="支付", expires_before_ms=NOW_MS + 50)
    pages = [page async for page in _pages(database, workspace_id, rare, 100, walks)]
    assert [] in pages and len(pages) >= len(known) // 5


def test_a_cursor_is_good_for_its_own_order_alone() -> None:
    by_name, by_use = KeyQuery(sort="name"), KeyQuery(sort="lastUsedAt")
    position = Position("bü", "key_1")
    cursor = cursor_of(by_name, position)
    assert position_of(by_name, cursor) == position
    forged = cursor_of(by_use, position)
    for query, wrong in (
        (by_use, cursor),
        (by_use, forged),
        (replace(by_name, sort="-name"), cursor),
        (by_name, "key_1"),
        (by_name, cursor[:-2]),
        (by_name, "é"),
        (by_name, cursor_of(by_name, Position("a\0", "key_1"))),
        (by_name, cursor_of(by_name, Position("a", "key_1\0"))),
        (by_use, cursor_of(by_use, Position(2**63, "key_1"))),
        (by_use, cursor_of(by_use, Position(-1, "key_1"))),
    ):
        with pytest.raises(BadRequest, match="`cursor`"):
            position_of(query, wrong)
    assert position_of(KeyQuery(), "anything") == Position(None, "anything")
    assert position_of(by_name, "") is None


async def _pages(
    database: Database,
    workspace_id: str,
    query: KeyQuery,
    limit: int,
    effort: store.Effort,
    among: Sequence[str] | None = None,
) -> AsyncIterator[list[Position]]:
    """All pages, as callers get from one to the next."""
    cursor = ""
    while True:
        start = position_of(query, cursor)

        def question(
            connection: Connection, start: Position | None = start
        ) -> tuple[list[Position], Position | None]:
            wanted = store.resolved(connection, workspace_id, query, among)
            assert wanted is not None
            return store.page(connection, wanted, start, limit, effort)

        found, following = await database.read(question, ALL_WORKSPACES)
        yield found
        if following is None:
            return
        before, cursor = cursor, cursor_of(query, following)
        assert cursor != before, "each page gets further"


def _queries(draw: random.Random) -> Iterator[KeyQuery]:
    for number in range(64):
        chosen = {
            "search": draw.choice(SEARCHES),
            "api_id": draw.choice((None, "api_1", "api_2")),
            "external_id": draw.choice((None, None, "user_1", "user_2", "nobody")),
            "enabled": draw.choice((None, True, False)),
            "expires_before_ms": draw.choice((None, None, NOW_MS, NOW_MS + 50)),
            "unused_since_ms": draw.choice((None, None, NOW_MS, NOW_MS + 50)),
        }
        kept = {name: value for name, value in chosen.items() if draw.random() < 0.4}
        yield KeyQuery(sort=SORTS[number % len(SORTS)], **kept)  # type: ignore[arg-type]


def _expected(known: list[Known], query: KeyQuery) -> list[Known]:
    found = [one for one in known if _passes(one, query)]
    ranks = {
        "createdAt": lambda one: one.key.id,
        "name": lambda one: (_ascii_lower(one.key.name or ""), one.key.id),
        "expires": lambda one: (2**53 - 1 if one.key.expires_ms is None else one.key.expires_ms, one.key.id),
        "lastUsedAt": lambda one: (one.used_ms, one.key.id),
    }
    return sorted(found, key=ranks[query.order], reverse=query.descending)


def _passes(one: Known, query: KeyQuery) -> bool:
    key, needle = one.key, query.search.strip().casefold()
    return (
        any(needle in (text or "").casefold() for text in (key.id, key.name, key.start, one.external_id))
        and query.api_id in (None, key.api_id)
        and query.external_id in (None, one.external_id)
        and query.enabled in (None, key.enabled)
        and (query.expires_before_ms is None or (key.expires_ms or 2**53) < query.expires_before_ms)
        and (query.unused_since_ms is None or one.used_ms < query.unused_since_ms)
    )


def _ascii_lower(text: str) -> bytes:
    return text.encode().lower()


def _filled(connection: Connection, mine: str, foreign: str) -> list[Known]:
    draw = random.Random(2)
    identities = {name: Identity(f"id_{name}", mine, name, {}) for name in ("user_1", "user_2")}
    for identity in identities.values():
        identities_store.add(connection, identity, NOW_MS)
    for number, (workspace_id, deleted) in enumerate(
        ((mine, False), (mine, False), (mine, True), (foreign, False))
    ):
        _add_api(connection, number + 1, workspace_id)
        if deleted:
            keys_store.delete_api(connection, f"api_{number + 1}", NOW_MS)
    made = [_key(draw, number, mine, draw.randint(1, 2), identities) for number in range(60)]
    gone = [_key(draw, number, mine, draw.randint(1, 3), identities) for number in range(60, 80)]
    theirs = [replace(one, api_id="api_4", keyspace_id="ks_4", workspace_id=foreign) for one in gone[:5]]
    theirs = [replace(one, id="key_f" + one.id, digest=b"f" + one.digest) for one in theirs]
    keys_store.add_keys(connection, [*made, *gone, *theirs])
    keys_store.soft_delete_keys(connection, [one.id for one in gone if one.api_id != "api_3"], NOW_MS)
    uses = {one.id: NOW_MS + draw.randrange(0, 100, 10) for one in made if draw.random() < 0.6}
    directory_store.set_uses(connection, uses)
    names = {identity.id: name for name, identity in identities.items()}
    return [Known(one, names.get(one.identity_id or ""), uses.get(one.id, 0)) for one in made]


def _add_api(connection: Connection, number: int, workspace_id: str) -> None:
    keys_store.add_keyspace(connection, f"ks_{number}", workspace_id, NOW_MS)
    keys_store.add_api(
        connection,
        Api(
            id=f"api_{number}",
            workspace_id=workspace_id,
            keyspace_id=f"ks_{number}",
            name="n",
            delete_protection=False,
            ip_whitelist=(),
            default_prefix=None,
            default_byte_length=None,
            store_encrypted_keys=False,
            analytics="full",
            stale_ok_s=0,
            created_ms=NOW_MS,
        ),
    )


def _key(
    draw: random.Random, number: int, workspace_id: str, api: int, identities: dict[str, Identity]
) -> Key:
    identity = draw.choice((None, *identities.values()))
    return Key(
        id=f"key_{draw.randrange(10**6):06d}{number}",
        workspace_id=workspace_id,
        for_workspace_id=None,
        keyspace_id=f"ks_{api}",
        api_id=f"api_{api}",
        lineage_id="key_1",
        digest=b"%032d" % number,
        start=draw.choice(("", "prod_2aFx", "7Ghj")),
        name=draw.choice(NAMES),
        identity_id=None if identity is None else identity.id,
        meta=None,
        enabled=draw.random() < 0.7,
        expires_ms=draw.choice((None, None, NOW_MS - 5, NOW_MS + 20, NOW_MS + 70)),
        ip_whitelist=(),
        created_ms=NOW_MS,
    )

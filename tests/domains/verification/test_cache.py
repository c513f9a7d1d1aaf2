"""A snapshot is never older than what was announced, whatever was under way at that moment."""

import asyncio
import gc

import pytest

from latchwork.domains.verification import SnapshotCache
from latchwork.domains.verification.cache import MISSING
from latchwork.domains.verification.snapshots import Scope, Snapshot
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.invalidations import Invalidations, Tag
from latchwork.kernel.leases import READ_S, TERM_S, Lease

DIGEST = b"d" * 32
NOBODYS = b"n" * 32
KEY: Tag = ("key", DIGEST)
API: Tag = ("api", "api_1")
WORKSPACE: Tag = ("workspace", "ws_1")
IDENTITY: Tag = ("identity", "id_1")


class Shelf:
    """A database in one value; reading it takes until `deliver` is called."""

    def __init__(self) -> None:
        self.stored: str | None = "old"
        self.reads = 0
        self._waiting: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def load(self, digest: bytes) -> "Text | None":
        self.reads += 1
        read = self.stored
        delivered = asyncio.Event()
        self._waiting.put_nowait(delivered)
        await delivered.wait()
        return None if read is None else Text(digest, read)

    async def asked(self) -> None:
        """Wait until somebody reads."""
        while not self.reads:
            await asyncio.sleep(0)

    async def deliver(self) -> None:
        """Let the oldest read that is under way end."""
        (await self._waiting.get()).set()


class Text(Snapshot[Scope]):
    """A snapshot of one text."""

    def __init__(self, digest: bytes, text: str) -> None:
        self.digest = digest
        self.scope = Scope(API, WORKSPACE)
        self.identity_tag = None if digest == NOBODYS else IDENTITY
        self.text = text


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def invalidations() -> Invalidations:
    return Invalidations()


@pytest.fixture
def cache(shelf: Shelf, invalidations: Invalidations) -> SnapshotCache[Text]:
    return SnapshotCache(shelf.load, invalidations)


async def kept(cache: SnapshotCache[Text], shelf: Shelf, digest: bytes = DIGEST) -> Text | None:
    """The snapshot, from memory or from the one read that brings it there."""
    fetching = asyncio.ensure_future(cache.fetch(digest))
    if cache.get(digest) is None:
        await shelf.deliver()
    return await fetching


@pytest.mark.parametrize("tag", [KEY, API, WORKSPACE, IDENTITY])
async def test_what_is_in_memory_is_forgotten(
    cache: SnapshotCache[Text], shelf: Shelf, invalidations: Invalidations, tag: Tag
) -> None:
    await kept(cache, shelf)
    shelf.stored = "new"
    invalidations.announce(tag)
    assert cache.get(DIGEST) is None
    fresh = await kept(cache, shelf)
    assert fresh is not None and fresh.text == "new"


@pytest.mark.parametrize("tag", [KEY, API, WORKSPACE, IDENTITY])
async def test_a_fill_that_began_before_a_change_never_brings_back_what_was(
    cache: SnapshotCache[Text], shelf: Shelf, invalidations: Invalidations, tag: Tag
) -> None:
    early = asyncio.ensure_future(cache.fetch(DIGEST))
    await shelf.asked()
    shelf.stored = "new"
    invalidations.announce(tag)
    await shelf.deliver()
    await shelf.deliver()
    fresh = await early
    assert fresh is not None and fresh.text == "new"
    assert shelf.reads == 2
    assert cache.get(DIGEST) is fresh


async def test_a_key_that_appears_while_it_is_looked_for_is_found(
    cache: SnapshotCache[Text], shelf: Shelf, invalidations: Invalidations
) -> None:
    shelf.stored = None
    early = asyncio.ensure_future(cache.fetch(DIGEST))
    await shelf.asked()
    shelf.stored = "new"
    invalidations.announce(KEY)
    await shelf.deliver()
    await shelf.deliver()
    assert await early is not None


async def test_a_change_of_something_else_leaves_a_fill_alone(
    cache: SnapshotCache[Text], shelf: Shelf, invalidations: Invalidations
) -> None:
    early = asyncio.ensure_future(cache.fetch(DIGEST))
    await shelf.asked()
    invalidations.announce(("key", b"x" * 32), ("identity", "id_2"), ("api", "api_2"))
    await shelf.deliver()
    assert await early is not None
    assert shelf.reads == 1


async def test_an_identity_takes_all_its_keys_along_and_no_others(
    cache: SnapshotCache[Text], shelf: Shelf, invalidations: Invalidations
) -> None:
    digests = [bytes([n]) * 32 for n in range(5)]
    for digest in digests:
        found = await kept(cache, shelf, digest)
        assert found is not None
    other = await kept(cache, shelf, NOBODYS)
    invalidations.announce(KEY, ("key", digests[0]), IDENTITY, IDENTITY)
    assert [cache.get(digest) for digest in digests] == [None] * 5
    assert cache.get(NOBODYS) is other


async def test_many_ask_and_one_reads(cache: SnapshotCache[Text], shelf: Shelf) -> None:
    asking = [asyncio.ensure_future(cache.fetch(DIGEST)) for _ in range(10)]
    await shelf.deliver()
    assert len({id(found) for found in await asyncio.gather(*asking)}) == 1
    assert shelf.reads == 1


async def test_memory_is_bounded(shelf: Shelf, invalidations: Invalidations) -> None:
    small = SnapshotCache(shelf.load, invalidations, most=2, most_missing=2)
    digests = [bytes([n]) * 32 for n in range(4)]
    for digest in digests:
        await kept(small, shelf, digest)
    assert list(small.found) == digests[2:]
    shelf.stored = None
    unknown = [bytes([n]) * 32 for n in range(10, 14)]
    for digest in unknown:
        assert await kept(small, shelf, digest) is None
    assert list(small.missing) == unknown[2:]
    assert small.get(unknown[-1]) is MISSING
    assert await small.fetch(unknown[-1]) is None


class TestLeases:
    """In a cluster: what may be believed only for a while."""

    @pytest.fixture
    def lease(self) -> Lease:
        lease = Lease(lambda: self.now_s)
        lease.renew(self.now_s)
        return lease

    @pytest.fixture
    def leased(self, shelf: Shelf, invalidations: Invalidations, lease: Lease) -> SnapshotCache[Text]:
        return SnapshotCache(shelf.load, invalidations, lease=lease)

    now_s = 100.0

    def end(self, lease: Lease, *, cut: bool) -> None:
        self.now_s += TERM_S
        if cut:
            lease.failed()
        lease.check()

    async def test_what_is_in_memory_is_read_again(
        self, leased: SnapshotCache[Text], shelf: Shelf, lease: Lease
    ) -> None:
        assert await kept(leased, shelf)
        self.end(lease, cut=False)
        assert leased.get(DIGEST) is None
        shelf.stored = "new"
        fresh = await kept(leased, shelf)
        assert fresh is not None and fresh.text == "new"

    async def test_what_was_being_read_when_it_ended_is_read_again(
        self, leased: SnapshotCache[Text], shelf: Shelf, lease: Lease
    ) -> None:
        fetching = asyncio.ensure_future(leased.fetch(DIGEST))
        await shelf.asked()
        shelf.stored = "new"
        self.end(lease, cut=False)
        await shelf.deliver()
        await shelf.deliver()
        fresh = await fetching
        assert fresh is not None and fresh.text == "new"

    async def test_what_took_long_to_read_without_a_lease_is_not_believed(
        self, leased: SnapshotCache[Text], shelf: Shelf, lease: Lease
    ) -> None:
        self.end(lease, cut=False)
        fetching = asyncio.ensure_future(leased.fetch(DIGEST))
        await shelf.asked()
        self.now_s += READ_S + 0.01
        await shelf.deliver()
        with pytest.raises(Unavailable):
            await fetching
        assert leased.get(DIGEST) is None

    async def test_a_reading_that_fails_when_nobody_waits_for_it_any_longer_is_no_error_of_the_loop(
        self, leased: SnapshotCache[Text], shelf: Shelf, lease: Lease
    ) -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        self.end(lease, cut=False)
        fetching = asyncio.ensure_future(leased.fetch(DIGEST))
        await shelf.asked()
        fetching.cancel()
        self.now_s += READ_S + 0.01
        await shelf.deliver()
        for _ in range(5):
            await asyncio.sleep(0)
        gc.collect()
        assert fetching.cancelled() and complaints == []

    async def test_out_of_reach_only_what_may_be_stale_is_answered_and_only_for_so_long(
        self, leased: SnapshotCache[Text], shelf: Shelf, lease: Lease
    ) -> None:
        old = await kept(leased, shelf)
        assert old is not None
        old.scope.stale_ok_s = 60
        self.end(lease, cut=True)
        assert await leased.fetch(DIGEST) is old
        assert leased.get(DIGEST) is old
        with pytest.raises(Unavailable):
            await leased.fetch(NOBODYS)
        self.now_s += 61
        lease.check()
        with pytest.raises(Unavailable):
            await leased.fetch(DIGEST)

    @pytest.mark.parametrize("tag", [KEY, API, IDENTITY])
    async def test_what_is_put_aside_is_forgotten_like_any_other(
        self, leased: SnapshotCache[Text], shelf: Shelf, lease: Lease, invalidations: Invalidations, tag: Tag
    ) -> None:
        old = await kept(leased, shelf)
        assert old is not None
        old.scope.stale_ok_s = 60
        self.end(lease, cut=True)
        invalidations.announce(tag)
        with pytest.raises(Unavailable):
            await leased.fetch(DIGEST)

    async def test_a_new_lease_forgets_what_was_put_aside(
        self, leased: SnapshotCache[Text], shelf: Shelf, lease: Lease
    ) -> None:
        old = await kept(leased, shelf)
        assert old is not None
        self.end(lease, cut=True)
        lease.renew(self.now_s)
        shelf.stored = None
        assert await kept(leased, shelf) is None
        assert leased.get(DIGEST) is MISSING

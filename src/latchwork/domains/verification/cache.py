"""The cache of snapshots: exact, not merely fresh."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

from latchwork.domains.verification.snapshots import Scope, Snapshot
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.invalidations import Invalidations, Tag
from latchwork.kernel.leases import READ_S, Lease

S = TypeVar("S", bound=Snapshot[Any])


class Missing:
    """Stands in the cache for a digest that no key has."""

    __slots__ = ()


MISSING = Missing()


class SnapshotCache(Generic[S]):
    """Snapshots by digest, forgotten the moment anything they were made of changes.

    A fill that began before a change and ends after it is made again, so a late fill never brings
    back what was revoked. Both kinds of entries are bounded; the oldest go first.
    """

    def __init__(
        self,
        load: Callable[[bytes], Awaitable[S | None]],
        invalidations: Invalidations,
        *,
        lease: Lease | None = None,
        most: int = 1_000_000,
        most_missing: int = 100_000,
    ) -> None:
        """A `lease` says for how long what it holds may be believed; without one nobody else makes changes."""
        self.found: dict[bytes, S] = {}
        self._aside: dict[bytes, S] = {}
        self._lease = lease
        self.missing: dict[bytes, Missing] = {}
        self._load = load
        self._most = most
        self._most_missing = most_missing
        self._scopes: dict[Tag, list[Scope]] = {}
        self._of_identity: dict[Tag, list[bytes]] = {}
        self._fills: dict[bytes, asyncio.Task[S | None]] = {}
        self._version = 0
        self._changed: dict[Tag, int] = {}  # kept only while a fill is under way
        self._over = 0  # the version when a lease was last over
        invalidations.listen(self._forget)
        if lease is not None:
            lease.listen(self._put_aside, self._renewed)

    def get(self, digest: bytes) -> S | Missing | None:
        """What is known of `digest` right now; `None` when it must be fetched."""
        snapshot = self.found.get(digest)
        if snapshot is not None:
            if snapshot.scope.live:
                return snapshot
            self._drop(digest)
            return None
        return self.missing.get(digest)

    async def fetch(self, digest: bytes) -> S | None:
        """The snapshot of `digest`, loading it once however many ask; `None` when there is no such key.

        Raises `Unavailable` where it cannot be read, unless who it belongs to accepts what was known of it.
        """
        known = self.get(digest)
        if known is not None:
            return None if isinstance(known, Missing) else known
        if self._lease is not None and self._lease.is_out_of_reach:
            return self._taken_up(digest, self._lease)
        fill = self._fills.get(digest)
        if fill is None:
            fill = self._fills[digest] = asyncio.ensure_future(self._fill(digest))
            fill.add_done_callback(lambda done: self._filled(digest, done))
        if self._lease is None or not self._lease.is_over:
            return await asyncio.shield(fill)
        try:
            async with asyncio.timeout(READ_S):
                return await asyncio.shield(fill)
        except (TimeoutError, Unavailable):  # the database is as good as away
            return self._taken_up(digest, self._lease)

    async def _fill(self, digest: bytes) -> S | None:
        while True:
            began, began_s = self._version, 0.0 if self._lease is None else self._lease.now_s()
            snapshot = await self._load(digest)
            if self._changed_since(began, digest, snapshot):
                continue
            if self._lease is not None and not self._lease.covers_reading(began_s):
                raise Unavailable(private="the database answered too late to be believed")
            return self._keep(digest, snapshot)

    def _filled(self, digest: bytes, fill: "asyncio.Task[S | None]") -> None:
        if not fill.cancelled():
            fill.exception()  # perhaps nobody waits any longer who would ask for it
        self._fills.pop(digest, None)
        if not self._fills:
            self._changed.clear()

    def _changed_since(self, version: int, digest: bytes, snapshot: S | None) -> bool:
        if version == self._version:
            return False
        if self._over > version:
            return True
        tags: list[Tag] = [("key", digest)]
        if snapshot is not None:
            tags += snapshot.scope.tags
            if snapshot.identity_tag:
                tags.append(snapshot.identity_tag)
        return any(self._changed.get(tag, 0) > version for tag in tags)

    def _keep(self, digest: bytes, snapshot: S | None) -> S | None:
        if snapshot is None:
            _make_room(self.missing, self._most_missing, self.missing.__delitem__)
            self.missing[digest] = MISSING
            return None
        _make_room(self.found, self._most, self._drop)
        if digest in self._aside:
            self._drop(digest)
        snapshot.scope = self._shared(snapshot.scope)
        if snapshot.identity_tag is not None:
            self._of_identity.setdefault(snapshot.identity_tag, []).append(digest)
        self.found[digest] = snapshot
        return snapshot

    def _shared(self, scope: Scope) -> Scope:
        """The scope of all snapshots that stand on the same things: an equal one, or else this one."""
        present = self._scopes.get(scope.tags[0])
        if present:
            return present[0]
        for tag in scope.tags:
            self._scopes.setdefault(tag, []).append(scope)
        return scope

    def _drop(self, digest: bytes) -> None:
        snapshot = self.found.pop(digest, None) or self._aside.pop(digest)
        tag = snapshot.identity_tag
        if tag is not None and (digests := self._of_identity.get(tag)) is not None:
            digests.remove(digest)
            if not digests:
                del self._of_identity[tag]

    def _forget(self, tags: Iterable[Tag]) -> None:
        self._version += 1
        for tag in tags:
            if self._fills:
                self._changed[tag] = self._version
            kind, name = tag
            if isinstance(name, bytes):
                self.missing.pop(name, None)
                if name in self.found or name in self._aside:
                    self._drop(name)
            elif kind == "identity":
                for digest in self._of_identity.pop(tag, ()):
                    if self.found.pop(digest, None) is None:
                        del self._aside[digest]
            else:
                self._end_scopes(tag)

    # Leases

    def _put_aside(self, ends: bool) -> None:
        """Believe nothing; what is known stays for those who accept it when nothing can be read."""
        if ends:
            self._version += 1
            self._over = self._version
        self._aside.update(self.found)
        self.found.clear()
        self.missing.clear()

    def _renewed(self) -> None:
        for digest in list(self._aside):
            self._drop(digest)

    def _taken_up(self, digest: bytes, lease: Lease) -> S | None:
        """What was known, for as long as it may be used."""
        snapshot = self._aside.get(digest)
        if snapshot is None or not snapshot.scope.live or not lease.allows(snapshot.scope.stale_ok_s):
            raise Unavailable(private="the database is out of reach, and nothing may be believed without it")
        del self._aside[digest]
        self.found[digest] = snapshot
        return snapshot

    def _end_scopes(self, tag: Tag) -> None:
        for scope in self._scopes.pop(tag, ()):
            scope.live = False
        self._scopes = {
            other: live for other, scopes in self._scopes.items() if (live := [s for s in scopes if s.live])
        }


T = TypeVar("T")


def _make_room(entries: dict[bytes, T], most: int, drop: Callable[[bytes], None]) -> None:
    while len(entries) >= most:
        drop(next(iter(entries)))

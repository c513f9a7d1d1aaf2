"""The verbs of keys."""

from dataclasses import dataclass, replace

from latchwork.domains.credits import Accounts, Balance, Change
from latchwork.domains.credits import store as credits_store
from latchwork.domains.directory import LastUse
from latchwork.domains.encryption import Vault
from latchwork.domains.keys import change as changing
from latchwork.domains.keys import issue, recovery, store
from latchwork.domains.keys import reroll as rerolling
from latchwork.domains.keys.faults import ApiNotFound, KeyNotFound
from latchwork.domains.keys.records import Api, Key, KeyChange, KeyView, Minted, NewKey, Owner
from latchwork.domains.keys.rules import digest_of
from latchwork.kernel.clock import Clock
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.uninterrupted import uninterrupted

_DELETED_AT_ONCE = 200  # in one unit of work: a spend that comes meanwhile waits for one of them


@dataclass(frozen=True, slots=True)
class Keys:
    """Issues, finds, changes and deletes keys."""

    db: Database
    clock: Clock
    ledger: Accounts
    last_use: LastUse
    vault: Vault

    @uninterrupted
    async def create(self, who: Principal, api_id: str, wanted: NewKey) -> Minted:
        """A new key in the API's keyspace; its text is in the answer and, unless recoverable, nowhere else.

        Raises `ApiNotFound` also for want of permission, `RoleNotFound`, `PreconditionFailed` where
        a recoverable key is asked for and recovery is not set up, and `BadRequest`.
        """
        allowed = who.may("api", api_id, "create_key") and (
            not wanted.recoverable or who.may("api", api_id, "encrypt_key")
        )
        if not allowed:
            raise ApiNotFound
        wanted = issue.checked(wanted)
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Minted:
            api = _api(connection, who, api_id)
            if wanted.recoverable:
                recovery.must_be_allowed(api)
            minted = issue.issue(connection, who, api, wanted, now_ms)
            if wanted.recoverable:
                recovery.keep(connection, self.vault, who, minted)
            return minted

        return await self.db.write(unit, who.workspace_id)

    async def get(self, who: Principal, key_id: str, *, decrypt: bool = False) -> KeyView:
        """The key with all that belongs to it; raises `KeyNotFound`, then checks permission.

        `decrypt` needs `decrypt_key` and an API that stores recoverable keys (`PreconditionFailed`).
        """
        now_ms = self.clock.now_ms()

        def question(connection: Connection) -> KeyView:
            key = _key(connection, who, key_id)
            _must(who, key, "read_key")
            view = _view(connection, key)
            if not decrypt:
                return view
            _must(who, key, "decrypt_key")
            recovery.must_be_allowed(_api(connection, who, key.api_id or ""))
            return recovery.revealed(connection, self.vault, who, [view], now_ms)[0]

        view = await (
            self.db.write(question, who.workspace_id) if decrypt else self.db.read(question, who.workspace_id)
        )
        return self.shown(view)

    async def whoami(self, who: Principal, text: str) -> KeyView:
        """The key whose text is `text`; raises `KeyNotFound` also for want of permission."""
        digest = digest_of(text)

        def question(connection: Connection) -> KeyView:
            found = store.find_key_by_digest(connection, who.workspace_id, digest)
            if found is None or not who.may("api", found.api_id or "", "read_key", found.id):
                raise KeyNotFound
            return _view(connection, found)

        return self.shown(await self.db.read(question, who.workspace_id))

    async def page(
        self,
        who: Principal,
        api_id: str,
        *,
        external_id: str | None,
        cursor: str,
        limit: int,
        decrypt: bool = False,
    ) -> list[KeyView]:
        """Up to `limit` keys of an API from id `cursor` on; `ApiNotFound` also for want of permission.

        `decrypt` as in `get`; the last of `limit` keys, which tells where the next page begins, stays closed.
        """
        now_ms = self.clock.now_ms()
        if not (who.may("api", api_id, "read_key") and who.may("api", api_id, "read_api")):
            raise ApiNotFound

        def question(connection: Connection) -> list[KeyView]:
            api = _api(connection, who, api_id)
            if decrypt:
                who.must("api", api_id, "decrypt_key")
                recovery.must_be_allowed(api)
            found = store.page_keys(
                connection,
                who.workspace_id,
                api.keyspace_id,
                external_id=external_id,
                cursor=cursor,
                limit=limit,
            )
            views = store.views(connection, found)
            if not decrypt:
                return views
            shown, extra = views[: limit - 1], views[limit - 1 :]
            return recovery.revealed(connection, self.vault, who, shown, now_ms) + extra

        found = await (
            self.db.write(question, who.workspace_id) if decrypt else self.db.read(question, who.workspace_id)
        )
        return [self.shown(view) for view in found]

    @uninterrupted
    async def update(self, who: Principal, key_id: str, change: KeyChange) -> KeyView:
        """Change what `change` names, all or nothing.

        Raises `KeyNotFound`, then checks permission; `RoleNotFound`; `BadRequest`.
        """
        change = changing.checked(change)
        await self._authorised(who, key_id, "update_key")
        now_ms = self.clock.now_ms()
        async with self.ledger.rewriting(key_id) as unfolded:

            def unit(connection: Connection) -> tuple[KeyView, Balance | None]:
                key = _key(connection, who, key_id)
                changing.apply(connection, who, key, change, unfolded, now_ms)
                changed(connection, ("key", key.digest))
                view = _view(connection, _key(connection, who, key_id))
                return view, _true_balance(view.credits, unfolded)

            view, balance = await self.db.write(unit, who.workspace_id)
            self.ledger.put(key_id, None if balance is None else balance.remaining)
        return self.shown(view)

    @uninterrupted
    async def update_credits(self, who: Principal, key_id: str, change: Change) -> Balance | None:
        """Set, raise or lower a key's credits; `None` when the key is unlimited afterwards."""
        await self._authorised(who, key_id, "update_key")
        now_ms = self.clock.now_ms()
        async with self.ledger.rewriting(key_id) as unfolded:

            def unit(connection: Connection) -> Balance | None:
                key = _key(connection, who, key_id)
                balance = credits_store.rewrite(
                    connection, key.workspace_id, key_id, unfolded, change, now_ms
                )
                store.update_key(connection, key_id, {}, now_ms)
                changing.record_credits(connection, who, key, balance, now_ms)
                changed(connection, ("key", key.digest))
                return balance

            balance = await self.db.write(unit, who.workspace_id)
            self.ledger.put(key_id, None if balance is None else balance.remaining)
        return balance

    @uninterrupted
    async def delete(self, who: Principal, key_id: str, *, permanent: bool) -> None:
        """Delete a key; `permanent` also removes its row. Raises `KeyNotFound`, then checks permission."""
        await self._authorised(who, key_id, "delete_key")
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> None:
            changing.delete(connection, who, [_key(connection, who, key_id)], permanent, now_ms)

        await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def delete_all(self, who: Principal, api_id: str, *, permanent: bool) -> int:
        """Delete the keys that an API has now, and with `permanent` also those deleted before; how many.

        Raises `ApiNotFound`. Many keys take several units of work: what a failure leaves can be deleted
        by asking again.
        """
        who.must("api", api_id, "delete_key")
        up_to_id = new_id("key")
        count = 0
        for deleted in (False, True) if permanent else (False,):
            while chunk := await self._delete_some(who, api_id, up_to_id, deleted, permanent):
                count += chunk
        return count

    async def _delete_some(
        self, who: Principal, api_id: str, up_to_id: str, deleted: bool, permanent: bool
    ) -> int:
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> int:
            api = _api(connection, who, api_id)
            found = store.some_keys(connection, api, up_to_id, _DELETED_AT_ONCE, deleted=deleted)
            if found:
                changing.delete(connection, who, found, permanent, now_ms)
            return len(found)

        return await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def reroll(
        self, who: Principal, key_id: str, *, grace_ms: int | None, owner: Owner | None = None
    ) -> Minted:
        """A new key with everything that the old one has, credits as they are in this instant.

        The old one ends after `grace_ms`, or with `None` when it would have. Raises `KeyNotFound`, then
        checks permission; `PreconditionFailed` where the old one is recoverable and the new one cannot be.
        With an `owner` only keys of theirs are found, and credits are not doubled (`PreconditionFailed`).
        """
        await self._authorised(who, key_id, "create_key", owner)
        now_ms = self.clock.now_ms()
        async with self.ledger.rewriting(key_id) as unfolded:

            def unit(connection: Connection) -> tuple[Minted, bool]:
                old = _key(connection, who, key_id, owner)
                if owner is not None:
                    rerolling.must_not_double(connection, old, grace_ms)
                api = _api(connection, who, old.api_id or "")
                recoverable = rerolling.must_be_allowed(connection, who, api, old)
                minted, fresh = rerolling.successor(api, old, now_ms)
                moved = rerolling.add(connection, old, fresh, unfolded, now_ms, moves_credits=grace_ms == 0)
                if recoverable:
                    recovery.keep(connection, self.vault, who, minted)
                rerolling.end(connection, old, grace_ms, now_ms)
                rerolling.record(connection, who, old, fresh, now_ms)
                changed(connection, ("key", old.digest), ("key", fresh.digest))
                return minted, moved

            minted, moved = await self.db.write(unit, who.workspace_id)
            if moved:
                self.ledger.put(key_id, 0)
            return minted

    async def _authorised(self, who: Principal, key_id: str, action: str, owner: Owner | None = None) -> Key:
        key = await self.db.read(lambda connection: _key(connection, who, key_id, owner), who.workspace_id)
        _must(who, key, action)
        return key

    def shown(self, view: KeyView) -> KeyView:
        """The view, as it was read, with its balances and its last use as they are in memory."""
        used_ms = self.last_use.of(view.key.id, view.last_used_ms)
        present = self._present(view)
        return present if used_ms == view.last_used_ms else replace(present, last_used_ms=used_ms)

    def _present(self, view: KeyView) -> KeyView:
        """The view with balances as they are in memory."""
        identity = view.identity
        if view.credits is None and (identity is None or identity.credits is None):
            return view
        if identity is not None and identity.credits is not None:
            identity = replace(identity, credits=self._of_memory(identity.id, identity.credits))
        own = None if view.credits is None else self._of_memory(view.key.id, view.credits)
        return replace(view, credits=own, identity=identity)

    def _of_memory(self, subject_id: str, stored: Balance) -> Balance:
        return replace(stored, remaining=self.ledger.remaining_of(subject_id, stored.remaining))


def _must(who: Principal, key: Key, action: str) -> None:
    who.must("api", key.api_id or "*", action, key.id)


def _api(connection: Connection, who: Principal, api_id: str) -> Api:
    found = store.find_api(connection, who.workspace_id, api_id)
    if found is None:
        raise ApiNotFound
    return found


def _key(connection: Connection, who: Principal, key_id: str, owner: Owner | None = None) -> Key:
    found = store.find_key(connection, who.workspace_id, key_id)
    if found is None or (owner is not None and not store.belongs(connection, found, owner)):
        raise KeyNotFound
    return found


def _view(connection: Connection, key: Key) -> KeyView:
    return store.views(connection, [key])[0]


def _true_balance(stored: Balance | None, unfolded: int) -> Balance | None:
    return None if stored is None else replace(stored, remaining=stored.remaining - unfolded)

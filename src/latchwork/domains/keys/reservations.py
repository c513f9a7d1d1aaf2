"""Reservations: credits of a key and its identity, held for work whose cost is known only afterwards."""

from dataclasses import dataclass

from latchwork.domains.credits import HoldNotFound, Holds, Reservation, Settlement
from latchwork.domains.identities import store as identities_store
from latchwork.domains.keys import store
from latchwork.domains.keys.faults import KeyNotFound
from latchwork.domains.keys.records import Key
from latchwork.domains.keys.rules import digest_of
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.uninterrupted import uninterrupted


@dataclass(frozen=True, slots=True)
class Reservations:
    """Reserves, commits and releases, for whoever may verify the key."""

    db: Database
    holds: Holds

    @uninterrupted
    async def reserve(
        self, who: Principal, *, key_id: str | None, text: str | None, amount: int, ttl_ms: int
    ) -> Reservation:
        """Hold `amount` of the key with that id, or that text, and of its identity: of both or of neither.

        What is unlimited does not pay. Raises `KeyNotFound`, then checks permission; then as
        `Holds.reserve`. Whether the key is enabled and may be used is for a verification to say.
        """

        def question(connection: Connection) -> tuple[Key, str | None]:
            key = _find(connection, who, key_id, text)
            wanted = [] if key.identity_id is None else [key.identity_id]
            live = identities_store.by_ids(connection, who.workspace_id, wanted)
            return key, next(iter(live), None)

        key, identity_id = await self.db.read(question, who.workspace_id)
        who.must("api", key.api_id or "*", "verify_key", key.id)
        return await self.holds.reserve(who, key.id, amount, ttl_ms, with_id=identity_id)

    @uninterrupted
    async def commit(self, who: Principal, hold_id: str, amount: int) -> Settlement:
        """Spend `amount` of a hold and give back the rest.

        Raises `HoldNotFound`, then checks permission; `BadRequest` for more than is held.
        """
        await self._must_settle(who, hold_id)
        return await self.holds.commit(who, hold_id, amount)

    @uninterrupted
    async def release(self, who: Principal, hold_id: str) -> Settlement:
        """Give a whole hold back; raises `HoldNotFound`, then checks permission."""
        await self._must_settle(who, hold_id)
        return await self.holds.release(who, hold_id)

    async def _must_settle(self, who: Principal, hold_id: str) -> None:
        """A hold outlives the deletion of its key, for the work was done; not that of the key's row."""
        key_id = (await self.holds.find(who, hold_id)).subject_id
        api_id = await self.db.read(
            lambda connection: store.api_of_key(connection, who.workspace_id, key_id), who.workspace_id
        )
        if api_id is None:
            raise HoldNotFound
        who.must("api", api_id, "verify_key")


def _find(connection: Connection, who: Principal, key_id: str | None, text: str | None) -> Key:
    if text is not None:
        found = store.find_key_by_digest(connection, who.workspace_id, digest_of(text))
    else:
        found = store.find_key(connection, who.workspace_id, key_id or "")
    if found is None:
        raise KeyNotFound
    return found

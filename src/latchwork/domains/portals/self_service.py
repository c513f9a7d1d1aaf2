"""What end users do with their own keys."""

from dataclasses import dataclass

from latchwork.domains.analytics import Analytics, Series, SeriesQuestion
from latchwork.domains.keys import ApiNotFound, Keys, KeyView, Minted, Owner
from latchwork.domains.portals.guard import Guard
from latchwork.domains.portals.records import Scope, Visitor
from latchwork.kernel.faults import InsufficientPermissions


@dataclass(frozen=True, slots=True)
class SelfService:
    """Everything here is about the keys of the visitor's own identity in the keyspace of their portal."""

    keys: Keys
    analytics: Analytics
    guard: Guard

    async def page(self, visitor: Visitor, *, cursor: str, limit: int) -> list[KeyView]:
        """Up to `limit` of the visitor's keys from id `cursor` on; raises `ApiNotFound`."""
        api_id = _permitted(visitor, "keys:read")
        external_id = visitor.session.external_id
        return await self.keys.page(visitor.who, api_id, external_id=external_id, cursor=cursor, limit=limit)

    async def reroll(self, visitor: Visitor, key_id: str, *, grace_ms: int | None) -> Minted:
        """A new key in the place of one of the visitor's, as `Keys.reroll` makes it.

        Raises `KeyNotFound`, `PreconditionFailed`, and `TooManyRequests` for more than a few an hour.
        """
        _permitted(visitor, "keys:reroll")
        await self.guard.charge_reroll(visitor.session)
        owner = Owner(visitor.portal.keyspace_id, visitor.session.external_id)
        return await self.keys.reroll(visitor.who, key_id, grace_ms=grace_ms, owner=owner)

    async def usage(self, visitor: Visitor, *, start_ms: int, end_ms: int, key_id: str | None) -> Series:
        """How often each of the visitor's keys was verified, and how it ended."""
        _permitted(visitor, "analytics:read")
        question = SeriesQuestion(
            workspace_id=visitor.session.workspace_id,
            keyspace_id=visitor.portal.keyspace_id,
            external_id=visitor.session.external_id,
            start_ms=start_ms,
            end_ms=end_ms,
            key_id=key_id,
        )
        return await self.analytics.get_series(question)


def _permitted(visitor: Visitor, scope: Scope) -> str:
    """The id of the portal's API, for a session with that scope."""
    if scope not in visitor.session.scopes:
        raise InsufficientPermissions(f"Missing permission: '{scope}'")
    if visitor.api_id is None:
        raise ApiNotFound
    return visitor.api_id

"""The verb of lists."""

from dataclasses import dataclass

from latchwork.domains.analytics import Analytics
from latchwork.domains.directory import LastUse
from latchwork.domains.key_lists import store
from latchwork.domains.key_lists.records import KeyQuery, Position
from latchwork.domains.key_lists.rules import cursor_of, position_of
from latchwork.domains.keys import ApiNotFound, Keys, KeyView
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database

_EFFORT = store.Effort()


@dataclass(frozen=True, slots=True)
class KeyLists:
    """Lists the keys of a workspace."""

    db: Database
    keys: Keys
    last_use: LastUse
    analytics: Analytics
    effort: store.Effort = _EFFORT

    async def page(
        self, who: Principal, query: KeyQuery, *, cursor: str, limit: int
    ) -> tuple[list[KeyView], str | None]:
        """Up to `limit` keys from `cursor` on, and the cursor of the next page, if there is one.

        Where filters let many keys pass each, but few together, a page may be short, or even empty, though
        there is a next one: no page reads more than some thousand keys.

        Needs `read_key` of the API that the query names, else of all. Raises `ApiNotFound`, `BadRequest`
        for a cursor of another order, and where a tag is asked for what `Analytics.keys_tagged` raises.
        """
        who.must("api", query.api_id or "*", "read_key")
        start = position_of(query, cursor)
        tagged = None
        if query.tag is not None:
            tagged = await self.analytics.keys_tagged(who.workspace_id, query.tag)
        if query.unused_since_ms is not None or query.order == "lastUsedAt":
            await self.last_use.try_to_save()

        def question(connection: Connection) -> tuple[list[KeyView], Position | None]:
            wanted = store.resolved(connection, who.workspace_id, query, tagged)
            if wanted is None:
                raise ApiNotFound
            found, following = store.page(connection, wanted, start, limit, self.effort)
            return store.views_at(connection, who.workspace_id, found), following

        views, following = await self.db.read(question, who.workspace_id)
        shown = [self.keys.shown(view) for view in views]
        return shown, None if following is None else cursor_of(query, following)

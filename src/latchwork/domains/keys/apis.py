"""The verbs of APIs."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from msgspec import UNSET

from latchwork.domains import audit
from latchwork.domains.keys import store
from latchwork.domains.keys.faults import ApiNotFound, DeleteProtected
from latchwork.domains.keys.records import Api, ApiChange
from latchwork.domains.keys.rules import networks
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted

_NO_FACTS: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Apis:
    """Creates, finds, changes and deletes APIs."""

    db: Database
    clock: Clock

    @uninterrupted
    async def create(self, who: Principal, *, name: str) -> Api:
        """A new API with an empty keyspace of its own."""
        who.must("api", "*", "create_api")
        now_ms = self.clock.now_ms()
        api = Api(
            id=new_id("api"),
            workspace_id=who.workspace_id,
            keyspace_id=new_id("ks"),
            name=name,
            delete_protection=False,
            ip_whitelist=(),
            default_prefix=None,
            default_byte_length=None,
            store_encrypted_keys=False,
            analytics="full",
            stale_ok_s=0,
            created_ms=now_ms,
        )

        def unit(connection: Connection) -> None:
            store.add_keyspace(connection, api.keyspace_id, api.workspace_id, now_ms)
            store.add_api(connection, api)
            _record(connection, who, now_ms, "created", api)

        await self.db.write(unit, who.workspace_id)
        return api

    async def get(self, who: Principal, api_id: str) -> Api:
        """The API; permission is checked before it is looked for. Raises `ApiNotFound`."""
        who.must("api", api_id, "read_api")
        return await self._get(who, api_id)

    async def observed(self, who: Principal, api_id: str) -> Api:
        """The API, for whoever may read its analytics; raises `ApiNotFound`."""
        if not who.may("api", api_id, "read_api"):
            who.must("api", api_id, "read_analytics")
        return await self._get(who, api_id)

    async def observed_keyspaces(self, who: Principal) -> tuple[str, ...] | None:
        """The keyspaces whose analytics the caller may read, `None` for all; raises `InsufficientPermissions`."""
        api_ids = who.among("api", "read_analytics")
        if api_ids is None:
            return None
        return await self.db.read(
            lambda connection: store.keyspaces_of_apis(connection, who.workspace_id, api_ids),
            who.workspace_id,
        )

    async def page(self, who: Principal, *, cursor: str, limit: int) -> list[tuple[Api, int]]:
        """Up to `limit` APIs from id `cursor` on, each with its number of keys."""
        who.must("api", "*", "read_api")
        return await self.db.read(
            lambda connection: store.page_apis(connection, who.workspace_id, cursor, limit), who.workspace_id
        )

    @uninterrupted
    async def update(self, who: Principal, api_id: str, change: ApiChange) -> Api:
        """Change what `change` names; raises `ApiNotFound`."""
        who.must("api", api_id, "update_api")
        values = _columns(change)
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Api:
            api = _find(connection, who, api_id)
            if not values:
                return api
            store.update_api(connection, api, values, now_ms)
            _record(connection, who, now_ms, "updated", api, audit.difference(_facts(api), values))
            changed(connection, ("api", api_id))
            return _find(connection, who, api_id)

        return await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def delete(self, who: Principal, api_id: str) -> None:
        """Delete an API, and with it the use of its keys; raises `ApiNotFound`, `DeleteProtected`."""
        who.must("api", api_id, "delete_api")
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> None:
            api = _find(connection, who, api_id)
            if api.delete_protection:
                raise DeleteProtected
            store.delete_api(connection, api.id, now_ms)
            _record(connection, who, now_ms, "deleted", api)
            changed(connection, ("api", api_id))

        await self.db.write(unit, who.workspace_id)

    async def _get(self, who: Principal, api_id: str) -> Api:
        return await self.db.read(lambda connection: _find(connection, who, api_id), who.workspace_id)


def _find(connection: Connection, who: Principal, api_id: str) -> Api:
    found = store.find_api(connection, who.workspace_id, api_id)
    if found is None:
        raise ApiNotFound
    return found


def _columns(change: ApiChange) -> dict[str, Any]:
    values = {field.name: getattr(change, field.name) for field in fields(change)}
    set_ = {name: value for name, value in values.items() if value is not UNSET}
    if "ip_whitelist" in set_:
        set_["ip_whitelist"] = list(networks(set_["ip_whitelist"]))
    return set_


def _facts(api: Api) -> dict[str, Any]:
    return asdict(api) | {"ip_whitelist": list(api.ip_whitelist)}


def _record(
    connection: Connection,
    who: Principal,
    now_ms: int,
    done: str,
    api: Api,
    meta: dict[str, Any] = _NO_FACTS,
) -> None:
    verb = done.removesuffix("d")
    resource = audit.Resource("api", api.id, api.name, meta)
    entry = audit.Entry(f"api.{verb}", f"{done.capitalize()} API {api.name}", (resource,))
    audit.record(connection, who, now_ms, entry)
    tell(connection, Event.now(who.workspace_id, f"api.{done}", now_ms, api_id=api.id))

"""Root keys: the keys through which people and programs manage a workspace."""

from collections.abc import Sequence
from dataclasses import dataclass

from latchwork.domains import audit
from latchwork.domains.keys import store
from latchwork.domains.keys.records import Key, Minted
from latchwork.domains.keys.rules import ROOT_PREFIX, digest_of, mint_root, start_of
from latchwork.domains.permissions import store as permissions_store
from latchwork.domains.workspaces import OPERATOR_ID
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.faults import BadRequest, InsufficientPermissions
from latchwork.kernel.ids import new_id
from latchwork.kernel.invalidations import Invalidations
from latchwork.kernel.principal import EVERYTHING, Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted

KEYSPACE_ID = "ks_root"
"""The operator's keyspace; no API has it, so no verification can reach into it."""


@dataclass(frozen=True, slots=True)
class RootKeys:
    """Creates root keys."""

    db: Database
    clock: Clock
    invalidations: Invalidations

    async def create(
        self,
        who: Principal,
        *,
        permissions: Sequence[str],
        name: str | None = None,
        expires_ms: int | None = None,
    ) -> Minted:
        """A new root key of the caller's workspace, which can do no more and live no longer than the caller.

        Needs `*`, `workspace.*.create_root_key`, or `unkey:v1:<workspace>:rootKeys/*#write`.
        Raises `InsufficientPermissions` for a right the caller lacks, `BadRequest` for a bad expiry.
        """
        _must_create(who)
        _must_not_exceed(who, permissions, expires_ms)
        if expires_ms is not None and expires_ms <= self.clock.now_ms():
            raise BadRequest("`expires` must be in the future, in milliseconds since the epoch.")
        return await self._issue(who, mint_root(), permissions, name, expires_ms)

    @uninterrupted
    async def ensure(self, who: Principal, text: str) -> bool:
        """See to it that `text` is a root key with `*`; whether it had to be added."""
        digest = digest_of(text)
        known = await self.db.read(lambda connection: store.digest_is_taken(connection, digest))
        if known is not None:
            return False
        await self._issue(who, text, [EVERYTHING], "bootstrap", None)
        return True

    async def count(self, workspace_id: str) -> int:
        """How many root keys act in the workspace."""
        return await self.db.read(lambda connection: store.count_root_keys(connection, workspace_id))

    @uninterrupted
    async def _issue(
        self, who: Principal, text: str, permissions: Sequence[str], name: str | None, expires_ms: int | None
    ) -> Minted:
        now_ms = self.clock.now_ms()
        key_id = new_id("key")
        key = Key(
            id=key_id,
            workspace_id=OPERATOR_ID,
            for_workspace_id=who.workspace_id,
            keyspace_id=KEYSPACE_ID,
            api_id=None,
            lineage_id=key_id,
            digest=digest_of(text),
            start=start_of(text, ROOT_PREFIX if text.startswith(ROOT_PREFIX) else None),
            name=name,
            identity_id=None,
            meta=None,
            enabled=True,
            expires_ms=expires_ms,
            ip_whitelist=(),
            created_ms=now_ms,
        )

        def unit(connection: Connection) -> None:
            if not store.has_keyspace(connection, KEYSPACE_ID):
                store.add_keyspace(connection, KEYSPACE_ID, OPERATOR_ID, now_ms)
            store.add_key(connection, key)
            ids, _ = permissions_store.ensure(connection, OPERATOR_ID, permissions, now_ms)
            store.set_permissions(connection, key, ids.values())
            resource = audit.Resource("rootKey", key.id, name, {"permissions": list(permissions)})
            entry = audit.Entry("rootKey.create", f"Created root key {key.id}", (resource,))
            audit.record(connection, who, now_ms, entry)
            tell(connection, Event.now(who.workspace_id, "root_key.created", now_ms, key_id=key.id))

        await self.db.write(unit)
        self.invalidations.announce(("key", key.digest))
        return Minted(key.id, text)


def _must_create(who: Principal) -> None:
    urn = f"unkey:v1:{who.workspace_id}:rootKeys/*#write"
    if urn not in who.permissions:
        who.must("workspace", "*", "create_root_key")


def _must_not_exceed(who: Principal, permissions: Sequence[str], expires_ms: int | None) -> None:
    if EVERYTHING not in who.permissions:
        beyond = sorted(set(permissions) - who.permissions)
        if beyond:
            raise InsufficientPermissions(
                f"A root key can only grant what it holds itself. Missing permission: '{beyond[0][:200]}'"
            )
    if who.expires_ms is not None and (expires_ms is None or expires_ms > who.expires_ms):
        raise BadRequest(
            f"`expires` must be at most {who.expires_ms}, when the key that asks expires itself."
        )

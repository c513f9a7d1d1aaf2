"""The vault's verbs."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

from latchwork.domains import audit
from latchwork.domains.encryption import rules, store
from latchwork.domains.encryption.faults import EncryptionKeyMissing, EncryptionNotSetUp, SecretDamaged
from latchwork.domains.encryption.records import DataKey, Keyring, Rotation, Usage
from latchwork.domains.workspaces import operator
from latchwork.kernel.clock import Clock
from latchwork.kernel.principal import Principal
from latchwork.kernel.sealing import SealingKey
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database
from latchwork.kernel.uninterrupted import uninterrupted

_log = logging.getLogger(__name__)
_AT_ONCE = 100  # data keys a write: whoever wants to write meanwhile waits for one of them


class Vault:
    """Seals secrets and opens them again, within a caller's unit of work.

    Nothing that was opened is kept: a data key lives as long as the unit that needs it.
    """

    def __init__(self, db: Database, clock: Clock, keyring: Keyring | None) -> None:
        self._db = db
        self._clock = clock
        self._keyring = keyring
        self._rotating = asyncio.Lock()

    async def warn(self) -> None:
        """Log which keys are missing, if any; verifying does not need them, so nothing stops for it."""
        usage = await self.usage()
        if usage.missing:
            _log.warning(
                "recoverable keys cannot be read: they are encrypted with %s, which the settings do not have",
                ", ".join(usage.missing),
            )

    # Within a unit of work

    def seal(self, connection: Connection, who: Principal, subject_id: str, text: str) -> bytes:
        """`text` sealed as the secret of that subject of the caller's workspace, which may be its first.

        Raises `EncryptionNotSetUp`, `EncryptionKeyMissing`, `SecretDamaged`.
        """
        keyring = self._given()
        key = self._data_key(connection, who, keyring)
        return rules.sealed_secret(key, who.workspace_id, subject_id, text)

    def reveal(
        self, connection: Connection, workspace_id: str, sealed: Mapping[str, bytes]
    ) -> dict[str, str]:
        """The secrets behind `sealed`, both by subject; faults as `seal`."""
        keyring = self._given()
        stored = store.find(connection, workspace_id)
        if not sealed:
            return {}
        if stored is None:
            raise SecretDamaged(private=f"workspace {workspace_id} has secrets and no data key")
        key = rules.opened_data_key(keyring, stored)
        return {
            subject_id: rules.opened_secret(key, workspace_id, subject_id, secret)
            for subject_id, secret in sealed.items()
        }

    def _given(self) -> Keyring:
        if self._keyring is None:
            raise EncryptionNotSetUp
        return self._keyring

    def _data_key(self, connection: Connection, who: Principal, keyring: Keyring) -> SealingKey:
        """The data key of the caller's workspace, a new one for its first secret."""
        found = store.find(connection, who.workspace_id)
        if found is not None:
            return rules.opened_data_key(keyring, found)
        key = SealingKey.fresh()
        stored = rules.sealed_data_key(keyring, who.workspace_id, key)
        now_ms = self._clock.now_ms()
        store.add(connection, stored, now_ms)
        entry = audit.Entry("dataKey.create", "Created the data key of the workspace", (_resource(stored),))
        audit.record(connection, who, now_ms, entry)
        return key

    # For the operator

    async def usage(self) -> Usage:
        """Which key is in use, and which keys seal how many data keys."""
        counts = await self._db.read(store.counts, ALL_WORKSPACES)
        keyring = self._keyring
        missing = [key_id for key_id in sorted(counts) if keyring is None or keyring.find(key_id) is None]
        return Usage(None if keyring is None else keyring.current.id, counts, tuple(missing))

    @uninterrupted
    async def rotate(self, keyring: Keyring | None) -> Rotation:
        """Seal every data key by `keyring.current`, and use that keyring from now on.

        Every data key is opened first, so a key that is wrong or missing changes nothing and leaves the
        keyring in use as it was; raises as `seal`. Whatever interrupts it, doing it again finishes it.
        """
        if keyring is None:
            raise EncryptionNotSetUp(
                "There is no encryption key. Set LATCHWORK_ENCRYPTION__KEY or LATCHWORK_ENCRYPTION__KEY_FILE."
            )
        async with self._rotating:
            await self._must_open_all(keyring)
            self._keyring = keyring
            resealed = 0
            while count := await self._db.write(partial(self._reseal_some, keyring=keyring), ALL_WORKSPACES):
                resealed += count
            return Rotation(keyring.current.id, resealed, sum((await self.usage()).data_keys.values()))

    async def _must_open_all(self, keyring: Keyring) -> None:
        counts = await self._db.read(store.counts, ALL_WORKSPACES)
        missing = [key_id for key_id in sorted(counts) if keyring.find(key_id) is None]
        if missing:
            raise EncryptionKeyMissing(
                f"Nothing was changed: {sum(counts[key_id] for key_id in missing)} data keys are encrypted with "
                f"{', '.join(missing)}, which the settings do not have. Give it as an older key."
            )
        after = ""
        while some := await self._db.read(partial(store.page, after=after, limit=_AT_ONCE), ALL_WORKSPACES):
            for stored in some:
                self._must_open(keyring, stored)
            after = some[-1].workspace_id

    @staticmethod
    def _must_open(keyring: Keyring, stored: DataKey) -> None:
        try:
            rules.opened_data_key(keyring, stored)
        except SecretDamaged as fault:
            raise SecretDamaged(
                f"Nothing was changed: the data key of workspace {stored.workspace_id} was damaged.",
                private=fault.private,
            ) from fault

    def _reseal_some(self, connection: Connection, keyring: Keyring) -> int:
        some = store.sealed_otherwise(connection, keyring.current.id, _AT_ONCE)
        for stored in some:
            key = rules.opened_data_key(keyring, stored)
            resealed = rules.sealed_data_key(keyring, stored.workspace_id, key)
            store.reseal(connection, resealed)
            text = f"Encrypted the data key of the workspace with {resealed.sealed_by}"
            entry = audit.Entry("dataKey.rotate", text, (_resource(resealed),))
            audit.record(connection, operator(stored.workspace_id), self._clock.now_ms(), entry)
        return len(some)


def _resource(key: DataKey) -> audit.Resource:
    return audit.Resource("dataKey", key.workspace_id, None, {"encryptedWith": key.sealed_by})

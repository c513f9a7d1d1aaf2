"""Recoverable keys: keeping their texts sealed, and revealing them again."""

from collections.abc import Sequence
from dataclasses import replace

from latchwork.domains import audit
from latchwork.domains.encryption import Vault
from latchwork.domains.keys import store
from latchwork.domains.keys.records import Api, KeyView, Minted
from latchwork.kernel.faults import PreconditionFailed
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection


def must_be_allowed(api: Api) -> None:
    """Raise `PreconditionFailed` unless the API stores recoverable keys."""
    if not api.store_encrypted_keys:
        raise PreconditionFailed(
            "This API does not store recoverable keys. Set `storeEncryptedKeys` with apis.updateApi first."
        )


def keep(connection: Connection, vault: Vault, who: Principal, minted: Minted) -> None:
    """Keep the text of a new key sealed; faults as `Vault.seal`."""
    sealed = vault.seal(connection, who, minted.key_id, minted.key)
    store.keep_sealed(connection, who.workspace_id, minted.key_id, sealed)


def revealed(
    connection: Connection, vault: Vault, who: Principal, views: Sequence[KeyView], now_ms: int
) -> list[KeyView]:
    """The views with the texts of those that are recoverable, which the audit log will tell of."""
    sealed = store.sealed_texts(connection, who.workspace_id, [view.key.id for view in views])
    texts = vault.reveal(connection, who.workspace_id, sealed)
    if texts:
        _record(connection, who, [view for view in views if view.key.id in texts], now_ms)
    return [replace(view, text=texts.get(view.key.id)) for view in views]


def _record(connection: Connection, who: Principal, views: Sequence[KeyView], now_ms: int) -> None:
    what = f"key {views[0].key.id}" if len(views) == 1 else f"{len(views)} keys"
    resources = tuple(audit.Resource("key", view.key.id, view.key.name) for view in views)
    audit.record(connection, who, now_ms, audit.Entry("key.decrypt", f"Decrypted {what}", resources))

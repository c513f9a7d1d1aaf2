"""What is bound to what: sealing and opening data keys and secrets; pure but for the nonce."""

from latchwork.domains.encryption.faults import EncryptionKeyMissing, SecretDamaged
from latchwork.domains.encryption.records import DataKey, Keyring
from latchwork.kernel.sealing import SealingKey, Unopenable

_DATA_KEY = "data key"
_SECRET = "secret"  # noqa: S105 - the kind of a sealed thing


def sealed_data_key(keyring: Keyring, workspace_id: str, key: SealingKey) -> DataKey:
    """`key` as it is stored: sealed by the key in use, for this workspace alone."""
    by = keyring.current
    return DataKey(workspace_id, by.id, by.seal(key.reveal_bytes(), _DATA_KEY, workspace_id, by.id))


def opened_data_key(keyring: Keyring, stored: DataKey) -> SealingKey:
    """The data key itself; raises `EncryptionKeyMissing` and `SecretDamaged`."""
    by = keyring.find(stored.sealed_by)
    if by is None:
        raise EncryptionKeyMissing(
            private=f"{stored.sealed_by} seals the data key of {stored.workspace_id} and was not given"
        )
    try:
        return SealingKey(by.open(stored.sealed, _DATA_KEY, stored.workspace_id, by.id))
    except Unopenable:
        where = f"the data key of workspace {stored.workspace_id} does not open with {by.id}"
        raise SecretDamaged(private=where) from None


def sealed_secret(key: SealingKey, workspace_id: str, subject_id: str, text: str) -> bytes:
    """A secret as it is stored: of this subject of this workspace and of no other."""
    return key.seal(text.encode(), _SECRET, workspace_id, subject_id)


def opened_secret(key: SealingKey, workspace_id: str, subject_id: str, sealed: bytes) -> str:
    """The secret; raises `SecretDamaged`."""
    try:
        return key.open(sealed, _SECRET, workspace_id, subject_id).decode()
    except Unopenable:
        where = f"the secret of {subject_id} in workspace {workspace_id} does not open"
        raise SecretDamaged(private=where) from None

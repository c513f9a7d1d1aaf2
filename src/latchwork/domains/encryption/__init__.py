"""Encryption: secrets of workspaces that must be readable again, such as recoverable keys.

An envelope: each workspace has a data key, which seals its secrets; the operator's key seals the data
keys and is never stored with them. Changing the operator's key re-seals the data keys alone.
"""

from latchwork.domains.encryption.faults import (
    EncryptionKeyMissing,
    EncryptionKeyUnusable,
    EncryptionNotSetUp,
    SecretDamaged,
)
from latchwork.domains.encryption.records import Keyring, Rotation, Usage
from latchwork.domains.encryption.service import Vault

__all__ = [
    "EncryptionKeyMissing",
    "EncryptionKeyUnusable",
    "EncryptionNotSetUp",
    "Keyring",
    "Rotation",
    "SecretDamaged",
    "Usage",
    "Vault",
]

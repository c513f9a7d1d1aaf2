"""Keys that seal data keys, data keys, and what is told of both."""

from dataclasses import dataclass

from latchwork.kernel.sealing import SealingKey


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key that seals from now on, and older ones that still open."""

    current: SealingKey
    older: tuple[SealingKey, ...] = ()

    def find(self, key_id: str) -> SealingKey | None:
        """The key with that id."""
        return next((key for key in (self.current, *self.older) if key.id == key_id), None)


@dataclass(frozen=True, slots=True)
class DataKey:
    """A workspace's data key, sealed by the key with id `sealed_by`."""

    workspace_id: str
    sealed_by: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did: `resealed` of all `data_keys` are now under `key_id`, the others were before."""

    key_id: str
    resealed: int
    data_keys: int


@dataclass(frozen=True, slots=True)
class Usage:
    """The key in use, `None` without one, and how many data keys each key seals; `missing` ones are not given."""

    key_id: str | None
    data_keys: dict[str, int]
    missing: tuple[str, ...]

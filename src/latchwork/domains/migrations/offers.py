"""Keys that are offered with everything they refer to already in place: what fits, and what does not."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from latchwork.domains.encryption import Vault
from latchwork.domains.keys import Api
from latchwork.domains.migrations import store
from latchwork.domains.migrations.faults import KeyAlreadyExists
from latchwork.domains.migrations.records import ForeignKey, Offer
from latchwork.domains.permissions import PermissionNotFound, RoleNotFound
from latchwork.domains.permissions import store as permissions_store
from latchwork.kernel.faults import Fault
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection


def must(who: Principal, offers: Iterable[Offer]) -> None:
    """Raise `InsufficientPermissions` unless the caller may make these keys in their APIs."""
    for api_id, has_text in sorted({(offer.api_id, offer.text is not None) for offer in offers}):
        who.must("api", api_id, "create_key")
        if has_text:
            who.must("api", api_id, "encrypt_key")


def accepted(connection: Connection, vault: Vault, who: Principal, api: Api, offer: Offer) -> ForeignKey:
    """The key of an offer, its text sealed where the API stores recoverable keys; faults as `Vault.seal`."""
    if offer.text is None or not api.store_encrypted_keys:
        return offer.key
    return replace(offer.key, sealed=vault.seal(connection, who, offer.key.id, offer.text))


def missing(
    connection: Connection, workspace_id: str, keys: Sequence[ForeignKey]
) -> tuple[list[str], list[str]]:
    """The permissions and the roles that `keys` refer to and that do not exist."""
    return permissions_store.missing(
        connection,
        workspace_id,
        dict.fromkeys(slug for key in keys for slug in key.wanted.permissions),
        dict.fromkeys(name for key in keys for name in key.wanted.roles),
    )


def faults_of(connection: Connection, workspace_id: str, keys: Sequence[ForeignKey]) -> list[Fault | None]:
    """What is wrong with each of `keys`, if anything is: of the same hash the first one is right."""
    slugs, names = (set(each) for each in missing(connection, workspace_id, keys))
    taken = store.taken(connection, [key.digest for key in keys])
    found: list[Fault | None] = []
    for key in keys:
        fault = _fault(key, slugs, names, taken)
        found.append(fault)
        if fault is None:
            taken.add(key.digest)
    return found


def _fault(key: ForeignKey, slugs: set[str], names: set[str], taken: set[bytes]) -> Fault | None:
    for slug in key.wanted.permissions:
        if slug in slugs:
            return PermissionNotFound(f"Permission '{slug}' was not found in this workspace.")
    for name in key.wanted.roles:
        if name in names:
            return RoleNotFound(f"Role '{name}' was not found in this workspace.")
    return KeyAlreadyExists() if key.digest in taken else None

"""What callers may be told about identities."""

from latchwork.kernel.faults import Conflict, NotFound


class IdentityNotFound(NotFound):
    """No live identity has that id or external id in this workspace."""

    code = "unkey/data/identity_not_found"
    default_detail = "This identity does not exist."


class IdentityAlreadyExists(Conflict):
    """A live identity already has that external id."""

    code = "unkey/data/identity_already_exists"

    def __init__(self, external_id: str) -> None:
        super().__init__(f"Identity with externalId '{external_id}' already exists in this workspace.")

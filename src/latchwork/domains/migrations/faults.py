"""What callers may be told about migrations."""

from latchwork.kernel.faults import BadRequest, Conflict, NotFound


class MigrationNotFound(NotFound):
    """No migration has that id in this workspace."""

    code = "unkey/data/migration_not_found"
    default_detail = "The requested migration does not exist."


class MalformedKey(BadRequest):
    """The key cannot be one that this migration takes over."""

    default_detail = (
        "The key is not a prefixed API key: it needs three parts or more with underscores between them."
    )


class KeyAlreadyExists(Conflict):
    """Some key, here or in another workspace, has that hash already."""

    code = "unkey/data/key_already_exists"
    default_detail = "A key with this hash already exists."

"""What callers may be told about encryption; never which key, except to the operator."""

from latchwork.kernel.faults import Fault, PreconditionFailed


class EncryptionNotSetUp(PreconditionFailed):
    """The server has no encryption key."""

    default_detail = "Recoverable keys need an encryption key, which this server does not have."


class EncryptionKeyMissing(PreconditionFailed):
    """Data keys are sealed by a key that the server was not given."""

    default_detail = (
        "The secrets of this workspace are encrypted with a key that this server was not given. "
        "Its operator can add it."
    )


class EncryptionKeyUnusable(PreconditionFailed):
    """A key, or the file that holds it, cannot be read; for the operator."""


class SecretDamaged(Fault):
    """A stored secret does not open: it was changed, or moved here from elsewhere."""

    code = "unkey/application/assertion_failed"
    status = 500
    title = "Internal Server Error"
    default_detail = "A stored secret cannot be decrypted: it was changed, or does not belong here."

"""What callers may be told about the audit log."""

from latchwork.kernel.faults import Unavailable


class SealsUnavailable(Unavailable):
    """The seals of the audit log cannot be read, without which nobody can say that it holds."""

    default_detail = "The seals of the audit log cannot be read, so the log was not checked."

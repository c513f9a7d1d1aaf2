"""What callers may be told about their own root key."""

from latchwork.kernel.faults import Forbidden


class CallerDisabled(Forbidden):
    """The root key is switched off."""

    code = "unkey/authorization/key_disabled"
    title = "Key is disabled"
    default_detail = "This root key is disabled."


class CallerExpired(Forbidden):
    """The root key has expired."""

    default_detail = "This root key has expired."

"""What callers may be told about their own root key."""

from typing import TYPE_CHECKING

from latchwork.kernel.faults import Forbidden

if TYPE_CHECKING:
    from latchwork.domains.verification.snapshots import CallerSnapshot


class CallerRefused(Forbidden):
    """A root key that is known, and may not call now; `caller` is whose it is."""

    def __init__(self, caller: "CallerSnapshot | None" = None) -> None:
        super().__init__()
        self.caller = caller


class CallerDisabled(CallerRefused):
    """The root key is switched off."""

    code = "unkey/authorization/key_disabled"
    title = "Key is disabled"
    default_detail = "This root key is disabled."


class CallerExpired(CallerRefused):
    """The root key has expired."""

    default_detail = "This root key has expired."

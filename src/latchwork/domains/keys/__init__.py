"""APIs, their keyspaces and the keys in them.

A key's text is shown once and only its SHA-256 is stored; that of a recoverable key also encrypted.
"""

from latchwork.domains.keys.apis import Apis
from latchwork.domains.keys.faults import ApiNotFound, DeleteProtected, KeyNotFound
from latchwork.domains.keys.records import (
    Api,
    ApiChange,
    CreditsChange,
    Key,
    KeyChange,
    KeyView,
    Minted,
    NewKey,
    Owner,
)
from latchwork.domains.keys.reservations import Reservations
from latchwork.domains.keys.rules import networks
from latchwork.domains.keys.service import Keys
from latchwork.domains.keys.usage import KeyUsage

__all__ = [
    "Api",
    "ApiChange",
    "ApiNotFound",
    "Apis",
    "CreditsChange",
    "DeleteProtected",
    "Key",
    "KeyChange",
    "KeyNotFound",
    "KeyUsage",
    "KeyView",
    "Keys",
    "Minted",
    "NewKey",
    "Owner",
    "Reservations",
    "networks",
]

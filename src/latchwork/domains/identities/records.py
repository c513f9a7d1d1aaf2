"""What an identity is."""

from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, UnsetType

from latchwork.domains.credits import Balance
from latchwork.domains.ratelimits import LimitRule


@dataclass(frozen=True, slots=True)
class Identity:
    """Who keys are for; `meta` is the owner's own JSON, `limits` and `credits` are shared by all its keys."""

    id: str
    workspace_id: str
    external_id: str
    meta: dict[str, Any]
    limits: tuple[LimitRule, ...] = ()
    credits: Balance | None = None


@dataclass(frozen=True, slots=True)
class IdentityChange:
    """What to change of an identity: what is unset stays, `limits` replace all that there are."""

    meta: dict[str, Any] | UnsetType = UNSET
    limits: tuple[LimitRule, ...] | UnsetType = UNSET

"""Balances, refills, holds, and what may be asked of them."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from msgspec import UNSET, UnsetType

Interval = Literal["daily", "monthly"]


@dataclass(frozen=True, slots=True)
class Refill:
    """What a balance is topped up to, and when; `day` of the month (1–31) for monthly ones only.

    A month without that day is topped up on its last day.
    """

    interval: Interval
    amount: int
    day: int | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """The credits of a key or an identity. A subject without a balance is unlimited.

    `refilled_ms` is when a refill last raised them.
    """

    remaining: int
    refill: Refill | None = None
    refilled_ms: int | None = None


def facts_of(balance: Balance | None) -> dict[str, Any]:
    """A balance as the audit log tells it; `None` is unlimited."""
    if balance is None:
        return {"remaining": None}
    refill = {} if balance.refill is None else {"refill": asdict(balance.refill)}
    return {"remaining": balance.remaining} | refill


@dataclass(frozen=True, slots=True)
class Refilled:
    """A refill that was due: by how much it raised the balance, 0 if that was high enough, and to what."""

    workspace_id: str
    subject_id: str
    added: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Change:
    """An administrative change of a balance; what is unset stays.

    `remaining` of `None` makes the subject unlimited and takes its refill away. `add` raises the
    balance or, negative, lowers it, never below 0.
    """

    remaining: int | UnsetType | None = UNSET
    refill: Refill | UnsetType | None = UNSET
    add: int | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Credits set aside for work whose cost is not yet known; they return by themselves at `expires_ms`.

    It is for `subject_id`; `amount` was taken from each of the `payers`.
    """

    id: str
    workspace_id: str
    subject_id: str
    payers: tuple[str, ...]
    amount: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """A fresh hold and what is left beside it, of whichever payer has less."""

    hold: Hold
    remaining: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a hold ended: `spent` and `released` add up to it; `remaining` as in `Reservation`, `None` if unlimited."""

    subject_id: str
    spent: int
    released: int
    remaining: int | None


@dataclass(frozen=True, slots=True)
class Spending:
    """What became of asking for credits: whether they were taken, and what each subject has left.

    `None` is unlimited. With an `error` nothing is known of what is left, and nothing was given.
    """

    spent: bool
    remaining: tuple[int | None, ...] = ()
    error: Exception | None = None

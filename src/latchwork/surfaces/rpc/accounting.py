"""What a call of a procedure leaves behind where its verb recorded nothing: who tried what, and how it ended."""

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from latchwork.domains.audit import Attempt, Resource
from latchwork.kernel.faults import Fault
from latchwork.kernel.principal import Principal
from latchwork.surfaces.http.faults import Unexpected

Account = Callable[[Principal, Attempt], Awaitable[None]]
"""Records an attempt; must not fail."""

_OUR_ID = re.compile(r"[a-z]{2,5}_[0-9A-Za-z]{22}")  # no other text of a caller's is kept as an id
_NAMES = frozenset({"namespace", "identity", "externalId", "role", "permission", "portal", "slug"})
_MOST_CHARS = 255
_MOST_DETAIL = 500


async def unaccounted(who: Principal, attempt: Attempt) -> None:
    """Nobody keeps an account."""


def attempt_of(what: str, arguments: tuple[Any, ...], error: Exception | None) -> Attempt:
    """A call of the procedure `what` that ended with `error`, or well.

    A thing that was not found is not named, and of permissions that would do only the first, which holds no id:
    people paste keys where ids belong.
    """
    if error is None:
        return Attempt(what, targets=tuple(_targets(arguments)))
    fault = error if isinstance(error, Fault) else Unexpected()
    reason = fault.detail.partition(" or ")[0][:_MOST_DETAIL]
    return Attempt(
        what,
        fault.status,
        fault.code,
        reason if fault.status == 403 else None,
        () if fault.status == 404 else tuple(_targets(arguments)),
    )


def _targets(arguments: tuple[Any, ...]) -> Iterator[Resource]:
    """What a request names: our own ids, and the names of things that are no secrets."""
    for body in arguments:
        if not isinstance(body, msgspec.Struct):
            continue
        for field in msgspec.structs.fields(body):
            value = getattr(body, field.name)
            if isinstance(value, str) and _may_be_kept(field.encode_name, value):
                shown = value[:_MOST_CHARS].replace("\0", "\ufffd")
                yield Resource(field.encode_name.removesuffix("Id"), shown)


def _may_be_kept(name: str, value: str) -> bool:
    return name in _NAMES or (name.endswith("Id") and _OUR_ID.fullmatch(value) is not None)

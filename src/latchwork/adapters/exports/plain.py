"""CSV and JSON of one's own: columns in the words of the API."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from latchwork.adapters.exports.files import Unreadable
from latchwork.adapters.exports.values import Fields, Wrong, given
from latchwork.domains.migrations import shown_of

_META = "meta."
_SPELLINGS = {
    "externalid": "externalId",
    "ownerid": "externalId",
    "userid": "externalId",
    "plaintext": "key",
    "keyhash": "hash",
    "hashedkey": "hash",
    "expiresat": "expires",
    "expiration": "expires",
    "remaining": "credits",
    "limits": "ratelimits",
    "ipwhitelist": "ipWhitelist",
    "refillamount": "refillAmount",
    "refillinterval": "refillInterval",
    "refillday": "refillDay",
    "metadata": "meta",
}
COLUMNS = (
    "key",
    "hash",
    "start",
    "name",
    "externalId",
    "meta",
    "roles",
    "permissions",
    "expires",
    "enabled",
    "credits",
    "refillInterval",
    "refillAmount",
    "refillDay",
    "ratelimits",
    "ipWhitelist",
)

_KNOWN = f"Known are {', '.join(COLUMNS)} and meta.<name>."


def check(names: Iterable[str]) -> None:
    """Raise `Unreadable` for a column that nobody knows, which would be wrong in every row."""
    try:
        for name in names:
            _spelt(name)
    except Wrong as wrong:
        raise Unreadable(f"The column {wrong.field!r} is not known. {_KNOWN}") from None


def key_of(record: dict[str, Any]) -> dict[str, Any]:
    """A row in the words of the API; raises `Wrong`."""
    fields = Fields({_spelt(name): value for name, value in record.items()})
    meta = (fields.json_object("meta") or {}) | fields.below(_META)
    return given(
        **hash_of(fields),
        name=fields.text("name"),
        externalId=fields.text("externalId"),
        meta=meta or None,
        roles=fields.words("roles"),
        permissions=fields.words("permissions"),
        expires=fields.moment_ms("expires"),
        enabled=fields.truth("enabled"),
        credits=_credits(fields),
        ratelimits=fields.limits("ratelimits"),
        ipWhitelist=fields.words("ipWhitelist"),
    )


def hash_of(fields: Fields) -> dict[str, Any]:
    """Hash and start: as given, or made here of the text, which then goes no further."""
    text, hash_, start = fields.text("key"), fields.text("hash"), fields.text("start")
    if text is not None and hash_ is not None:
        raise Wrong("hash", "There is the key itself as well; give one of them.")
    if text is None:
        if hash_ is None:
            raise Wrong("hash", "It is missing, and so is the key itself.")
        return {"hash": hash_, "start": start}
    return {"hash": sha256(text.encode()).hexdigest(), "start": start or shown_of(text) or None}


def _credits(fields: Fields) -> dict[str, Any] | None:
    remaining, interval = fields.integer("credits"), fields.text("refillInterval")
    if remaining is None and interval is None:
        return None
    if remaining is None:
        raise Wrong("credits", "It is needed where there is a refill.")
    if interval is None:
        return {"remaining": remaining}
    refill = given(
        interval=interval, amount=fields.integer("refillAmount"), refillDay=fields.integer("refillDay")
    )
    return {"remaining": remaining, "refill": refill}


def _spelt(name: str) -> str:
    if name.startswith(_META):
        return name
    folded = name.replace("_", "").replace(" ", "").lower()
    found = _SPELLINGS.get(folded, folded)
    if found not in COLUMNS:
        raise Wrong(name[:64], f"It is not known. {_KNOWN}")
    return found

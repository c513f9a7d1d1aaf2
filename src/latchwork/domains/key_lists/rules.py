"""Cursors, and what a search may be besides a text; pure."""

import base64
import binascii
import re
from typing import Annotated

import msgspec
from msgspec import Meta

from latchwork.domains.key_lists.records import KeyQuery, Position
from latchwork.kernel.faults import BadRequest

_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{64}")
_WITHOUT_NUL = r"^[^\x00]*$"
_BASE64 = re.compile(r"[0-9a-zA-Z+/]{43}=")


class _Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What an opaque cursor holds; an order names its own."""

    sort: str
    value: Annotated[str, Meta(pattern=_WITHOUT_NUL)] | Annotated[int, Meta(ge=0, lt=2**53)]
    key_id: Annotated[str, Meta(pattern=_WITHOUT_NUL)]


def cursor_of(query: KeyQuery, position: Position) -> str:
    """The cursor of a page that begins there: the id itself where keys are ordered by it, else opaque."""
    if position.value is None:
        return position.key_id
    packed = msgspec.json.encode(_Cursor(query.sort, position.value, position.key_id))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def position_of(query: KeyQuery, cursor: str) -> Position | None:
    """Where a page begins, `None` for the first; raises `BadRequest` for a cursor of another order."""
    if not cursor:
        return None
    if query.order == "createdAt":
        return Position(None, cursor)
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found = msgspec.json.decode(packed, type=_Cursor)
    except (ValueError, binascii.Error):
        found = None
    if found is None or found.sort != query.sort or isinstance(found.value, str) != (query.order == "name"):
        raise BadRequest(f"`cursor` is not one of a list that is sorted by {query.sort}.")
    return Position(found.value, found.key_id)


def digest_in(search: str) -> bytes | None:
    """The SHA-256 that a search may be, in Base64 or as hexadecimal digits."""
    text = search.strip()
    if _HEXADECIMAL.fullmatch(text):
        return bytes.fromhex(text)
    return base64.b64decode(text) if _BASE64.fullmatch(text) else None

"""Codes, tokens, addresses and scopes; pure."""

import hashlib
import ipaddress
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from latchwork.domains.portals.records import NewPortal, PortalChange
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.ids import base62

CODE_MS = 15 * 60_000
TOKEN_MS = 24 * 3_600_000
_CODE = "pst"
_TOKEN = "pat"  # noqa: S105 - a prefix
_SECRET_CHARS = 24  # 142 bits
_IMPLIED = {
    "keys:read": ("read_key", "read_api"),
    "keys:create": ("create_key",),
    "keys:reroll": ("create_key",),
    "analytics:read": ("read_analytics",),
}
_ISSUING = {"keys:create", "keys:reroll"}


def new_code() -> str:
    """The code that opens a session."""
    return _secret(_CODE)


def new_token() -> str:
    """The access token of an opened session."""
    return _secret(_TOKEN)


def _secret(prefix: str) -> str:
    return f"{prefix}_{base62(secrets.randbelow(62**_SECRET_CHARS), _SECRET_CHARS)}"


def digest_of(secret: bytes) -> bytes:
    """The SHA-256 of a code or token: the only thing of it that is stored."""
    return hashlib.sha256(secret).digest()


def implied(scopes: Iterable[str], *, encrypted: bool) -> tuple[str, ...]:
    """The actions on the portal's API that `scopes` stand for; `encrypted` where its keys are recoverable."""
    found = dict.fromkeys(action for scope in scopes for action in _IMPLIED[scope])
    if encrypted and _ISSUING & set(scopes):
        found["encrypt_key"] = None
    return tuple(found)


def check_resource(wanted: NewPortal | PortalChange, *, required: bool) -> None:
    """Raise `BadRequest` unless one resource is named, or, where that is not required, at most one."""
    named = [each for each in (wanted.keyspace_id, wanted.app_id) if isinstance(each, str)]
    if len(named) > 1:
        raise BadRequest("Give either `keyspaceId` or `appId`, not both.")
    if required and not named:
        raise BadRequest("Give the `keyspaceId` that the portal is to serve.")


def check_branding(wanted: NewPortal | PortalChange) -> None:
    """Raise `BadRequest` for a logo that browsers could not load safely."""
    if isinstance(wanted.logo_url, str) and not _is_address(wanted.logo_url, ("https",)):
        raise BadRequest("`logoUrl` must be an absolute https address without a user name.")


def check_return_url(url: str | None) -> None:
    """Raise `BadRequest` for an address that people should not be sent to."""
    if url is not None and not _is_address(url, ("https", "http")):
        raise BadRequest("`returnUrl` must be an absolute http or https address without a user name.")


def _is_address(url: str, schemes: tuple[str, ...]) -> bool:
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        reachable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return reachable and parts.scheme in schemes and "@" not in parts.netloc


def neighbourhood(ip: str) -> str:
    """Whom failed attempts from an address count against: the address, of IPv6 the network of 64 bits."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    return ip if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))

"""What a client may send: sizes, and the shapes of a head that are refused before anything reads it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass


def _one_mebibyte(path: str) -> int:
    return 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes and times in seconds that hold for every request and connection.

    The deadlines are looked at once a second, so each may pass up to a second late, never early.
    """

    head_bytes: int = 32_768
    """Request line and headers together; beyond it 431."""
    target_bytes: int = 8_192
    """The request's target; beyond it 414."""
    max_body: Callable[[str], int] = _one_mebibyte
    """Bytes of body that a path accepts; beyond it 413."""
    hot_body_bytes: int = 65_536
    """Larger bodies of hot paths take the ordinary way."""
    connections: int = 10_000
    """Connections at the same time; further ones are answered 503."""
    head_s: float = 10.0
    """From a head's first byte to its last; then 408."""
    body_idle_s: float = 10.0
    """Without any byte of a body that is due; then 408."""
    body_bytes_per_s: int = 1_024
    """Slowest rate of a body, over periods of `body_idle_s`; below it 408."""
    keep_alive_s: float = 75.0
    """Without a request; then the connection is closed."""
    stalled_write_s: float = 60.0
    """Without the client reading what is written for it; then the connection is cut."""
    linger_s: float = 2.0
    """How long bytes are still thrown away after a refusal, so that the client can read it."""


class Refused(Exception):
    """The request is answered `status`, and nothing after it is read."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})

_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def is_host(value: bytes) -> bool:
    """Whether a Host header names one host, perhaps with a port, and carries nothing else."""
    return _HOST.fullmatch(value) is not None


def must_be_served(method: bytes, version: str, target: bytes, fields: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise `Refused` for a head that the parser lets pass and that two servers could read in two ways.

    RFC 9112: one Host (section 3.2), a target in origin form (3.2.1), `chunked` as the only transfer
    coding and not from an HTTP/1.0 client (6.1).
    """
    if method not in _METHODS:
        raise Refused(405)
    if version not in ("1.1", "1.0") or not target.startswith(b"/") or b"#" in target:
        raise Refused(400)
    hosts, codings = _of_interest(fields)
    if len(hosts) > 1 or not all(map(is_host, hosts)) or (not hosts and version == "1.1"):
        raise Refused(400)
    if codings and (codings != [b"chunked"] or version == "1.0"):
        raise Refused(400)


def _of_interest(fields: Iterable[tuple[bytes, bytes]]) -> tuple[list[bytes], list[bytes]]:
    hosts: list[bytes] = []
    codings: list[bytes] = []
    for name, value in fields:
        lowered = name.lower()
        if lowered == b"host":
            hosts.append(value)
        elif lowered == b"transfer-encoding":
            codings.append(value.strip().lower())
    return hosts, codings

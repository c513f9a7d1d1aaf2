"""Identifiers: a typed prefix and characters that sort by time of creation."""

import secrets
import time
from collections.abc import Iterator

# In ASCII order, so that text sorts as the numbers do.
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_TIME_CHARS = 8  # 62**8 ms reach past the year 8000
_RANDOM_CHARS = 14  # 83 bits
_RANDOM_SPACE = 62**_RANDOM_CHARS


def base62(number: int, width: int) -> str:
    """`number` in base 62, zero-filled to `width` characters."""
    digits = []
    for _ in range(width):
        number, rest = divmod(number, 62)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))


class _Sequence:
    """Draws (time, random) pairs that never repeat or go backwards within a process."""

    def __init__(self) -> None:
        self._time_ms = 0
        self._random = 0

    def next(self) -> str:
        now_ms = time.time_ns() // 1_000_000
        if now_ms > self._time_ms:
            self._time_ms, self._random = now_ms, secrets.randbelow(_RANDOM_SPACE // 2)
        else:
            self._random += 1 + secrets.randbelow(1 << 32)
        return base62(self._time_ms, _TIME_CHARS) + base62(self._random, _RANDOM_CHARS)


_sequence = _Sequence()


def new_id(prefix: str) -> str:
    """`prefix_` and 22 characters of `[0-9A-Za-z]`; later ids of one process sort after earlier ones."""
    return f"{prefix}_{_sequence.next()}"


def _request_ids() -> Iterator[str]:
    while True:
        head = "req_" + base62(secrets.randbelow(62**5), 5)
        for high in _PAIRS:
            prefix = head + high
            for low in _PAIRS:
                yield prefix + low


_requests = _request_ids()


def new_request_id() -> str:
    """`req_` and 9 alphanumeric characters: 5 drawn at random for every 14.7 million, 4 counted."""
    return next(_requests)

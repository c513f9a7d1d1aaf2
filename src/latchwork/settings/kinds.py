"""Kinds of values: how each is read from text or TOML, and what is said when it is wrong.

A reader takes what the user gave and returns the value, or raises `ValueError` with the end of a
sentence whose beginning names the setting: "… must be a whole number from 1 to 9, not x".
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")
_SAMPLES = ("changeme", "change-me", "change_me", "replaceme", "replace-me", "replace_me")
_HIDDEN = "********"


class Kind(NamedTuple):
    """What a setting takes: `right` in words, and `read`, which makes a value of it."""

    right: str
    read: Callable[[object], object]


class Secret:
    """A value that is never shown: printing it, logging it or formatting it gives `shown`."""

    __slots__ = ("_value", "shown")

    def __init__(self, value: str, shown: str = _HIDDEN) -> None:
        self._value = value
        self.shown = shown

    def reveal(self) -> str:
        """The value itself, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.shown})"

    def __str__(self) -> str:
        return self.shown

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def text(right: str) -> Kind:
    """Any text but an empty one."""

    def read(raw: object) -> object:
        if isinstance(raw, str) and raw.strip():
            return raw.strip()
        raise _wrong(right, raw)

    return Kind(right, read)


def whole(low: int, high: int) -> Kind:
    """A whole number, both ends included."""
    right = f"a whole number from {low} to {high}"

    def read(raw: object) -> object:
        number = _number(int, raw)
        if number is None or not low <= number <= high:
            raise _wrong(right, raw)
        return number

    return Kind(right, read)


def seconds(low: float, high: float) -> Kind:
    """A duration in seconds, fractions allowed, both ends included."""
    right = f"seconds from {low:g} to {high:g}"

    def read(raw: object) -> object:
        number = _number(float, raw)
        if number is None or not low <= number <= high:
            raise _wrong(right, raw)
        return number

    return Kind(right, read)


def choice(*words: str) -> Kind:
    """One of a few words, in any case."""
    right = f"{', '.join(words[:-1])} or {words[-1]}"

    def read(raw: object) -> object:
        word = raw.strip().lower() if isinstance(raw, str) else raw
        if word in words:
            return word
        raise _wrong(right, raw)

    return Kind(right, read)


def _read_switch(raw: object) -> object:
    word = str(raw).strip().lower()
    if word in _TRUE + _FALSE:
        return word in _TRUE
    raise _wrong(yes_or_no.right, raw)


yes_or_no = Kind("true or false", _read_switch)


def _read_path(raw: object) -> object:
    if isinstance(raw, str | Path) and str(raw).strip():
        return Path(raw).expanduser()
    raise _wrong(path.right, raw)


path = Kind("a path", _read_path)


def _read_networks(raw: object) -> object:
    from ipaddress import ip_network

    found = []
    for part in _parts(raw, networks.right):
        try:
            found.append(str(ip_network(part, strict=False)))
        except ValueError:
            raise _wrong(networks.right, part) from None
    return tuple(found)


networks = Kind("networks such as 10.0.0.0/8, separated by commas", _read_networks)

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")


def _read_header_names(raw: object) -> object:
    found = _parts(raw, header_names.right)
    if not found or not all(_HEADER_NAME.fullmatch(name) for name in found):
        raise _wrong(header_names.right, raw)
    return tuple(found)


header_names = Kind("names of headers, separated by commas", _read_header_names)


def _read_web_address(raw: object) -> object:
    from urllib.parse import urlsplit

    address = raw.strip().rstrip("/") if isinstance(raw, str) else ""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not address.isascii() or set(address) & set(" ?#@\\"):
        raise _wrong(web_address.right, raw)
    return address


web_address = Kind("an http or https address such as https://api.example.com", _read_web_address)


def secret(least: int) -> Kind:
    """A secret of at least so many characters that nobody took from an example."""
    right = f"a secret of {least} characters or more"

    def read(raw: object) -> object:
        if (
            not isinstance(raw, str)
            or len(raw) < least
            or not raw.isascii()
            or not raw.isprintable()
            or " " in raw
        ):
            raise ValueError(f"must be {right}, printable ASCII without spaces")
        _refuse_sample(raw)
        return Secret(raw)

    return Kind(right, read)


def _read_encryption_key(raw: object) -> object:
    from latchwork.kernel.sealing import SealingKey

    try:
        SealingKey.of_text(raw if isinstance(raw, str) else "")
    except ValueError as reason:  # which says nothing of the key itself
        raise ValueError(f"must be {encryption_key.right}; what was given {reason}") from None
    return Secret(str(raw).strip())


encryption_key = Kind("a key that `latchwork encryption generate-key` made", _read_encryption_key)


def _read_encryption_keys(raw: object) -> object:
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError(f"must be {encryption_keys.right}")
    return tuple(_read_encryption_key(part) for part in parts)


encryption_keys = Kind("keys like it, separated by commas", _read_encryption_keys)


def _read_postgres_url(raw: object) -> object:
    from urllib.parse import urlsplit

    try:
        parsed = urlsplit(raw if isinstance(raw, str) else "")
        whole_url = parsed.scheme in ("postgresql", "postgres") and parsed.path.strip("/")
    except ValueError:
        whole_url = False
    if not whole_url:  # what was given may hold a password, so it is not repeated
        raise ValueError(f"must be {postgres_url.right}, or left out to use SQLite in the data directory")
    if parsed.password is not None:
        _refuse_sample(parsed.password)
    return Secret(str(raw), _without_password(str(raw), parsed.password))


postgres_url = Kind("a URL such as postgresql://user:password@host:5432/database", _read_postgres_url)


def _read_clickhouse_url(raw: object) -> object:
    from urllib.parse import urlsplit

    url = raw if isinstance(raw, str) else ""
    try:
        parsed = urlsplit(url)
        usable = parsed.scheme in ("http", "https") and parsed.hostname and parsed.port != 0
        usable = usable and not parsed.query and not parsed.fragment and parsed.path.count("/") < 2
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"must be {clickhouse_url.right}, or left out to keep events in the data directory")
    if parsed.password is not None:
        _refuse_sample(parsed.password)
    return Secret(url, _without_password(url, parsed.password))


clickhouse_url = Kind("a URL such as http://user:password@host:8123/database", _read_clickhouse_url)


def _read_redis_url(raw: object) -> object:
    from urllib.parse import urlsplit

    url = raw if isinstance(raw, str) else ""
    try:
        parsed = urlsplit(url)
        place = parsed.path if parsed.scheme == "unix" else parsed.hostname
        database = "" if parsed.scheme == "unix" else parsed.path.strip("/")
        usable = parsed.scheme in ("redis", "rediss", "unix") and place and parsed.port != 0
    except ValueError:
        usable, database = False, ""
    if not usable or not (database.isdigit() or not database):
        raise ValueError(f"must be {redis_url.right}, or left out to run as one process")
    if parsed.password is not None:
        _refuse_sample(parsed.password)
    return Secret(url, _without_password(url, parsed.password))


redis_url = Kind("a URL such as redis://:password@host:6379/0, or rediss:// for TLS", _read_redis_url)


_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*/?")


def _read_blobs_url(raw: object) -> object:
    from urllib.parse import urlsplit

    url = raw.strip() if isinstance(raw, str) else ""
    try:
        parsed = urlsplit(url)
        in_bucket = (
            parsed.scheme == "s3" and _BUCKET.fullmatch(parsed.netloc) and _PREFIX.fullmatch(parsed.path)
        )
        in_directory = parsed.scheme == "file" and not parsed.netloc and re.fullmatch("/+[^/].*", parsed.path)
        usable = bool(in_bucket or in_directory) and not parsed.query and not parsed.fragment
    except ValueError:
        usable = False
    if not usable:  # what was given may hold a password, so it is not repeated
        raise ValueError(f"must be {blobs_url.right}, or left out to keep them in the data directory")
    return url.rstrip("/")


blobs_url = Kind("a URL such as s3://bucket/prefix or file:///directory", _read_blobs_url)


def _without_password(url: str, password: str | None) -> str:
    return url.replace(f":{password}@", f":{_HIDDEN}@", 1) if password else url


def _refuse_sample(value: str) -> None:
    if any(sample in value.lower() for sample in _SAMPLES):
        raise ValueError("is a sample; make one of your own, for example with: openssl rand -hex 32")


def _number(kind: type[int] | type[float], raw: object) -> int | float | None:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    try:
        number = kind(raw)
    except (ValueError, OverflowError):
        return None
    return number if isinstance(raw, str) or number == raw else None


def _parts(raw: object, right: str) -> list[str]:
    """The entries of a list in TOML or of a text with commas."""
    entries = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(entries, list | tuple) or not all(isinstance(each, str) for each in entries):
        raise _wrong(right, raw)
    return [each.strip() for each in entries if each.strip()]


def _wrong(right: str, raw: object) -> ValueError:
    return ValueError(f"must be {right}, not {raw}")

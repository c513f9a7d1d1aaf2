"""Calls as requests, and answers as results or errors; knows nothing of how they travel."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec

from latchwork.client.calls import Call
from latchwork.client.errors import BY_STATUS, Refused, ServerFailed, Unreadable, Violation

R = TypeVar("R")
encode = msgspec.json.Encoder().encode


class _Meta(msgspec.Struct, rename="camel"):
    request_id: str = ""


class _Success(msgspec.Struct, Generic[R]):
    data: R


class _Error(msgspec.Struct):
    title: str = ""
    detail: str = ""
    type: str = ""
    errors: tuple[Violation, ...] = ()


class _Failure(msgspec.Struct):
    error: _Error
    meta: _Meta = msgspec.field(default_factory=_Meta)


_read_failure = msgspec.json.Decoder(_Failure).decode


def address_of(url: str) -> str:
    """The address that procedures are under; raises ValueError for one that cannot be called."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is not an address such as http://127.0.0.1:8765")
    return f"{url.rstrip('/')}/v2/"


def headers_of(root_key: str) -> dict[str, str]:
    """What every request carries; raises ValueError for a root key that no header can hold."""
    if not root_key or not root_key.isascii() or not root_key.isprintable() or " " in root_key:
        raise ValueError("the root key is not one: it must be printable ASCII without spaces")
    return {
        "authorization": f"Bearer {root_key}",
        "content-type": "application/json",
        "accept": "application/json, application/problem+json",
    }


def result_of(call: Call[R], status: int, headers: Mapping[str, str], body: bytes) -> R:
    """What a call answered; raises `Refused`, `ServerFailed` or `Unreadable`."""
    if 200 <= status < 300:
        try:
            data: R = _decoder(call.answers)(body).data
        except msgspec.DecodeError as error:
            raise Unreadable(f"{call.procedure}: the answer is not one of Latchwork: {error}") from None
        return data
    if 400 <= status < 600:
        raise _error(call, status, headers, body)
    raise Unreadable(f"{call.procedure}: {status} is not an answer of Latchwork; check the address.")


@lru_cache(maxsize=256)
def _decoder(answers: Any) -> Any:
    return msgspec.json.Decoder(_Success[answers]).decode


def _error(
    call: Call[Any], status: int, headers: Mapping[str, str], body: bytes
) -> Refused | ServerFailed | Unreadable:
    retry_after_s = _seconds(headers.get("retry-after", ""))
    try:
        failure = _read_failure(body)
    except msgspec.DecodeError:
        if status < 500:
            return Unreadable(f"{call.procedure}: {status} without an error of Latchwork; check the address.")
        failure = _Failure(_Error(title="no error of Latchwork"))
    error, request_id = failure.error, failure.meta.request_id
    if status >= 500:
        return ServerFailed(
            f"{call.procedure}: {status} {error.title} {error.detail}".strip(),
            status=status,
            request_id=request_id,
            retry_after_s=retry_after_s,
        )
    return BY_STATUS.get(status, Refused)(
        error.detail,
        status=status,
        code="/".join(error.type.rsplit("/", 3)[1:]),
        title=error.title,
        request_id=request_id,
        errors=error.errors,
        retry_after_s=retry_after_s,
    )


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None

"""The question that an operator writes into a proxy's configuration, as query parameters."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from latchwork.domains.permissions import QuerySyntaxError, compile_query
from latchwork.domains.verification import LimitClaim
from latchwork.surfaces.forward_auth.faults import InvalidQuestion

REST = "uri"
"""The parameter after which nothing is read, so that a proxy may append the client's own request there."""

MOST_COST = 1_000_000_000_000
MOST_LIMITS = 10
MOST_TAGS = 20
LONGEST_BYTES = 4_096
LONGEST_MIGRATION = 256
_MOST_COUNT = 2**53 - 1

_REMEMBERED = 1_024  # questions: a deployment has one for each protected route
_API = re.compile(r"[a-zA-Z0-9_]{3,255}")
_WHOLE = re.compile(r"[0-9]{1,16}")
_OPTION = re.compile(r"(cost|limit|duration)=([^=]*)")
_REST = re.compile(rb"(?:^|&)uri=")


class Question(NamedTuple):
    """What a key is to be used for; as in `keys.verifyKey`, for one API."""

    api_id: str
    permissions: str | None = None
    cost: int | None = None
    limits: tuple[LimitClaim, ...] = ()
    tags: tuple[str, ...] = ()
    migration_id: str | None = None


def question_of(query: bytes) -> Question:
    """The question that a query string asks; raises `InvalidQuestion`."""
    if b"uri=" in query and (rest := _REST.search(query)):
        query = query[: rest.start()]
    return _question(query)


@lru_cache(maxsize=_REMEMBERED)
def _question(query: bytes) -> Question:
    if len(query) > LONGEST_BYTES:
        raise InvalidQuestion(f"The query is {len(query)} bytes long; at most {LONGEST_BYTES} are read.")
    given: dict[str, Any] = {}
    for name, text in _parameters(query):
        field, read, most = _reader_of(name)
        value = _read(read, name, text)
        if most == 1:
            if field in given:
                raise InvalidQuestion(f"`{name}` is given more than once.")
            given[field] = value
        elif len(given.get(field, ())) == most:
            raise InvalidQuestion(f"`{name}` is given more than {most} times.")
        else:
            given[field] = (*given.get(field, ()), value)
    if "api_id" not in given:
        raise InvalidQuestion("`api` is missing: name the id of the API whose keys may pass.")
    return Question(**given)


def _parameters(query: bytes) -> Iterator[tuple[str, str]]:
    for pair in query.split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            yield _decoded(name), _decoded(value)


def _decoded(part: bytes) -> str:
    try:
        text = unquote_to_bytes(part.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise InvalidQuestion("The query is not UTF-8 in percent-encoding.") from None
    if "\0" in text:
        raise InvalidQuestion("The query holds a NUL character.")
    return text


def _reader_of(name: str) -> tuple[str, Callable[[str], Any], int]:
    found = PARAMETERS.get(name)
    if found is None:
        known = ", ".join(f"`{each}`" for each in (*PARAMETERS, REST))
        raise InvalidQuestion(f"There is no parameter `{name[:64]}`; there are {known}.")
    return found


def _read(read: Callable[[str], Any], name: str, text: str) -> Any:
    try:
        return read(text)
    except QuerySyntaxError as error:
        raise InvalidQuestion(f"`{name}`: {error.detail}") from None
    except ValueError as error:
        raise InvalidQuestion(f"`{name}` must be {error}.") from None


def _api(text: str) -> str:
    if _API.fullmatch(text) is None:
        raise ValueError("the id of an API")
    return text


def _permissions(text: str) -> str:
    compile_query(text)
    return text


def _whole(text: str, least: int, most: int) -> int:
    number = int(text) if _WHOLE.fullmatch(text) else -1
    if not least <= number <= most:
        raise ValueError(f"a whole number from {least} to {most}")
    return number


def _cost(text: str) -> int:
    return _whole(text, 0, MOST_COST)


def _tag(text: str) -> str:
    if not 1 <= len(text) <= 512:
        raise ValueError("1 to 512 characters long")
    return text


def _migration(text: str) -> str:
    if not 1 <= len(text) <= LONGEST_MIGRATION:
        raise ValueError(f"1 to {LONGEST_MIGRATION} characters long")
    return text


def _limit(text: str) -> LimitClaim:
    """`NAME`, with `cost=N` or `limit=N,duration=MS` behind it, after commas and in any order."""
    name, options = text, dict[str, int]()
    while (found := name.rpartition(","))[1] and (option := _OPTION.fullmatch(found[2])):
        key, number = option.groups()
        if key in options:
            raise ValueError(f"a limit with one `{key}`")
        try:
            options[key] = _whole(number, 1000 if key == "duration" else 0, _MOST_COUNT)
        except ValueError as error:
            raise ValueError(f"a limit whose `{key}` is {error}") from None
        name = found[0]
    if not 3 <= len(name) <= 255:
        raise ValueError("a limit with a name of 3 to 255 characters")
    if ("limit" in options) != ("duration" in options):
        raise ValueError("a limit with both `limit` and `duration`, or with neither")
    return LimitClaim(name, options.get("cost", 1), options.get("limit"), options.get("duration"))


PARAMETERS: dict[str, tuple[str, Callable[[str], Any], int]] = {
    "api": ("api_id", _api, 1),
    "permissions": ("permissions", _permissions, 1),
    "cost": ("cost", _cost, 1),
    "limit": ("limits", _limit, MOST_LIMITS),
    "tag": ("tags", _tag, MOST_TAGS),
    "migration": ("migration_id", _migration, 1),
}
"""By name: the field of `Question`, how it is read, and how often it may be given."""

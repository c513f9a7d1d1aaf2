"""The connection to a ClickHouse server, and what its errors mean."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from latchwork.domains.analytics import (
    AnalyticsUnavailable,
    InvalidQuery,
    QueryMemoryExceeded,
    QueryRowsExceeded,
    QueryTimeout,
)

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from clickhouse_connect.driver.exceptions import Error

_CONNECT_S = 2
_PORTS = {"http": 8123, "https": 8443}
_log = logging.getLogger(__name__)

_TOO_LONG = {159, 160, 209}  # TIMEOUT_EXCEEDED, TOO_SLOW, SOCKET_TIMEOUT
_TOO_LARGE = {241}  # MEMORY_LIMIT_EXCEEDED
_TOO_MANY = {158, 396}  # TOO_MANY_ROWS, TOO_MANY_ROWS_OR_BYTES
_VALUES = {
    *(6, 38, 41, 72),  # CANNOT_PARSE_TEXT, _DATE, _DATETIME, _NUMBER
    *(32, 70, 349),  # ATTEMPT_TO_READ_AFTER_EOF, CANNOT_CONVERT_TYPE, NULL where there is none
    *(69, 125, 153, 321, 407),  # ARGUMENT_OUT_OF_BOUND, a scalar of several rows, division by zero, overflows
}
_OF_THE_SERVER = {
    *(60, 81, 192, 193, 194, 497, 516),  # what is not there, or not ours: tables, databases, users, rights
    *(
        164,
        202,
        203,
        210,
        236,
        242,
        243,
        252,
        279,
        394,
        999,
    ),  # read-only, full, busy, shutting down, no keeper
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is and who asks; its text tells no secret."""

    scheme: str
    host: str
    port: int
    user: str
    password: str
    database: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/{self.database}"

    __repr__ = __str__


def address(url: str) -> Address:
    """The parts of `http[s]://[user[:password]@]host[:port][/database]`."""
    parts = urlsplit(url)
    return Address(
        parts.scheme,
        parts.hostname or "localhost",
        parts.port or _PORTS[parts.scheme],
        unquote(parts.username or "default"),
        unquote(parts.password or ""),
        unquote(parts.path.strip("/")) or "latchwork",
    )


def connected(to: Address, answer_s: int) -> "Client":
    """A client that several threads may use at a time, and that waits so long for an answer.

    Raises the driver's `Error` where the server cannot be asked.
    """
    import clickhouse_connect

    logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)  # what fails is told by who asked
    return clickhouse_connect.get_client(
        interface=to.scheme,
        host=to.host,
        port=to.port,
        username=to.user,
        password=to.password,
        database="__default__",
        connect_timeout=_CONNECT_S,
        send_receive_timeout=answer_s,
        query_retries=0,
        client_name="latchwork",
        autogenerate_session_id=False,
        show_clickhouse_errors="scrub",
        dedicated_pool=True,
    )


@contextmanager
def asking() -> Iterator[None]:
    """Whatever goes wrong within is told in the terms of the port."""
    from clickhouse_connect.driver.exceptions import Error

    try:
        yield
    except Error as error:
        raise _meant(error) from error


def _meant(error: "Error") -> Exception:
    if error.code is None or error.code in _OF_THE_SERVER:
        return AnalyticsUnavailable(private=str(error))
    if error.code in _TOO_LONG:
        return QueryTimeout()
    if error.code in _TOO_LARGE:
        return QueryMemoryExceeded()
    if error.code in _TOO_MANY:
        return QueryRowsExceeded()
    if error.code in _VALUES:
        return InvalidQuery("A value of the query cannot be computed or converted.", private=str(error))
    _log.error("A query was understood but not by the database: %s", error)
    return InvalidQuery("The query cannot be answered.", private=str(error))

"""The client for threads."""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from latchwork.client.attempts import Attempts, Deadline
from latchwork.client.calls import Call
from latchwork.client.errors import LatchworkError
from latchwork.client.terms import DEADLINE_S, Terms
from latchwork.client.verbs import Verbs
from latchwork.client.wire import encode, result_of

if TYPE_CHECKING:
    import httpx

R = TypeVar("R")


class _Body:
    """A request's body, which knows whether it has been sent: before, nothing can have been done."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size_bytes = len(content)
        self.sent = False

    def __iter__(self) -> Iterator[bytes]:
        self.sent = True
        yield self._content


class _Connections:
    """The connections of one process: a fork begins with none, since two may not speak over the same."""

    def __init__(self, terms: Terms, given: "httpx.Client | None") -> None:
        self._terms = terms
        self._given = given
        self._lock = threading.Lock()
        self._process = 0
        self._http: httpx.Client | None = None

    def http(self) -> "httpx.Client":
        if self._given is not None:
            return self._given
        http = self._http
        if http is None or self._process != os.getpid():
            with self._lock:
                if self._http is None or self._process != os.getpid():
                    self._http = self._terms.sync_http()
                    self._process = os.getpid()
                http = self._http
        return http

    def close(self) -> None:
        with self._lock:
            http, self._http = self._http, None
        if http is not None and self._process == os.getpid():
            http.close()


class Latchwork(Verbs):
    """Calls a Latchwork server, over connections that are kept open; one instance serves any number of threads."""

    def __init__(
        self,
        url: str,
        root_key: str,
        *,
        deadline_s: float = DEADLINE_S,
        retries: int = 2,
        backoff_s: float = 0.05,
        connections: int = 100,
        http: "httpx.Client | None" = None,
    ) -> None:
        """`deadline_s` is what one call may take in all, attempts and pauses included.

        `retries` are further attempts, after pauses that begin with `backoff_s`; see `Attempts` for when.
        `http` brings a client of your own (for TLS or proxies of your own); closing it is then yours, and an
        answer that trickles in may pass the deadline. Raises ValueError for an address or root key that
        cannot be one.
        """
        self._terms = Terms.of(url, root_key, deadline_s, retries, backoff_s, connections)
        self._connections = _Connections(self._terms, http)

    def within(self, deadline_s: float) -> "Latchwork":
        """The same client with another deadline; it shares the connections."""
        other = Latchwork.__new__(type(self))
        other._terms = self._terms.within(deadline_s)
        other._connections = self._connections
        return other

    def call(
        self, procedure: str, body: Mapping[str, Any] | Sequence[Any], *, repeatable: bool = False
    ) -> Any:
        """The `data` of any procedure, such as `apis.listKeys`, as the API reference describes it.

        `repeatable` says that asking twice is as good as asking once, so that it may be tried again after a
        failure that leaves open whether it was done.
        """
        return self.send(Call(procedure, body, Any, repeatable))

    def send(self, call: Call[R]) -> R:
        """The answer of a call.

        Raises `NotSent`, `Unanswered`, `ServerFailed` or `Unreadable`, all of them `Unavailable`, when there
        is no answer to rely on, and `Refused` when the server declined.
        """
        terms = self._terms
        deadline = Deadline(terms.deadline_s)
        attempts = Attempts(
            deadline, repeatable=call.repeatable, retries=terms.retries, backoff_s=terms.backoff_s
        )
        while True:
            try:
                return self._once(call, deadline)
            except LatchworkError as error:
                pause_s = attempts.pause_after(error)
                if pause_s is None:
                    raise
            time.sleep(pause_s)

    def _once(self, call: Call[R], deadline: Deadline) -> R:
        import httpx

        from latchwork.client.deadlines import until

        body = _Body(encode(call.body))
        asked = self._terms.request(call, body.size_bytes, deadline)
        http = self._connections.http()
        try:
            with until(deadline):
                answer = http.send(http.build_request("POST", content=body, **asked))
        except httpx.RequestError as error:
            raise self._terms.failure(call, error, sent=body.sent) from error
        return result_of(call, answer.status_code, answer.headers, answer.content)

    def close(self) -> None:
        """Close the connections; the next call opens others."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Latchwork({self._terms.address!r})"

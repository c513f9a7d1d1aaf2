"""The client for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakKeyDictionary

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

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.sent = True
        yield self._content


class AsyncLatchwork(Verbs):
    """Calls a Latchwork server from asyncio, over connections that are kept open.

    One instance serves any number of tasks, and of event loops one after the other or in several threads:
    each loop has connections of its own. A task that is cancelled during a call leaves it unanswered.
    """

    def __init__(
        self,
        url: str,
        root_key: str,
        *,
        deadline_s: float = DEADLINE_S,
        retries: int = 2,
        backoff_s: float = 0.05,
        connections: int = 100,
        http: "httpx.AsyncClient | None" = None,
    ) -> None:
        """See `Latchwork`."""
        self._terms = Terms.of(url, root_key, deadline_s, retries, backoff_s, connections)
        self._given = http
        self._of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()

    def within(self, deadline_s: float) -> "AsyncLatchwork":
        """The same client with another deadline; it shares the connections."""
        other = AsyncLatchwork.__new__(type(self))
        other._terms = self._terms.within(deadline_s)
        other._given = self._given
        other._of_loop = self._of_loop
        return other

    async def call(
        self, procedure: str, body: Mapping[str, Any] | Sequence[Any], *, repeatable: bool = False
    ) -> Any:
        """The `data` of any procedure, such as `apis.listKeys`; see `Latchwork.call`."""
        return await self.send(Call(procedure, body, Any, repeatable))

    async def send(self, call: Call[R]) -> R:
        """The answer of a call; errors as `Latchwork.send`."""
        terms = self._terms
        deadline = Deadline(terms.deadline_s)
        attempts = Attempts(
            deadline, repeatable=call.repeatable, retries=terms.retries, backoff_s=terms.backoff_s
        )
        while True:
            try:
                return await self._once(call, deadline)
            except LatchworkError as error:
                pause_s = attempts.pause_after(error)
                if pause_s is None:
                    raise
            await asyncio.sleep(pause_s)

    async def _once(self, call: Call[R], deadline: Deadline) -> R:
        import httpx

        body = _Body(encode(call.body))
        asked = self._terms.request(call, body.size_bytes, deadline)
        http = self._http()
        try:
            async with asyncio.timeout(deadline.left_s):
                answer = await http.send(http.build_request("POST", content=body, **asked))
        except (httpx.RequestError, TimeoutError) as error:
            raise self._terms.failure(call, error, sent=body.sent) from error
        return result_of(call, answer.status_code, answer.headers, answer.content)

    def _http(self) -> "httpx.AsyncClient":
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        http = self._of_loop.get(loop)
        if http is None:
            http = self._of_loop[loop] = self._terms.async_http()
        return http

    async def aclose(self) -> None:
        """Close the connections of the running event loop; the next call opens others."""
        http = self._of_loop.pop(asyncio.get_running_loop(), None)
        if http is not None:
            await http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"AsyncLatchwork({self._terms.address!r})"

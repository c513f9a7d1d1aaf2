"""What both clients are told when they are made, and how it becomes requests and connections."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from latchwork.client.attempts import Deadline
from latchwork.client.calls import Call
from latchwork.client.errors import NotSent, Unanswered
from latchwork.client.wire import address_of, headers_of

if TYPE_CHECKING:
    import httpx

DEADLINE_S = 3.0
"""A verification takes a millisecond or two; a server that needs longer than this is as good as away."""

_CONNECT_S = 1.0  # so that one attempt at a host that is away leaves time for another
_KEEP_ALIVE_S = 30.0  # less than the server's 75: the client, not the server, ends connections that idle


@dataclass(frozen=True, slots=True)
class Terms:
    """Where, as whom, how long, how often, over how many connections."""

    address: str
    headers: dict[str, str]
    deadline_s: float
    retries: int
    backoff_s: float
    connections: int

    @classmethod
    def of(
        cls, url: str, root_key: str, deadline_s: float, retries: int, backoff_s: float, connections: int
    ) -> "Terms":
        """Checked; raises ValueError."""
        if deadline_s <= 0 or retries < 0 or backoff_s < 0 or connections < 1:
            raise ValueError("deadline and connections must be above 0, retries and backoff not below")
        return cls(address_of(url), headers_of(root_key), deadline_s, retries, backoff_s, connections)

    def within(self, deadline_s: float) -> "Terms":
        """With another deadline."""
        return replace(self, deadline_s=deadline_s)

    def request(self, call: Call[Any], size_bytes: int, deadline: Deadline) -> dict[str, Any]:
        """The arguments of a request beside its body, which is to be a stream that knows when it is read."""
        left_s = max(deadline.left_s, 0.001)
        timeout = {"connect": min(left_s, _CONNECT_S), "read": left_s, "write": left_s, "pool": left_s}
        headers = self.headers | {"content-length": str(size_bytes)}
        if call.client_ip is not None:
            headers["x-forwarded-for"] = call.client_ip
        return {
            "url": self.address + call.procedure,
            "headers": headers,
            "extensions": {"timeout": timeout},
        }

    def failure(self, call: Call[Any], error: Exception, *, sent: bool) -> NotSent | Unanswered:
        """What is raised when the time ran out or the connection failed; `sent`: the body was on its way."""
        import httpx

        if not sent or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
            if isinstance(error, TimeoutError | httpx.TimeoutException):
                return NotSent(f"{call.procedure}: could not be sent in time; nothing was done.")
            return NotSent(f"{call.procedure}: could not be sent ({error}); nothing was done.")
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return Unanswered(f"{call.procedure}: sent, and not answered in time; it may have been done.")
        return Unanswered(f"{call.procedure}: sent, and not answered ({error}); it may have been done.")

    def sync_http(self) -> "httpx.Client":
        """Connections for threads, whose every wait ends with the deadline."""
        import httpx

        from latchwork.client.deadlines import DeadlineTransport

        return httpx.Client(transport=DeadlineTransport(self.connections, _KEEP_ALIVE_S))

    def async_http(self) -> "httpx.AsyncClient":
        """Connections for one event loop."""
        import httpx

        limits = httpx.Limits(
            max_connections=self.connections,
            max_keepalive_connections=self.connections,
            keepalive_expiry=_KEEP_ALIVE_S,
        )
        return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(limits=limits))

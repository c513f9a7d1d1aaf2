"""The control socket: how a command line asks the server that owns the data directory.

One request a line, one answer a line, both JSON: `{"verb", "arguments"}` is answered by `{"result"}`
or `{"fault": {"code", "title", "detail", "status"}}`. The socket is for the user who owns the data
directory and for nobody else.
"""

import asyncio
import contextlib
import inspect
import logging
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from latchwork.kernel.faults import BadRequest, Fault

Verb = Callable[..., Awaitable[Any]]
"""`await verb(platform, **arguments)`: what it returns is answered as JSON."""

_log = logging.getLogger("latchwork.control")
_PATH_BYTES = 103  # sun_path holds 104 bytes on macOS, 108 on Linux, the last of them a NUL
_LINE_BYTES = 1_048_576
_IDLE_S = 10.0
_TOO_LONG = "The request is longer than 1 MiB."


class Refusal(Exception):
    """A verb was refused; what a `Fault` says in public, whichever side of the socket raised it."""

    def __init__(self, code: str, title: str, detail: str, status: int) -> None:
        super().__init__(detail)
        self.code, self.title, self.detail, self.status = code, title, detail, status

    @classmethod
    def of(cls, fault: Fault) -> "Refusal":
        """The public face of `fault`."""
        return cls(fault.code, fault.title, fault.detail, fault.status)

    def as_dict(self) -> dict[str, Any]:
        """The fault's members as they travel."""
        return {"code": self.code, "title": self.title, "detail": self.detail, "status": self.status}


class NotListening(Exception):
    """Nobody took the request: no server runs, or it is still starting or already stopping."""


class Unanswered(Exception):
    """The request was sent and no answer came, so it may or may not have been done."""


async def call(verbs: Mapping[str, Verb], platform: Any, verb: str, arguments: Mapping[str, Any]) -> Any:
    """Run one verb; raises `Refusal` when it is unknown, asked wrongly, or refused."""
    try:
        return await _bound(verbs, platform, verb, arguments)
    except Fault as fault:
        raise Refusal.of(fault) from fault


def _bound(
    verbs: Mapping[str, Verb], platform: Any, verb: str, arguments: Mapping[str, Any]
) -> Awaitable[Any]:
    if verb not in verbs:
        raise BadRequest(f"There is no verb {verb}; the running server may be of another version.")
    try:
        inspect.signature(verbs[verb]).bind(platform, **arguments)
    except TypeError as error:
        raise BadRequest(f"{verb}: {error}.") from None
    return verbs[verb](platform, **arguments)


@contextlib.asynccontextmanager
async def listening(
    path: Path, verbs: Mapping[str, Verb], platform: Any, *, idle_s: float = _IDLE_S
) -> AsyncIterator[None]:
    """Answer on the socket at `path` for the block.

    Only for the owner of the data directory: whatever a killed server left at `path` is removed. A
    client that sends nothing for `idle_s` seconds, or a line over 1 MiB, is dropped.
    """
    with _socket_at(path) as listener:
        server = _Server(verbs, platform, idle_s)
        accepting = await asyncio.start_unix_server(server.converse, sock=listener, limit=_LINE_BYTES)
        try:
            yield
        finally:
            accepting.close()
            await server.close()


class _Server:
    """Every conversation that is under way."""

    def __init__(self, verbs: Mapping[str, Verb], platform: Any, idle_s: float) -> None:
        self._verbs = verbs
        self._platform = platform
        self._idle_s = idle_s
        self._closing = False
        self._all: set[asyncio.Task[Any]] = set()
        self._idle: set[asyncio.Task[Any]] = set()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._all.add(task)
        try:
            while not self._closing and (line := await self._line(task, reader)):
                writer.write(await self._answer(line) + b"\n")
                async with asyncio.timeout(self._idle_s):
                    await writer.drain()
        except Refusal as refusal:
            writer.write(_faulty(refusal) + b"\n")
        except (OSError, asyncio.CancelledError):
            pass  # gone, hanging, or idle when the server stopped: nobody is left to tell
        finally:
            self._all.discard(task)
            writer.close()

    async def _line(self, task: asyncio.Task[Any], reader: asyncio.StreamReader) -> bytes:
        self._idle.add(task)
        try:
            async with asyncio.timeout(self._idle_s):
                return await reader.readline()
        except ValueError:
            raise Refusal.of(BadRequest(_TOO_LONG)) from None
        finally:
            self._idle.discard(task)

    async def _answer(self, line: bytes) -> bytes:
        try:
            request = msgspec.json.decode(line, type=_Request)
            return msgspec.json.encode(
                {"result": await call(self._verbs, self._platform, request.verb, request.arguments)}
            )
        except msgspec.DecodeError as error:
            return _faulty(Refusal.of(BadRequest(f"The request is not understood: {error}.")))
        except Refusal as refusal:
            return _faulty(refusal)
        except Exception:  # noqa: BLE001 - logged here; the client is told no more than that it failed
            _log.exception("a command failed")
            return _faulty(_UNEXPECTED)

    async def close(self) -> None:
        """Let the verbs that run finish; hang up on everybody else."""
        self._closing = True
        for task in self._idle:
            task.cancel()
        await asyncio.gather(*self._all)


class _Request(msgspec.Struct):
    verb: str
    arguments: dict[str, Any]


_UNEXPECTED = Refusal(
    "unkey/application/unexpected_error",
    "Internal Server Error",
    "The command failed; the server's log says why.",
    500,
)


def _faulty(refusal: Refusal) -> bytes:
    return msgspec.json.encode({"fault": refusal.as_dict()})


def ask(path: Path, verb: str, arguments: Mapping[str, Any], *, timeout_s: float = 60.0) -> Any:
    """The result of a verb from the server that listens at `path`.

    Raises `Refusal` as the server answered, `NotListening` when nobody took the request, and
    `Unanswered` when it was sent but no answer came in `timeout_s` seconds.
    """
    request = msgspec.json.encode({"verb": verb, "arguments": arguments})
    if len(request) >= _LINE_BYTES:
        raise Refusal.of(BadRequest(_TOO_LONG))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path.readlink() if path.is_symlink() else path))
        except OSError as error:
            raise NotListening(f"No server listens on {path}.") from error
        answer = _exchange(connection, request)
    if "fault" in answer:
        raise Refusal(**answer["fault"])
    return answer["result"]


def _exchange(connection: socket.socket, request: bytes) -> dict[str, Any]:
    try:
        connection.sendall(request + b"\n")
        with connection.makefile("rb") as lines:
            return msgspec.json.decode(lines.readline(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise Unanswered(
            "The server did not answer, so the command may or may not have been carried out; "
            "look before repeating it."
        ) from error


@contextlib.contextmanager
def _socket_at(path: Path) -> Iterator[socket.socket]:
    """A bound socket that only this user can use; a path too long for one becomes a link to a short one."""
    _clear(path)
    if len(bytes(path)) <= _PATH_BYTES:
        place = path
    else:  # a directory with mode 0700 and a name that nobody can guess
        place = Path(tempfile.mkdtemp(prefix="latchwork-")) / "control.sock"
        path.symlink_to(place)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(place))
        place.chmod(0o600)  # before anything listens, so there is no moment when others may connect
        yield listener
    finally:
        listener.close()
        _clear(path)


def _clear(path: Path) -> None:
    """Remove the socket at `path`, and the short place that it links to."""
    if path.is_symlink():
        place = path.readlink()
        place.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            place.parent.rmdir()
    path.unlink(missing_ok=True)

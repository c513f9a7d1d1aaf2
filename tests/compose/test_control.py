"""The control socket: verbs over a line of JSON, for the owner of the directory only."""

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from latchwork.compose.control import NotListening, Refusal, Unanswered, Verb, ask, call, listening
from latchwork.kernel.faults import NotFound


class _NoSuchThing(NotFound):
    code = "unkey/data/thing_not_found"
    default_detail = "There is no such thing."


class Fake:
    """A platform that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.entered = asyncio.Event()
        self.proceed = asyncio.Event()


async def _add(platform: Fake, *, name: str, amount: int = 1) -> dict[str, Any]:
    platform.asked.append((name, amount))
    return {"name": name, "amount": amount}


async def _refuse(_platform: Fake) -> None:
    raise _NoSuchThing(private="a private fact")


async def _break(_platform: Fake) -> None:
    raise RuntimeError("a private fact")


async def _unspeakable(_platform: Fake) -> object:
    return object()


async def _wait(platform: Fake) -> str:
    platform.entered.set()
    await platform.proceed.wait()
    return "done"


VERBS: dict[str, Verb] = {
    "add": _add,
    "refuse": _refuse,
    "break": _break,
    "unspeakable": _unspeakable,
    "wait": _wait,
}
Asked = Callable[..., Any]


@pytest.fixture
def platform() -> Fake:
    return Fake()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
async def asked(path: Path, platform: Fake) -> AsyncIterator[Asked]:
    """`await asked(verb, **arguments)` from a thread, as another process would."""

    async def through_socket(verb: str, **arguments: Any) -> Any:
        return await asyncio.to_thread(ask, path, verb, arguments)

    async with listening(path, VERBS, platform):
        yield through_socket


async def _said(path: Path, line: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(line)
    answer = await reader.readline()
    writer.close()
    return json.loads(answer)  # type: ignore[no-any-return]


async def test_a_verb_is_carried_out_with_its_arguments(asked: Asked, platform: Fake) -> None:
    assert await asked("add", name="ada", amount=3) == {"name": "ada", "amount": 3}
    assert platform.asked == [("ada", 3)]


async def test_a_fault_arrives_with_its_public_face_only(asked: Asked) -> None:
    with pytest.raises(Refusal) as caught:
        await asked("refuse")
    assert caught.value.as_dict() == {
        "code": "unkey/data/thing_not_found",
        "title": "Not Found",
        "detail": "There is no such thing.",
        "status": 404,
    }


@pytest.mark.parametrize("verb", ["break", "unspeakable"])
async def test_a_broken_verb_says_no_more_than_that_it_failed(
    asked: Asked, verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Refusal) as caught:
        await asked(verb)
    assert (caught.value.status, caught.value.code) == (500, "unkey/application/unexpected_error")
    assert "private" not in caught.value.detail
    assert "a command failed" in caplog.text


async def test_an_unknown_verb_is_refused(asked: Asked) -> None:
    with pytest.raises(Refusal, match="There is no verb fly; the running server may be of another version"):
        await asked("fly")


@pytest.mark.parametrize("arguments", [{}, {"name": "ada", "colour": "red"}])
async def test_wrong_arguments_are_refused(asked: Asked, platform: Fake, arguments: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        await asked("add", **arguments)
    assert caught.value.status == 400
    assert platform.asked == []


@pytest.mark.parametrize(
    "line", [b"not json\n", b"[]\n", b'{"verb": 3, "arguments": {}}\n', b'{"verb": "add"}\n']
)
async def test_what_is_not_a_request_is_refused(asked: Asked, path: Path, line: bytes) -> None:
    assert (await _said(path, line))["fault"]["status"] == 400


async def test_one_conversation_may_ask_twice(asked: Asked, path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(path))
    for name in ("ada", "bob"):
        writer.write(json.dumps({"verb": "add", "arguments": {"name": name}}).encode() + b"\n")
        assert json.loads(await reader.readline())["result"]["name"] == name
    writer.close()


async def test_a_request_over_one_mebibyte_is_refused_before_it_is_sent(asked: Asked, platform: Fake) -> None:
    with pytest.raises(Refusal, match="longer than 1 MiB"):
        await asked("add", name="a" * 1_048_576)
    assert platform.asked == []


async def test_a_line_without_an_end_is_cut_off(asked: Asked, path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"a" * 2_200_000)
    assert b"longer than 1 MiB" in await reader.readline()
    writer.close()
    assert await asked("add", name="ada")


async def test_a_client_that_says_nothing_is_dropped(path: Path, platform: Fake) -> None:
    async with listening(path, VERBS, platform, idle_s=0.01):
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert await reader.read() == b""
        writer.close()


async def test_a_client_that_hangs_holds_up_nobody(asked: Asked, path: Path) -> None:
    hanging = [await asyncio.open_unix_connection(str(path)) for _ in range(5)]
    assert await asked("add", name="ada")
    for _, writer in hanging:
        writer.close()


async def test_stopping_lets_a_running_verb_finish_and_hangs_up_on_idle_clients(
    path: Path, platform: Fake
) -> None:
    async with listening(path, VERBS, platform):
        idle, idle_writer = await asyncio.open_unix_connection(str(path))
        running = asyncio.create_task(asyncio.to_thread(ask, path, "wait", {}))
        await platform.entered.wait()
        asyncio.get_running_loop().call_soon(platform.proceed.set)
    assert await running == "done"
    assert await idle.read() == b""
    idle_writer.close()


async def test_the_socket_is_for_its_owner_only_and_goes_with_the_server(path: Path, platform: Fake) -> None:
    async with listening(path, VERBS, platform):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_what_a_killed_server_left_is_replaced(path: Path, platform: Fake) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with listening(path, VERBS, platform):
        assert await asyncio.to_thread(ask, path, "add", {"name": "ada"})


def _long(tmp_path: Path) -> Path:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    return deep / "control.sock"


async def test_a_path_too_long_for_a_socket_works_the_same(tmp_path: Path, platform: Fake) -> None:
    path = _long(tmp_path)
    async with listening(path, VERBS, platform):
        short = path.readlink()
        assert await asyncio.to_thread(ask, path, "add", {"name": "ada"})
        assert stat.S_IMODE(short.parent.stat().st_mode) == 0o700
    assert not short.parent.exists()
    assert not path.is_symlink()


async def test_what_a_killed_server_left_elsewhere_is_removed_too(tmp_path: Path, platform: Fake) -> None:
    path = _long(tmp_path)
    left = tmp_path / "latchwork-left"
    left.mkdir()
    (left / "control.sock").touch()
    path.symlink_to(left / "control.sock")
    async with listening(path, VERBS, platform):
        assert await asyncio.to_thread(ask, path, "add", {"name": "ada"})
    assert not left.exists()


def test_nobody_listens_where_no_server_ever_was(path: Path) -> None:
    with pytest.raises(NotListening):
        ask(path, "add", {})


def test_nobody_listens_on_what_a_killed_server_left(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(NotListening):
        ask(path, "add", {})


def test_a_server_that_is_gone_before_it_answers_leaves_it_open_what_was_done(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen()
        with pytest.raises(Unanswered, match="may or may not have been carried out"):
            ask(path, "add", {}, timeout_s=0.01)


async def test_a_verb_called_directly_refuses_in_the_same_words(platform: Fake) -> None:
    assert await call(VERBS, platform, "add", {"name": "ada"}) == {"name": "ada", "amount": 1}
    with pytest.raises(Refusal, match=r"There is no such thing\."):
        await call(VERBS, platform, "refuse", {})
    with pytest.raises(RuntimeError):
        await call(VERBS, platform, "break", {})

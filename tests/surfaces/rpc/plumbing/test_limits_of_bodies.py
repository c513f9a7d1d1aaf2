"""How much of a body is read."""

from collections.abc import AsyncIterator

import pytest

from tests.surfaces.rpc.plumbing.things import World

MIB = 1_048_576


def _body(size: int) -> bytes:
    return b'{"name":"lamp","meta":{"a":"' + b"x" * (size - 31) + b'"}}'


async def test_a_body_may_be_one_mebibyte(world: World) -> None:
    assert len(_body(MIB)) == MIB
    assert (await world.post("make", _body(MIB))).status_code == 200


async def test_a_longer_one_is_413_and_the_connection_is_closed(world: World) -> None:
    answer = await world.post("make", _body(MIB + 1))
    error = answer.json()["error"]

    assert (answer.status_code, error["title"], error["errors"]) == (413, "Request Entity Too Large", [])
    assert error["type"].endswith("/user/bad_request/request_body_too_large")
    assert str(MIB) in error["detail"]
    assert answer.headers["connection"] == "close"


async def test_a_bulk_procedure_reads_ten(world: World) -> None:
    assert (await world.post("makeMany", b"[%b]" % _body(10 * MIB - 2))).status_code == 200
    assert (await world.post("makeMany", b"[%b]" % _body(10 * MIB))).status_code == 413


@pytest.mark.parametrize("announced", [str(MIB + 1), "1000000000000", "9" * 400])
async def test_an_announced_length_is_enough_to_refuse(world: World, announced: str) -> None:
    headers = {"authorization": "Bearer root_secret", "content-length": announced}
    reads = 0

    async def receive() -> dict[str, object]:
        nonlocal reads
        reads += 1
        return {"type": "http.request"}

    sent: list[dict[str, object]] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/v2/things.make", "headers": raw}
    await world.app(scope, receive, send)
    assert (sent[0]["status"], reads) == (413, 0)


async def test_an_endless_body_is_refused_once_it_is_too_long(world: World) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 65_536
            yield b" " * 65_536

    answer = await world.client.post(
        "/v2/things.make", content=endless(), headers={"authorization": "Bearer root_secret"}
    )
    assert answer.status_code == 413
    assert given <= MIB + 2 * 65_536


async def test_a_body_in_pieces_is_one_body(world: World) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"na', b"", b'me":"la', b'mp"}'):
            yield piece

    answer = await world.client.post(
        "/v2/things.make", content=pieces(), headers={"authorization": "Bearer root_secret"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("length", ["-1", "1e3", "abc"])
async def test_a_length_that_is_no_number_is_left_to_the_server(world: World, length: str) -> None:
    answer = await world.post("make", {"name": "lamp"}, headers={"content-length": length})
    assert answer.status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate", "gzip, identity"])
async def test_a_compressed_body_is_refused_before_it_is_read(world: World, encoding: str) -> None:
    answer = await world.post("make", b"\x1f\x8b", headers={"content-encoding": encoding})
    error = answer.json()["error"]

    assert (answer.status_code, error["status"], error["title"]) == (415, 415, "Unsupported Media Type")
    assert error["type"].endswith("/user/bad_request/unsupported_media_type")
    assert "Content-Encoding" in error["detail"]
    assert answer.headers["accept-encoding"] == "identity"
    assert "errors" not in error


@pytest.mark.parametrize("encodings", [("gzip", "identity"), ("identity", "gzip")])
async def test_no_encoding_hides_behind_another_header(world: World, encodings: tuple[str, str]) -> None:
    headers = [("authorization", "Bearer root_secret"), *(("content-encoding", each) for each in encodings)]
    answer = await world.client.post("/v2/things.make", content=b'{"name":"lamp"}', headers=headers)
    assert answer.status_code == 415


async def test_identity_is_no_compression(world: World) -> None:
    answer = await world.post("make", {"name": "lamp"}, headers={"content-encoding": "Identity"})
    assert answer.status_code == 200

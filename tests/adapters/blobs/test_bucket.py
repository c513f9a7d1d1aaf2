"""A bucket that is away, silent, missing or strange: calls end at their deadline and say what it was."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from latchwork.adapters.blobs import BucketBlobs, Credentials
from latchwork.kernel.blobs import Blobs, BlobsUnavailable
from tests.engines.fault_proxy import fault_proxy
from tests.engines.programs import free_port
from tests.engines.s3 import KEY_ID, S3, SECRET

KEY = Credentials(KEY_ID, SECRET)
VERBS: dict[str, Callable[[Blobs], Awaitable[object]]] = {
    "put": lambda blobs: blobs.put("a", b"1"),
    "find": lambda blobs: blobs.find("a"),
    "list": lambda blobs: blobs.list("a"),
    "folders": lambda blobs: blobs.folders("a"),
    "delete": lambda blobs: blobs.delete(["a"]),
}
every_verb = pytest.mark.parametrize("verb", VERBS)


@pytest.fixture
async def black_hole(s3: S3) -> AsyncIterator[str]:
    """An endpoint that accepts, and says nothing."""
    async with fault_proxy(s3.port) as proxy:
        proxy.stall()
        yield f"http://127.0.0.1:{proxy.port}"


@every_verb
async def test_an_endpoint_that_says_nothing_is_given_up_at_the_deadline(black_hole: str, verb: str) -> None:
    blobs = BucketBlobs("seals", "p", endpoint=black_hole, credentials=KEY, deadline_s=0.05)
    with pytest.raises(BlobsUnavailable) as caught:
        await VERBS[verb](blobs)
    assert str(caught.value) == "s3://seals/p did not answer within 0.05 seconds."


@every_verb
async def test_an_endpoint_that_refuses_is_told(verb: str) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    blobs = BucketBlobs("seals", endpoint=endpoint, credentials=KEY, deadline_s=60)
    with pytest.raises(BlobsUnavailable) as caught:
        await VERBS[verb](blobs)
    assert str(caught.value) == "s3://seals cannot be used: connection refused."


@pytest.mark.parametrize("verb", ["put", "find", "list", "folders"])  # AWS says nothing else of a deletion
async def test_a_bucket_that_is_missing_is_told(s3: S3, verb: str) -> None:
    blobs = BucketBlobs("no-such-bucket", endpoint=s3.endpoint, credentials=KEY, deadline_s=60)
    with pytest.raises(BlobsUnavailable) as caught:
        await VERBS[verb](blobs)
    assert str(caught.value) == "s3://no-such-bucket cannot be used: the specified bucket does not exist."


async def test_the_event_loop_goes_on_meanwhile(black_hole: str) -> None:
    blobs = BucketBlobs("seals", endpoint=black_hole, credentials=KEY, deadline_s=60)
    waiting = asyncio.ensure_future(blobs.find("a"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_keys_and_the_endpoint_of_the_environment_count_where_none_are_given(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert await BucketBlobs(bucket, endpoint=s3.endpoint, deadline_s=60).put("a", b"1")


async def test_what_is_given_is_not_mixed_with_the_environment(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket()
    for variable in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_BUCKET", "another-bucket")
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    blobs = BucketBlobs(bucket, endpoint=s3.endpoint, credentials=KEY, deadline_s=60)
    assert [await blobs.put("a", content) for content in (b"1", b"2")] == [True, False]
    assert await blobs.list("a") == []
    assert await blobs.find("a") == b"1"


async def test_what_is_sent_is_signed_with_the_given_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-environment")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-environment")
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        blobs = BucketBlobs("seals", "p", endpoint=endpoint, region="xx-1", credentials=KEY, deadline_s=60)
        assert await blobs.put("a", b"")
    head = heads[0].lower()
    assert head.startswith("put /seals/p/a ")
    assert "\r\nif-none-match: *\r\n" in head
    assert f"credential={KEY_ID.lower()}/" in head and "/xx-1/s3/" in head
    assert "of-the-environment" not in head and SECRET.lower() not in head


def test_its_text_tells_no_secret() -> None:
    assert SECRET not in f"{KEY} {KEY!r} {BucketBlobs('seals', credentials=KEY)}"

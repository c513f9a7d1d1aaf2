"""Clients that begin and never go on: whoever comes after them is served, and they are sent away."""

import asyncio
import resource
from pathlib import Path

from tests.cli.processes import serving
from tests.faults.nodes import ROUNDS

CROWD = min(1_000 * ROUNDS, 10_000)
BEGINNINGS = (
    b"",
    b"POST /v2/keys.verifyKey HTTP/1.1\r\nHost: a\r\nX-",
    b'POST /v2/keys.verifyKey HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"key',
)


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * CROWD < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2 * CROWD, hard))


async def test_a_crowd_that_never_goes_on_keeps_nobody_out(tmp_path: Path) -> None:
    _allow_files()
    limits = {
        "LATCHWORK_SERVER__MAX_CONNECTIONS": str(2 * CROWD),
        "LATCHWORK_SERVER__HEADER_DEADLINE_S": "3",
        "LATCHWORK_SERVER__BODY_DEADLINE_S": "3",
        "LATCHWORK_SERVER__KEEP_ALIVE_S": "3",
    }
    with serving(tmp_path, **limits) as server:
        root_key, port = server.ready["rootKey"], int(server.ready["url"].rpartition(":")[2])
        api = server.post("apis.createApi", {"name": "crowded"}, root_key)
        made = server.post("keys.createKey", {"apiId": api["apiId"]}, root_key)
        before = _files_of(server.process.pid)
        crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CROWD)]
        for number, (_, writer) in enumerate(crowd):
            writer.write(BEGINNINGS[number % len(BEGINNINGS)])
        for _ in range(20):
            verdict = await asyncio.to_thread(server.post, "keys.verifyKey", {"key": made["key"]}, root_key)
            assert verdict["code"] == "VALID"
        async with asyncio.timeout(120):
            answers = await asyncio.gather(*(reader.read() for reader, _ in crowd))
        assert {answer[9:12] for answer in answers} <= {b"", b"408"}
        for _, writer in crowd:
            writer.close()
        async with asyncio.timeout(30):
            while _files_of(server.process.pid) > before + 20:
                await asyncio.sleep(0.1)


def _files_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))

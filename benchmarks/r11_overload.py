"""R11: three times as many keys are to be created as can be: how many still are, and how soon the rest is refused.

Requests begin at even intervals, whether answers come or not, each on a connection that is free or else on a
new one. Beside the flood one caller goes on verifying. The flood and its timing are this process's, on the
load's core.
"""

import asyncio
import json
import os
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.figures import Figure
from benchmarks.harness import BenchError, cores
from benchmarks.latchwork import VERIFY, Latchwork, fresh, verify_body
from benchmarks.load import Load, send

CALLERS = 64
PEAK_S = 4
FLOOD_S = 8
TIMES = 3
CREATE = "/v2/keys.createKey"
_MOST_CONNECTIONS = 4_000
_AS_BEFORE = 20
"""So many creations in a row, each as quick as it was at the peak, say that the flood is forgotten."""
_GIVEN_UP_S = 30


@dataclass(slots=True)
class Flood:
    """What came of requests: the milliseconds of those that were done, of those refused, and of others."""

    done_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    other: int = 0
    late: int = 0
    """Requests that could not begin in their time."""


class Caller:
    """Sends requests over as many connections as it takes."""

    def __init__(self, server: Latchwork) -> None:
        self._port = server.port
        self._heads = "".join(f"{name}: {value}\r\n" for name, value in server.headers)
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.opened = 0

    async def post(self, path: str, body: str) -> int:
        """The status of an answer."""
        if self._free:
            reader, writer = self._free.pop()
        else:
            self.opened += 1
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{self._heads}"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        self._free.append((reader, writer))
        return int(head.split(b" ", 2)[1])

    async def close(self) -> None:
        for _, writer in self._free:
            writer.close()


def run() -> Iterator[Figure]:
    with fresh() as server:
        key = server.create_keys(1)[0]
        api = server.call("apis.createApi", {"name": "flooded"})["apiId"]
        body = json.dumps({"apiId": api})
        peak = send(server.port, Load(CREATE, [body], headers=server.headers, connections=CALLERS), PEAK_S)
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {cores()[1]})
        try:
            yield from asyncio.run(_figures(server, key, body, peak.requests / peak.seconds, peak.p95_ms))
        finally:
            os.sched_setaffinity(0, before)


async def _figures(server: Latchwork, key: str, body: str, peak: float, usual_ms: float) -> list[Figure]:
    caller = Caller(server)
    async with _verifying(server, key) as verified_ms:
        flood = await _flood(caller, body, TIMES * peak)
    recovered_s = await _recovered(caller, body, usual_ms)
    await caller.close()
    if flood.other or flood.late > len(flood.done_ms) or not flood.refused_ms:
        raise BenchError(f"not a flood: {flood.other} other answers, {flood.late} late")
    beside = {
        "peak_per_s": peak,
        "asked_per_s": (len(flood.done_ms) + len(flood.refused_ms)) / FLOOD_S,
        "connections": caller.opened,
        "late": flood.late,
        "done_p95_ms": _percentile(flood.done_ms, 95),
    }
    goodput = len(flood.done_ms) / FLOOD_S / peak
    what = f"at {TIMES} times what can be done"
    return [
        Figure("R11", f"{what}: creations done, of the peak", goodput, "least", 0.8, "×", beside),
        Figure(
            "R11",
            f"{what}: p95 of refusals",
            _percentile(flood.refused_ms, 95),
            "most",
            10,
            "ms",
            {"refused": len(flood.refused_ms), "p50_ms": statistics.median(flood.refused_ms)},
        ),
        Figure("R11", "until creations are as quick as before", recovered_s, "most", 5, "s"),
        Figure("R11", f"{what}: p95 of verifications", _percentile(verified_ms, 95), "most", 50, "ms"),
    ]


async def _flood(caller: Caller, body: str, rate: float) -> Flood:
    found, tasks = Flood(), set[asyncio.Task[None]]()
    began, begun = time.perf_counter(), 0
    while (now := time.perf_counter() - began) < FLOOD_S:
        while begun < now * rate:
            begun += 1
            if len(tasks) >= _MOST_CONNECTIONS:
                found.late += 1
                continue
            task = asyncio.create_task(_one(caller, body, found))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(0.001)
    # what is answered afterwards is not counted as done in time
    counted = Flood(list(found.done_ms), list(found.refused_ms), found.other, found.late)
    await asyncio.gather(*tasks)
    return counted


async def _one(caller: Caller, body: str, found: Flood) -> None:
    sent = time.perf_counter()
    status = await caller.post(CREATE, body)
    took_ms = 1e3 * (time.perf_counter() - sent)
    if status == 200:
        found.done_ms.append(took_ms)
    elif status == 503:
        found.refused_ms.append(took_ms)
    else:
        found.other += 1


@asynccontextmanager
async def _verifying(server: Latchwork, key: str) -> AsyncIterator[list[float]]:
    """The milliseconds of one verification after the other,."""
    took_ms: list[float] = []
    caller, body = Caller(server), verify_body(key)

    async def on() -> None:
        while True:
            sent = time.perf_counter()
            if await caller.post(VERIFY, body) != 200:
                raise BenchError("a verification was refused")
            took_ms.append(1e3 * (time.perf_counter() - sent))
            await asyncio.sleep(0.005)

    task = asyncio.create_task(on())
    try:
        yield took_ms
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _recovered(caller: Caller, body: str, usual_ms: float) -> float:
    """Seconds until the first of `_AS_BEFORE` creations in a row that are as quick as usual."""
    began, since, row = time.perf_counter(), 0.0, 0
    while row < _AS_BEFORE:
        sent = time.perf_counter()
        if sent - began > _GIVEN_UP_S:
            return _GIVEN_UP_S
        quick = await caller.post(CREATE, body) == 200 and 1e3 * (time.perf_counter() - sent) <= usual_ms
        since = since if row else sent - began
        row = row + 1 if quick else 0
    return since


def _percentile(values: list[float], of: int) -> float:
    return sorted(values)[len(values) * of // 100 if values else 0]

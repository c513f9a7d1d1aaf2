"""The server under measurement, and the data that its callers would have created."""

import contextlib
import http.client
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.harness import BIN, BenchError, Served, free_port, scratch
from benchmarks.load import Load, send

VERIFY = "/v2/keys.verifyKey"
PLENTY = 1_000_000_000
"""A limit or a balance that no benchmark reaches, so that every answer is the expensive one: VALID."""
LIMIT = {"name": "requests", "limit": PLENTY, "duration": 60_000, "autoApply": True}
_KEPT_S = 1.0
_WARMING_S = 5


class Latchwork(Served):
    """`latchwork serve` in a data directory; calls to it go through one kept connection."""

    def __init__(
        self,
        data_dir: Path,
        root_key: str | None = None,
        *,
        workers: int = 1,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`settings` are further variables of its environment."""
        self.data_dir = data_dir
        self.root_key = root_key or f"bench_{secrets.token_urlsafe(32)}"
        port = free_port()
        super().__init__(
            [
                *(BIN / "latchwork", "serve", "--port", str(port), "--data-dir", data_dir),
                *("--workers", str(workers)),
            ],
            port,
            ready="/health/ready",
            env={"LATCHWORK_BOOTSTRAP_ROOT_KEY": self.root_key, **settings},
            log=data_dir.parent / f"{data_dir.name}.log",
        )
        self._connection: http.client.HTTPConnection | None = None
        self._called_s = 0.0

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What a caller sends beside the body."""
        return (("Authorization", f"Bearer {self.root_key}"),)

    def stop(self) -> None:
        self._connection = None
        super().stop()

    def call(self, procedure: str, body: Any) -> Any:
        """The `data` of a call to `/v2/<procedure>`; raises `BenchError` unless it is a 200."""
        return self.call_raw(procedure, body)["data"]

    def call_raw(self, procedure: str, body: Any) -> Any:
        """The whole answer of a call."""
        return json.loads(self._answer(procedure, body))

    def _answer(self, procedure: str, body: Any) -> bytes:
        headers = dict(self.headers) | {"Content-Type": "application/json"}
        connection = self._connected()
        connection.request("POST", f"/v2/{procedure}", json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        self._called_s = time.monotonic()
        if answer.status != 200:
            raise BenchError(f"{procedure} answered {answer.status}: {content[:300]!r}")
        return content

    def _connected(self) -> http.client.HTTPConnection:
        """The kept connection, or a new one where the server may have ended the old one meanwhile."""
        if self._connection is None or time.monotonic() - self._called_s > _KEPT_S:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        return self._connection

    def answer_bytes(self, procedure: str, body: Any) -> int:
        """The size of an answer's body."""
        return len(self._answer(procedure, body))

    def create_keys(self, count: int, **options: Any) -> list[str]:
        """That many keys with one auto-applied limit, in a new API."""
        api_id = self.call("apis.createApi", {"name": "benchmark"})["apiId"]
        wanted = {"apiId": api_id, "ratelimits": [LIMIT], **options}
        return [self.call("keys.createKey", wanted)["key"] for _ in range(count)]

    def verifying(self, keys: list[str], **options: Any) -> Load:
        """The load of verifying `keys` in rotation; the first and the last are tried beforehand."""
        for key in {keys[0], keys[-1]}:
            verdict = self.call("keys.verifyKey", {"key": key})
            if not verdict["valid"]:
                raise BenchError(f"a key of the benchmark is refused: {verdict}")
        return Load(VERIFY, [verify_body(key) for key in keys], headers=self.headers, **options)

    def warm(self, keys: list[str]) -> None:
        """Ask for each key once, so that all of them are in the server's memory."""
        asked = 0
        load = self.verifying(keys)
        while len(keys) - asked > load.connections:  # the last ones are on their way when a run ends
            rest = load.bodies[asked:]
            asked += send(self.port, replace(load, bodies=rest, most=len(rest)), _WARMING_S).requests


def verify_body(key: str) -> str:
    """The request that asks for one key."""
    return json.dumps({"key": key})


@contextlib.contextmanager
def fresh(name: str = "data") -> Iterator[Latchwork]:
    """A running server with an empty data directory."""
    with scratch(name) as folder, Latchwork(folder / "data") as server:
        yield server

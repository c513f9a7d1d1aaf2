"""A disk that is full: what needs none goes on, what needs one is refused whole, and all is well when there is room."""

import json
import resource
import signal
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.cli.processes import Running, serving


def _fill(server: Running) -> None:
    """Let no file of the server grow, as on a disk without room."""
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def _make_room(server: Running) -> None:
    resource.prlimit(
        server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )


class Keys:
    """A plain key and one with credits, and what they are told."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.root_key = server.ready["rootKey"]
        self.api_id = self._call("apis.createApi", {"name": "weather"})["apiId"]
        self.plain = self.create()
        self.metered = self.create(credits={"remaining": 1_000})

    def _call(self, procedure: str, body: dict[str, Any]) -> Any:
        return self.server.post(procedure, body, self.root_key)

    def create(self, **options: Any) -> dict[str, Any]:
        made: dict[str, Any] = self._call("keys.createKey", {"apiId": self.api_id, **options})
        return made

    def verify(self, made: dict[str, Any]) -> dict[str, Any]:
        verdict: dict[str, Any] = self._call("keys.verifyKey", {"key": made["key"]})
        return verdict

    def remaining(self) -> int:
        left: int = self._call("keys.getKey", {"keyId": self.metered["keyId"]})["credits"]["remaining"]
        return left

    def counted(self) -> int:
        """Verifications of the plain key that analytics know of."""
        query = f"SELECT count(*) AS n FROM key_verifications_v1 WHERE key_id = '{self.plain['keyId']}'"
        while True:
            try:
                return int(self._call("analytics.getVerifications", {"query": query})[0]["n"])
            except HTTPError as error:  # until the store has been opened again
                assert error.code == 503
                time.sleep(0.1)

    def lost(self) -> int:
        """Events that analytics say they have lost."""
        request = Request(
            f"{self.server.ready['url']}/health", headers={"Authorization": f"Bearer {self.root_key}"}
        )
        with urlopen(request, timeout=10) as answer:
            return int(json.load(answer)["parts"]["analytics"]["lost"])

    def names(self) -> list[str]:
        return [each.get("name", "") for each in self._call("apis.listKeys", {"apiId": self.api_id})]


def test_a_full_disk_loses_nothing_and_lets_go_on_what_needs_none(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        keys = Keys(server)
        assert keys.verify(keys.metered)["credits"] == 999
        assert keys.verify(keys.plain)["code"] == "VALID"
        _fill(server)
        for _ in range(3):
            for procedure, body in (
                ("keys.createKey", {"apiId": keys.api_id, "name": "lost"}),
                ("keys.verifyKey", {"key": keys.metered["key"]}),
            ):
                with pytest.raises(HTTPError) as told:
                    server.post(procedure, body, keys.root_key)
                assert told.value.code == 503
                assert told.value.headers["retry-after"] == "1"
            assert keys.verify(keys.plain)["code"] == "VALID"
        _make_room(server)
        assert keys.counted() == 4
        assert keys.lost() == 0
        assert keys.verify(keys.metered)["credits"] == 998
        keys.create(name="kept")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    with serving(tmp_path) as again:
        keys.server = again
        assert keys.remaining() == 998
        assert "kept" in keys.names() and "lost" not in keys.names()

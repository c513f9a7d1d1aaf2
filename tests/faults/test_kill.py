"""kill -9 at any moment loses no acknowledged write and gives no credit away."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.nodes import ROUNDS

CYCLES = 100 * ROUNDS
KEYS = 3
ROOT = "lw_root_" + "k" * 40


@dataclass
class Oracle:
    """What was acknowledged, and what was asked and never answered."""

    names: dict[str, str] = field(default_factory=dict)
    """Key id to the last acknowledged name."""
    asked: dict[str, set[str]] = field(default_factory=dict)
    """Key id to names that may or may not have been written after that."""
    spent: dict[str, int] = field(default_factory=dict)
    unsure: dict[str, int] = field(default_factory=dict)
    created: dict[str, str] = field(default_factory=dict)
    """Text to id of every acknowledged key."""


class Server:
    """One run of the real program."""

    def __init__(self, data: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        # it is always killed, so what it measured of its coverage would be lost: it measures none
        own = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        environment = own | {"LATCHWORK_BOOTSTRAP_ROOT_KEY": ROOT}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "latchwork", "serve", "--port", str(self.port), "--data-dir", str(data)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 30
        while not self._is_ready():
            assert self.process.poll() is None, "the server ended by itself"
            assert time.monotonic() < until, "the server is not ready"
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Caller:
    """One connection of one client."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def data(self, procedure: str, body: dict[str, Any], *, status: int = 200) -> Any:
        headers = {"Authorization": f"Bearer {ROOT}", "Content-Type": "application/json"}
        self._connection.request("POST", f"/v2/{procedure}", json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status == status, content
        return content["data"]


def write(port: int, oracle: Oracle, key: tuple[str, str], api_id: str, seed: int) -> None:
    """Rename, spend from and create keys until the server dies."""
    key_id, text = key
    chance = random.Random(seed)
    caller = Caller(port)
    try:
        while True:
            what = chance.random()
            if what < 0.7:
                oracle.unsure[key_id] += 1
                verdict = caller.data("keys.verifyKey", {"key": text})
                oracle.unsure[key_id] -= 1
                oracle.spent[key_id] += verdict["valid"]
            elif what < 0.9:
                name = f"n{chance.randrange(10**9)}"
                oracle.asked[key_id].add(name)
                caller.data("keys.updateKey", {"keyId": key_id, "name": name})
                oracle.names[key_id] = name
                oracle.asked[key_id] = set()
            else:
                made = caller.data("keys.createKey", {"apiId": api_id})
                oracle.created[made["key"]] = made["keyId"]
    except (OSError, http.client.HTTPException, ValueError):
        return


def check(server: Server, oracle: Oracle, granted: int) -> None:
    """What the restarted server says equals what was acknowledged."""
    caller = Caller(server.port)
    for key_id, name in oracle.names.items():
        stored = caller.data("keys.getKey", {"keyId": key_id})
        assert stored.get("name") in {name} | oracle.asked[key_id]
        oracle.names[key_id], oracle.asked[key_id] = stored.get("name"), set()
        spent = granted - stored["credits"]["remaining"]
        assert oracle.spent[key_id] <= spent <= oracle.spent[key_id] + oracle.unsure[key_id]
        oracle.spent[key_id], oracle.unsure[key_id] = spent, 0
    for text, key_id in list(oracle.created.items())[-5:]:
        assert caller.data("keys.whoami", {"key": text})["keyId"] == key_id


def test_kills_lose_nothing_and_give_nothing_away(tmp_path: Path) -> None:
    granted = 10_000_000
    oracle = Oracle()
    server = Server(tmp_path)
    caller = Caller(server.port)
    api_id = caller.data("apis.createApi", {"name": "kills"})["apiId"]
    keys = []
    for _ in range(KEYS):
        made = caller.data(
            "keys.createKey", {"apiId": api_id, "name": "n", "credits": {"remaining": granted}}
        )
        keys.append((made["keyId"], made["key"]))
        oracle.names[made["keyId"]], oracle.asked[made["keyId"]] = "n", set()
        oracle.spent[made["keyId"]] = oracle.unsure[made["keyId"]] = 0
    chance = random.Random(7)
    for cycle in range(CYCLES):
        threads = [
            threading.Thread(target=write, args=(server.port, oracle, key, api_id, cycle * KEYS + n))
            for n, key in enumerate(keys)
        ]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.02, 0.25))  # the moment of death, not a wait for anything
        server.kill()
        for thread in threads:
            thread.join()
        server = Server(tmp_path)
        check(server, oracle, granted)
    server.kill()
    written = sum(oracle.spent.values()) + len(oracle.created)
    print(f"R4: {written} spends and keys acknowledged through {CYCLES} kills, none lost or wrong")
    assert sum(oracle.spent.values()) > CYCLES, "the writers were hardly ever running"

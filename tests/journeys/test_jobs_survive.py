"""kill -9 in the middle of jobs: every key of every accepted job is made, and none is tried twice."""

import random
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.faults.test_kill import Caller, Server

CYCLES = 5
KEYS = 60
PERMISSIONS = [f"permission.{n}" for n in range(400)]  # so that a job takes a dozen portions


def _keys(cycle: int) -> list[dict[str, Any]]:
    return [
        {
            "hash": {"value": sha256(f"{cycle} {n}".encode()).hexdigest(), "variant": "sha256_hex"},
            "permissions": PERMISSIONS,
        }
        for n in range(KEYS)
    ]


def test_what_was_accepted_is_done_once_however_often_the_server_is_killed(tmp_path: Path) -> None:
    server = Server(tmp_path)
    caller = Caller(server.port)
    api_id = caller.data("apis.createApi", {"name": "kills"})["apiId"]
    caller.data("keys.createKey", {"apiId": api_id, "permissions": PERMISSIONS})
    into = caller.data("migrations.createMigration", {"algorithm": "sha256"})["migrationId"]
    chance = random.Random(7)
    accepted: list[str] = []
    interrupted = 0
    for cycle in range(CYCLES):
        body = {"migrationId": into, "apiId": api_id, "keys": _keys(cycle)}
        accepted.append(caller.data("migrations.enqueueKeys", body, status=202)["jobId"])
        time.sleep(chance.uniform(0, 0.3))  # the moment of death, not a wait for anything
        server.kill()
        server = Server(tmp_path)
        caller = Caller(server.port)
        interrupted += _job(caller, accepted[-1])["state"] != "done"
    until = time.monotonic() + 60
    while any(_job(caller, job_id)["state"] != "done" for job_id in accepted):
        assert time.monotonic() < until, [_job(caller, job_id) for job_id in accepted]
        time.sleep(0.05)
    for job_id in accepted:
        counts = _job(caller, job_id)["counts"]
        assert counts == {"total": KEYS, "succeeded": KEYS, "failed": 0, "pending": 0}
    for cycle in range(CYCLES):
        assert caller.data("keys.verifyKey", {"key": f"{cycle} {KEYS - 1}"})["valid"] is True
    server.kill()
    assert interrupted > 0, "no job was under way when the server was killed"


def _job(caller: Caller, job_id: str) -> Any:
    return caller.data("migrations.getJob", {"jobId": job_id})

"""Seals in a bucket: what one node sealed, every other finds, though it has nothing but the settings."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from sqlalchemy import Connection, select

from latchwork.adapters.blobs import BucketBlobs, Credentials
from latchwork.domains.audit.tables import audit_heads
from latchwork.kernel.sql import ALL_WORKSPACES, PostgresDatabase
from tests.cli.processes import Running, latchwork, serving
from tests.domains.forging import rewrite, rows_of, unguard
from tests.engines.fault_proxy import fault_proxy
from tests.engines.programs import free_port
from tests.engines.s3 import KEY_ID, S3, SECRET

ROOT_KEY = "rk_0f3c9a7e5b1d8264f0a1c2e3d4b5a697"


def home(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def health(node: Running) -> Any:
    asked = Request(f"{node.ready['url']}/health", headers={"Authorization": f"Bearer {ROOT_KEY}"})
    with urlopen(asked, timeout=20) as answer:
        return json.load(answer)


async def rewritten(url: str) -> None:
    """The chains of all workspaces, written anew so that they fit."""
    database = PostgresDatabase(url)
    await database.open()
    try:
        await database.write(unguard, ALL_WORKSPACES)
        workspaces = await database.read(
            lambda c: list(c.scalars(select(audit_heads.c.workspace_id))), ALL_WORKSPACES
        )
        for each in workspaces:
            await database.write(partial(_rewrite, workspace_id=each), ALL_WORKSPACES)
    finally:
        await database.close()


def _rewrite(connection: Connection, workspace_id: str) -> None:
    rewrite(connection, workspace_id, len(rows_of(connection, workspace_id)), "Nothing happened")


async def test_a_chain_that_was_written_anew_is_found_by_a_node_that_never_saw_it(
    tmp_path: Path, s3: S3, postgres_url: str, redis_url: str
) -> None:
    bucket = s3.bucket()
    cluster = {
        "LATCHWORK_DATABASE_URL": postgres_url,
        "LATCHWORK_REDIS_URL": redis_url,
        "LATCHWORK_BOOTSTRAP_ROOT_KEY": ROOT_KEY,
        **s3.settings(bucket),
    }
    first = home(tmp_path, "first")
    with serving(first, **cluster) as node:
        api = node.post("apis.createApi", {"name": "payments"}, ROOT_KEY)
        node.post("keys.createKey", {"apiId": api["apiId"]}, ROOT_KEY)
    assert list((first / "latchwork-data").rglob("*seal*")) == []
    with serving(home(tmp_path, "second"), **cluster) as node:
        assert health(node)["parts"]["seals"]["status"] == "ok"
        held = latchwork(home(tmp_path, "third"), "audit", "verify", **cluster)
        assert held.code == 0 and "rows hold" in held.out
        await rewritten(postgres_url)
        for third in ("third", "second"):  # without a server, and by one
            found = latchwork(tmp_path / third, "audit", "verify", "--json", **cluster)
            assert found.code == 1
            reasons = [each["broken"]["reason"] for each in found.json if "broken" in each]
            assert reasons and all(each.endswith("is not the one that was sealed") for each in reasons)
    blobs = BucketBlobs(bucket, "latchwork", endpoint=s3.endpoint, credentials=Credentials(KEY_ID, SECRET))
    keys = await blobs.list("audit/seals")
    workspace_id, name = keys[-1].split("/")[2:]
    content = await blobs.find(keys[-1])
    assert content is not None
    told = json.loads(content)
    assert (told["workspace_id"], f"{told['seq']:020}-{told['digest']}.json") == (workspace_id, name)


async def test_a_bucket_that_says_nothing_holds_up_neither_start_nor_requests_nor_stop(
    tmp_path: Path, s3: S3
) -> None:
    async with fault_proxy(s3.port) as proxy:
        proxy.stall()
        settings = {
            "LATCHWORK_BLOBS_URL": "s3://seals",
            "LATCHWORK_S3__ENDPOINT": f"http://127.0.0.1:{proxy.port}",
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        await asyncio.to_thread(_served_and_stopped, tmp_path, settings)
        assert proxy.connections > 0


def _served_and_stopped(directory: Path, settings: dict[str, str]) -> None:
    with serving(directory, LATCHWORK_BOOTSTRAP_ROOT_KEY=ROOT_KEY, **settings) as node:
        assert node.post("apis.createApi", {"name": "payments"}, ROOT_KEY)["apiId"]
    assert node.process.returncode == 0
    told = (directory / "stderr.txt").read_text()
    assert "The audit log was not sealed before the stop: s3://seals" in told


def test_a_bucket_that_is_away_is_told_and_the_log_is_not_said_to_hold(tmp_path: Path, s3: S3) -> None:
    settings = s3.settings("seals") | {"LATCHWORK_S3__ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    settings["LATCHWORK_BOOTSTRAP_ROOT_KEY"] = ROOT_KEY
    with serving(tmp_path, **settings) as node:
        told = health(node)
        while told["parts"]["seals"]["status"] == "ok":  # it has not been tried yet
            told = health(node)
        assert told["status"] == "degraded"
        part = told["parts"]["seals"]
        assert part.pop("sinceMs") > 0
        reason = "s3://seals/latchwork cannot be used: connection refused."
        assert part == {"status": "failing", "reason": reason}
        checked = latchwork(tmp_path, "audit", "verify", "--json", **settings)
        assert checked.code == 1
        assert checked.error["detail"].endswith(f"so the log was not checked. {reason}")


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_seals_of_an_earlier_version_still_count_on_disk(
    tmp_path: Path, postgres_url: str, redis_url: str, options: tuple[str, ...]
) -> None:
    cluster = {
        "LATCHWORK_DATABASE_URL": postgres_url,
        "LATCHWORK_REDIS_URL": redis_url,
        "LATCHWORK_BOOTSTRAP_ROOT_KEY": ROOT_KEY,
    }
    with serving(tmp_path, *options, **cluster):
        pass
    (holds,) = (each for each in _verified(tmp_path, cluster, 0) if each["rows"])
    directory = tmp_path / "latchwork-data"
    seal = {"workspace_id": holds["workspaceId"], "seq": 1, "digest": "ab" * 32, "time_ms": 1}
    old = directory / "workers" / "1" / "audit.seals" if options else directory / "audit.seals"
    old.write_text(json.dumps(seal) + "\n")
    with serving(tmp_path, *options, **cluster):
        while old.exists():
            pass
        told = _verified(tmp_path, cluster, 1)
    reasons = [each["broken"]["reason"] for each in told if "broken" in each]
    assert reasons == ["row 1 is not the one that was sealed"]
    assert len(list((directory / "blobs").rglob(f"*-{'ab' * 32}.json"))) == 1


def _verified(directory: Path, settings: dict[str, str], code: int) -> Any:
    ran = latchwork(directory, "audit", "verify", "--json", **settings)
    assert ran.code == code
    return ran.json

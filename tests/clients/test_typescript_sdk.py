"""npm's `@unkey/api`, by Node's own test runner."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import Served
from tests.shape.tree import ROOT

HERE = Path(__file__).parent / "typescript"
PLACE = ROOT / ".tools" / "typescript-client"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def installed() -> Path:
    """The client, as its lock says, and the tests beside it."""
    lock, done = PLACE / "package-lock.json", PLACE / "node_modules" / ".package-lock.json"
    is_new = not done.exists() or lock.read_bytes() != (HERE / lock.name).read_bytes()
    shutil.copytree(HERE, PLACE, dirs_exist_ok=True)
    if is_new:
        subprocess.run([BIN / "npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=PLACE, check=True)
    return PLACE


def test_the_typescript_client_works_unchanged(served: Served, root_key: str, installed: Path) -> None:
    ran = subprocess.run(
        [BIN / "node", "--test", "--test-reporter=spec", "sdk.test.mjs"],
        cwd=installed,
        env=os.environ
        | {
            "LATCHWORK_URL": served.url,
            "ROOT_KEY": root_key,
            "POWERLESS_KEY": served.root_key("nothing.*.nothing"),
            "NO_QUOTA_KEY": served.root_key("*", quota=0),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "pass 12" in ran.stdout

"""A store that speaks S3, of the tests' own: moto's server on a free loopback port, gone when the tests end."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen
from uuid import uuid4

from tests.engines.programs import free_port, start, wait_for

KEY_ID, SECRET = "AKIAIOSFODNN7TESTKEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYTESTSECRET"
_SIGNED = f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20260101/us-east-1/s3/aws4_request"


class S3(NamedTuple):
    """A running store."""

    port: int

    @property
    def endpoint(self) -> str:
        """As `LATCHWORK_S3__ENDPOINT` takes it."""
        return f"http://127.0.0.1:{self.port}"

    def bucket(self) -> str:
        """A new, empty bucket."""
        name = f"test-{uuid4().hex}"
        asked = Request(f"{self.endpoint}/{name}", method="PUT", headers={"Authorization": _SIGNED})
        with urlopen(asked, timeout=20) as answer:
            assert answer.status == 200
        return name

    def settings(self, bucket: str) -> dict[str, str]:
        """What a node is told of a bucket."""
        return {
            "LATCHWORK_BLOBS_URL": f"s3://{bucket}/latchwork",
            "LATCHWORK_S3__ENDPOINT": self.endpoint,
            "LATCHWORK_S3__REGION": "us-east-1",
            "LATCHWORK_S3__ACCESS_KEY_ID": KEY_ID,
            "LATCHWORK_S3__SECRET_ACCESS_KEY": SECRET,
        }


@contextmanager
def s3_server() -> Iterator[S3]:
    """A fresh running store, ended on the way out, however that is reached."""
    home = Path(tempfile.mkdtemp(prefix="latchwork-s3-"))
    port, log = free_port(), home / "log"
    with log.open("ab") as output:
        process = start(
            [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)],
            output,
        )
    try:
        wait_for(process, port, log)
        yield S3(port)
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(home, ignore_errors=True)

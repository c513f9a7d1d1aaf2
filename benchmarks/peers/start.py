"""The peers and floors as servers that a benchmark can load."""

import sys
from pathlib import Path

from benchmarks.harness import ROOT, Served, free_port


def floor(kind: str, body_bytes: int, folder: Path) -> Served:
    """What answers a fixed body of that size: `bare` without a server framework, `asgi` on uvicorn."""
    port = free_port()
    argv = [sys.executable, str(ROOT / "benchmarks" / "floor.py"), kind]
    return Served(
        [*argv, "--port", str(port), "--body-bytes", str(body_bytes)], port, log=folder / f"{kind}.log"
    )


def fastapi_sqlalchemy(keys: list[str], caller: str, folder: Path) -> Served:
    """The FastAPI service that does the same check for the same keys and caller."""
    listed = folder / "peer-keys"
    listed.write_text("\n".join(keys) + "\n")
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.peers.fastapi_sqlalchemy", "--port", str(port)]
    return Served(
        [*argv, "--data-dir", folder, "--caller", caller, "--keys", listed],
        port,
        ready="/openapi.json",
        log=folder / "peer.log",
    )

"""What the guide and the examples say, run against a real server."""

import os
import re
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.client.conftest import ROOT_KEY, Real

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "python"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# The server of each kind of application takes over a socket that listens already, as its standard input.
_ASGI = "import uvicorn; uvicorn.run('{0}:app', fd=0, log_level='warning')"
_WSGI = (
    "from werkzeug.serving import make_server; from {0} import app; "
    "make_server('127.0.0.1', 0, app, threaded=True, fd=0).serve_forever()"
)
_SERVED = {"fastapi_app": _ASGI, "starlette_app": _ASGI, "flask_app": _WSGI, "django_app": _WSGI}


def test_the_guide_works_as_written(real: Real) -> None:
    blocks = _BLOCK.findall((ROOT / "docs" / "how-to" / "python-client.md").read_text())
    assert len(blocks) == 5
    names: dict[str, Any] = {"URL": real.url, "ROOT_KEY": ROOT_KEY, "__name__": "guide"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"python-client.md, block {number}", "exec"), names)


def test_the_script_uses_a_key_up(
    real: Real, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("URL", real.url)
    monkeypatch.setenv("ROOT_KEY", ROOT_KEY)
    runpy.run_path(str(EXAMPLES / "script.py"), run_name="__main__")
    said = capsys.readouterr().out.splitlines()
    assert said[:4] == ["VALID 2", "VALID 1", "VALID 0", "USAGE_EXCEEDED 0"]
    assert said[4].startswith("Add at least 1 credits")


@pytest.mark.parametrize("name", _SERVED)
def test_an_example_lets_in_who_may_come_in(real: Real, name: str) -> None:
    good = real.key(permissions=["reports.read"], external_id="ada", remaining=8)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        site = f"http://127.0.0.1:{listening.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVED[name].format(name)],
            cwd=EXAMPLES,
            stdin=listening.fileno(),
            env=os.environ | {"URL": real.url, "ROOT_KEY": ROOT_KEY},
        )
    try:
        with httpx.Client(base_url=site, timeout=30) as http:
            first = http.get("/reports", headers={"x-api-key": good})
            assert first.json() == {"report": "all is well", "for": "ada"}
            assert http.get("/reports", headers={"x-api-key": good}).status_code == 429
            assert http.get("/reports").status_code == 401
            if name == "starlette_app":
                assert http.get("/health").json() == {"status": "alive"}
    finally:
        process.terminate()
        process.wait(timeout=30)

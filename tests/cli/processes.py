"""The program as a process of its own, in a directory of its own, with no settings but those given."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

PROGRAM = (sys.executable, "-c", "from latchwork.cli import main; main()")


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, which was nothing but JSON."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error that it told in JSON."""
        return json.loads(self.err)["error"]


def latchwork(directory: Path, *arguments: str, typed: str = "", **variables: str) -> Ended:
    """Run a command to its end; `typed` is its standard input."""
    ran = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=directory,
        env=environment(variables),
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ended(ran.returncode, ran.stdout, ran.stderr)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment without settings of the developer's own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("LATCHWORK_")}
    return {**own, **variables}


class Running(NamedTuple):
    """A server that is ready."""

    process: "subprocess.Popen[str]"
    ready: dict[str, Any]

    def post(self, procedure: str, body: Mapping[str, Any], root_key: str) -> Any:
        """The `data` of a procedure; raises HTTPError for any status but 200."""
        request = Request(
            f"{self.ready['url']}/v2/{procedure}",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {root_key}", "Content-Type": "application/json"},
        )
        with urlopen(request, timeout=10) as answer:
            return json.load(answer)["data"]


@contextmanager
def serving(directory: Path, *arguments: str, **variables: str) -> Iterator[Running]:
    """A server in `directory`, stopped with the block unless it has ended already."""
    process = subprocess.Popen(
        [*PROGRAM, "serve", "--port", "0", "--json", *arguments],
        cwd=directory,
        env=environment(variables),
        stdout=subprocess.PIPE,
        stderr=(directory / "stderr.txt").open("w"),
        text=True,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said, (directory / "stderr.txt").read_text()
        yield Running(process, json.loads(said))
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()

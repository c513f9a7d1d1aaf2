"""`latchwork demo`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from latchwork.cli.failures import Failure
from latchwork.cli.options import Asked, without_data

if TYPE_CHECKING:
    from latchwork.cli.story import Step

_STOP_S = 10
_SERVER = (sys.executable, "-c", "from latchwork.cli import main; main()", "serve", "--port", "0", "--json")


@click.command()
@without_data
def demo(asked: Asked) -> None:
    """Play a key's life: issue, refuse, explain, mend.

    Starts a server of its own in a temporary directory, and ends it.
    """
    from tempfile import TemporaryDirectory

    from latchwork.cli.story import Client, tell

    with TemporaryDirectory(prefix="latchwork-demo-") as directory, _server(Path(directory)) as ready:
        client = Client(ready["url"], ready["rootKey"])
        told = []
        teller = None if asked.as_json else _Teller(ready["url"])
        for step in tell(client):
            told.append(step)
            if teller is not None:
                teller.step(step)
    asked.show([_plain(step) for step in told], lambda: None)
    astray = [step.title for step in told if not step.came_true]
    if astray:
        raise Failure("cli/demo", f"The story went differently at: {', '.join(astray)}.")


@contextmanager
def _server(directory: Path) -> Iterator[dict[str, Any]]:
    """A server in `directory`, ended with the block; what it said when it was ready."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("LATCHWORK_")}
    process = subprocess.Popen(  # noqa: S603 - this very program
        [*_SERVER, "--data-dir", str(directory / "data")],
        stdout=subprocess.PIPE,
        cwd=directory,
        env=own,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        if not said:
            raise Failure("cli/demo", "The demo's server did not start.")
        yield json.loads(said)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _plain(step: "Step") -> dict[str, Any]:
    return {
        "title": step.title,
        "path": step.path,
        "request": step.request,
        "answer": step.answer,
        "asExpected": step.came_true,
    }


class _Teller:
    """Prints the steps: what was asked, and of the answer what matters to the story."""

    def __init__(self, url: str) -> None:
        from rich.console import Console

        self._console = Console(highlight=False, soft_wrap=True)
        self._number = 0
        self._console.print(f"A fresh server at {url}\n", style="dim")

    def step(self, step: "Step") -> None:
        """Print one step."""
        from rich.text import Text

        self._number += 1
        mark = Text("✓ ", "green") if step.came_true else Text("✗ ", "bold red")
        self._console.print(mark, Text(f"{self._number}. {step.title}", "bold"), sep="")
        self._console.print(
            Text("  POST ", "dim"), Text(step.path, "cyan"), " ", _brief(step.request), sep=""
        )
        self._console.print(Text("  → ", "dim"), _brief(_interesting(step)), sep="")
        for line in _explanation(step.answer):
            self._console.print(Text(f"    {line}", "yellow"))
        self._console.print()


def _interesting(step: "Step") -> Any:
    """Of an answer as expected what was looked at; of any other everything."""
    if not step.came_true:
        return step.answer
    wanted = [name for name in step.wanted if name not in ("checks", "remedies")]
    shown = {name: step.answer[name] for name in wanted}
    for name in ("reason", "retryAt"):
        if name in step.answer:
            shown[name] = step.answer[name]
    if "ratelimits" in shown:
        shown["ratelimits"] = [
            {name: each[name] for name in ("name", "limit", "remaining", "exceeded")}
            for each in shown["ratelimits"]
        ]
    return shown


def _explanation(answer: Any) -> Iterator[str]:
    checks = answer.get("checks", ()) if isinstance(answer, dict) else ()
    for each in checks:
        if each["outcome"] != "skipped":
            yield f"{each['outcome']:<8}{each['check']:<16}{each['detail']}"
    for remedy in answer.get("remedies", ()) if checks else ():
        yield f"{'remedy':<24}{remedy}"


def _brief(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

"""`latchwork serve` with several workers: the process that starts them and shows what the first one tells."""

import json
import os
import socket
import sys
from typing import TYPE_CHECKING

import click

from latchwork.cli.options import Asked
from latchwork.cli.welcome import show

if TYPE_CHECKING:
    from latchwork.settings import Settings


def supervise(asked: Asked, settings: "Settings", listener: socket.socket) -> None:
    """Run the workers on a bound socket until told to stop; they show themselves when all are ready."""
    import uvloop

    from latchwork.server.workers import WorkerFailed, Workers

    command = [sys.executable, "-c", "from latchwork.cli import main; main()", "serve", "--json"]
    command += ["--host", settings.host, "--port", str(listener.getsockname()[1])]
    command += ["--data-dir", str(settings.data_dir), "--workers", str(settings.workers)]
    if asked.config is not None:
        command += ["--config", str(asked.config)]
    workers = Workers(
        lambda number: [*command, "--worker", str(number), "--listener", str(listener.fileno())],
        settings.workers,
        listener.fileno(),
    )
    try:
        uvloop.run(workers.run(lambda line: _announce(asked, settings.workers, line)))
    except WorkerFailed as failed:
        raise click.exceptions.Exit(failed.code or 1) from failed


def _announce(asked: Asked, count: int, line: str) -> None:
    told = {"docsUrl": None, "rootKey": None} | json.loads(line)
    bootstrapped = told.pop("bootstrapped")
    show(asked, told | {"pid": os.getpid(), "workers": count}, bootstrapped=bootstrapped)

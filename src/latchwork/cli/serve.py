"""`latchwork serve`."""

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from latchwork.cli.failures import Failure
from latchwork.cli.options import Asked, everywhere
from latchwork.cli.welcome import show

if TYPE_CHECKING:
    from latchwork.compose.data_dir import DataDir
    from latchwork.compose.first_start import Entered
    from latchwork.settings import Settings


@click.command()
@click.option("--host", help="The address to listen on; else 127.0.0.1.")
@click.option("--port", type=int, help="The port to listen on; else 8765. 0 takes a free one.")
@click.option("--workers", type=int, help="Processes on this host; more than 1 need PostgreSQL and Redis.")
@click.option("--worker", type=int, hidden=True)
@click.option("--listener", type=int, hidden=True)
@everywhere
def serve(
    asked: Asked,
    host: str | None,
    port: int | None,
    workers: int | None,
    worker: int | None,
    listener: int | None,
) -> None:
    """Serve the API until stopped.

    The first start makes a workspace and a root key, which is shown once. With --json one line tells when
    the server is ready, and where.
    """
    from latchwork.cli.logs import log_as
    from latchwork.compose.data_dir import DataDir
    from latchwork.settings import load

    flags = {"host": host, "port": port, "data_dir": asked.data_dir, "workers": workers}
    settings = load(os.environ, flags=flags, config=asked.config).settings
    log_as(settings.log)
    directory = DataDir(settings.data_dir)
    if worker is not None and listener is not None:
        _work(asked, settings, directory, worker, listener)
        return
    with directory.lock(), _bound(settings) as sock:
        if settings.workers > 1:
            from latchwork.cli.workers import supervise

            supervise(asked, settings, sock)
        else:
            directory.adopt(directory.path, 0)
            _run(_Start(asked, settings, directory.control_socket, sock))


class _Start(NamedTuple):
    """`control` is where commands are taken; a worker is one of several, a child of who began them."""

    asked: Asked
    settings: "Settings"
    control: Path | None
    listener: socket.socket
    is_worker: bool = False


def _work(asked: Asked, settings: "Settings", directory: "DataDir", number: int, listener: int) -> None:
    """Be one of several workers, in a directory of its own; the first takes the commands for all."""
    from latchwork.compose.data_dir import DataDir

    own = DataDir(directory.path / "workers" / str(number))
    control = directory.control_socket if number == 0 else None
    with own.lock(), socket.socket(fileno=listener) as sock:
        if number == 0:  # before any other is started
            own.adopt(directory.path, settings.workers)
        blobs_url = settings.blobs_url or directory.blobs.absolute().as_uri()  # which the workers share
        its_own = replace(settings, data_dir=own.path, blobs_url=blobs_url)
        _run(_Start(asked, its_own, control, sock, is_worker=True))


def _run(start: _Start) -> None:
    import uvloop

    uvloop.run(_serve(start))


async def _serve(start: _Start) -> None:
    from contextlib import AsyncExitStack

    from latchwork.compose.control import listening
    from latchwork.compose.first_start import ensure_entrance
    from latchwork.compose.platform import opened
    from latchwork.compose.verbs import VERBS
    from latchwork.server.doors import doors_of
    from latchwork.server.run import serving

    settings = replace(start.settings, port=start.listener.getsockname()[1])
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(opened(settings))
        await platform.vault.warn()
        entered = await ensure_entrance(platform)
        doors = doors_of(platform)
        if start.control is not None:
            await stack.enter_async_context(listening(start.control, VERBS, platform))
        await serving(
            doors.application,
            start.listener,
            http=doors.protocol,
            on_ready=lambda: _announce(start, entered),
            is_worker=start.is_worker,
        )


def _bound(settings: "Settings") -> socket.socket:
    """A socket bound to where the settings say; nothing else is opened before it."""
    from latchwork.server.run import bind

    try:
        return bind(settings.host, settings.port)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        reason = (error.strerror or str(error)).lower()
        raise Failure("cli/address", f"The server cannot listen on {where}: {reason}.") from error


def _announce(start: _Start, entered: "Entered") -> None:
    from latchwork.compose.addresses import address

    settings = start.settings
    url = address(settings.host, start.listener.getsockname()[1])
    if entered.added and not entered.is_first:
        click.echo(
            "latchwork: the root key of the settings is new; the earlier root keys still work.", err=True
        )
    told: dict[str, Any] = {
        "url": url,
        "docsUrl": None if settings.docs == "off" else f"{url}/docs",
        "rootKey": entered.minted,
        "pid": os.getpid(),
    }
    bootstrapped = entered.is_first and entered.minted is None
    if start.is_worker:
        told["bootstrapped"] = bootstrapped
    show(start.asked, told, bootstrapped=bootstrapped)

"""`latchwork serve`."""

import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import click

from latchwork.cli.failures import Failure
from latchwork.cli.options import Asked, everywhere
from latchwork.cli.welcome import Ready, lines_of

if TYPE_CHECKING:
    from latchwork.compose.data_dir import DataDir
    from latchwork.compose.first_start import Entered
    from latchwork.settings import Settings


@click.command()
@click.option("--host", help="The address to listen on; else 127.0.0.1.")
@click.option("--port", type=int, help="The port to listen on; else 8765. 0 takes a free one.")
@everywhere
def serve(asked: Asked, host: str | None, port: int | None) -> None:
    """Serve the API until stopped.

    The first start makes a workspace and a root key, which is shown once. With --json one line tells when
    the server is ready, and where.
    """
    from latchwork.cli.logs import log_as
    from latchwork.compose.data_dir import DataDir
    from latchwork.settings import load

    flags = {"host": host, "port": port, "data_dir": asked.data_dir}
    settings = load(os.environ, flags=flags, config=asked.config).settings
    log_as(settings.log)
    directory = DataDir(settings.data_dir)
    with directory.lock(), _bound(settings) as listener:
        import uvloop

        uvloop.run(_serve(_Start(asked, settings, directory, listener)))


class _Start(NamedTuple):
    asked: Asked
    settings: "Settings"
    directory: "DataDir"
    listener: socket.socket


async def _serve(start: _Start) -> None:
    from latchwork.compose.control import listening
    from latchwork.compose.first_start import ensure_entrance
    from latchwork.compose.platform import opened
    from latchwork.compose.verbs import VERBS
    from latchwork.server.doors import doors_of
    from latchwork.server.run import serving

    settings = replace(start.settings, port=start.listener.getsockname()[1])
    async with opened(settings) as platform:
        await platform.vault.warn()
        entered = await ensure_entrance(platform)
        doors = doors_of(platform)
        async with listening(start.directory.control_socket, VERBS, platform):
            await serving(
                doors.application,
                start.listener,
                http=doors.protocol,
                on_ready=lambda: _announce(start, entered),
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
    ready = Ready(
        url=url,
        docs_url=None if settings.docs == "off" else f"{url}/docs",
        root_key=entered.minted,
        bootstrapped=entered.is_first and entered.minted is None,
    )
    if entered.added and not entered.is_first:
        click.echo(
            "latchwork: the root key of the settings is new; the earlier root keys still work.", err=True
        )
    told = {"url": url, "docsUrl": ready.docs_url, "rootKey": ready.root_key, "pid": os.getpid()}
    start.asked.show({name: each for name, each in told.items() if each is not None}, lambda: _print(ready))


def _print(ready: Ready) -> None:
    """Plain lines; on a terminal the first in bold. Long ones are never broken: they are to be copied."""
    first, *rest = lines_of(ready)
    click.secho(first, bold=True)
    for line in rest:
        click.echo(line)

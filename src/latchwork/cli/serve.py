"""`latchwork serve`."""

import click

from latchwork.cli.options import Asked, everywhere


@click.command()
@everywhere
def serve(asked: Asked) -> None:
    """Serve."""

"""`latchwork version`."""

import click

from latchwork.cli.options import Asked, without_data


@click.command()
@without_data
def version(asked: Asked) -> None:
    """Print the version."""
    from importlib.metadata import version as version_of

    found = version_of("latchwork")
    asked.show({"version": found}, lambda: click.echo(f"latchwork {found}"))

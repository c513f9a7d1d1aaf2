"""`latchwork migrate`."""

import click

from latchwork.cli.options import Asked, everywhere


@click.command()
@everywhere
def migrate(asked: Asked) -> None:
    """Bring the database up to date.

    `latchwork serve` does so by itself when it starts.
    """
    done = asked.perform("migrate")
    asked.show(done, lambda: click.echo(f"The database has schema {done['schema']}."))

"""`latchwork migrate`."""

import click

from latchwork.cli.options import Asked, everywhere


@click.command()
@click.option("--finish", is_flag=True, help="Do also what nodes of the version before would mind.")
@everywhere
def migrate(asked: Asked, finish: bool) -> None:
    """Bring the database up to date.

    `latchwork serve` does so by itself when it starts, but for what nodes of the version before would mind
    while a cluster is renewed. That is done with --finish, when none of them is left.
    """
    done = asked.perform("migrate", finish=finish)
    rest = (
        ""
        if done["finished"]
        else " Once every node is of this version, finish it: latchwork migrate --finish"
    )
    asked.show(done, lambda: click.echo(f"The database has schema {done['schema']}.{rest}"))

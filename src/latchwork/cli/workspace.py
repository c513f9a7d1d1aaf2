"""`latchwork workspace`."""

import click

from latchwork.cli.options import Asked, everywhere


@click.group()
def workspace() -> None:
    """Tenants: each has its own APIs, keys and limits."""


@workspace.command()
@click.argument("name")
@click.option(
    "--requests-per-minute", type=click.IntRange(0), metavar="N", help="The most API requests; else no limit."
)
@everywhere
def create(asked: Asked, name: str, requests_per_minute: int | None) -> None:
    """Create a workspace called NAME."""
    made = asked.perform("workspace.create", name=name, requests_per_minute=requests_per_minute)
    asked.show(made, lambda: click.echo(f"Created workspace {made['workspaceId']} ({made['name']})."))

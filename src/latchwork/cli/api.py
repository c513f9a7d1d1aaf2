"""`latchwork api`."""

import click

from latchwork.cli.options import Asked, everywhere, in_workspace


@click.group()
def api() -> None:
    """APIs: what keys are for."""


@api.command()
@click.argument("name")
@in_workspace
@everywhere
def create(asked: Asked, name: str, workspace: str | None) -> None:
    """Create an API called NAME."""
    made = asked.perform("api.create", workspace=workspace, name=name)
    asked.show(made, lambda: click.echo(f"Created API {made['apiId']} ({name})."))

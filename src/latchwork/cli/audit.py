"""`latchwork audit`."""

from typing import Any

import click

from latchwork.cli.options import Asked, everywhere


@click.group()
def audit() -> None:
    """The audit log: who did what to what."""


@audit.command()
@click.option("--workspace", metavar="WS", help="Its id or name; else all of them.")
@everywhere
def verify(asked: Asked, workspace: str | None) -> None:
    """Look for rows that were changed, removed, inserted or reordered.

    Exits with 1 when there are any. What it prints of a log that holds, the number of its last row and the digest of
    it, can be kept elsewhere and compared later.
    """
    found = asked.perform("audit.verify", workspace=workspace)
    asked.show(found, lambda: _tell(found))
    if any("broken" in each for each in found):
        raise click.exceptions.Exit(1)


def _tell(found: list[dict[str, Any]]) -> None:
    for each in found:
        whose = f"{each['workspaceId']} ({each['name']})"
        if "broken" in each:
            click.echo(f"{whose}: BROKEN. {each['broken']['reason']}; the {each['rows']} before it hold.")
        else:
            click.echo(f"{whose}: {each['rows']} rows hold, the last with digest {each['digest']}.")

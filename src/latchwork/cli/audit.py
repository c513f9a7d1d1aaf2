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

    Compares each log with its seals, and tells with how many, where they are and up to which row they go. Exits
    with 1 when a log does not hold, or is no longer there though it was sealed. What it prints of one that holds,
    the number of its last row and the digest of it, can be kept elsewhere and compared later.
    """
    found = asked.perform("audit.verify", workspace=workspace)
    asked.show(found, lambda: _tell(found))
    if any("broken" in each for each in found):
        raise click.exceptions.Exit(1)


def _tell(found: list[dict[str, Any]]) -> None:
    if not found:
        click.echo("There is no workspace, nor a seal of one.")
    for each in found:
        whose = each["workspaceId"] if each["name"] is None else f"{each['workspaceId']} ({each['name']})"
        if "broken" in each:
            click.echo(f"{whose}: BROKEN. {each['broken']['reason']}; the {each['rows']} before it hold.")
        else:
            holds = f"{each['rows']} rows hold, the last with digest {each['digest']}"
            click.echo(f"{whose}: {holds}; {_compared(**each['seals'])}.")


def _compared(count: int, place: str, lastRow: int) -> str:  # noqa: N803 - a name in JSON
    if count == 0:
        return (
            f"nothing outside of the database was there to compare them with: no seal of them is in {place}"
        )
    seals = "1 seal" if count == 1 else f"{count} seals"
    return f"they were compared with {seals} in {place}, up to row {lastRow}"

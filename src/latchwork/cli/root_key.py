"""`latchwork root-key`."""

from collections.abc import Sequence

import click

from latchwork.cli.options import Asked, everywhere, expiring, in_workspace


@click.group("root-key")
def root_key() -> None:
    """Keys that manage a workspace over the API."""


@root_key.command()
@click.option(
    "--permission",
    "permissions",
    multiple=True,
    required=True,
    metavar="P",
    help="What it may do, such as api.*.verify_key, or * for all; may be repeated.",
)
@click.option("--name", help="What it is called.")
@expiring
@in_workspace
@everywhere
def create(
    asked: Asked, permissions: Sequence[str], name: str | None, expires: str | None, workspace: str | None
) -> None:
    """Create a root key; its text is shown once."""
    from latchwork.cli.values import moment_ms

    made = asked.perform(
        "root_key.create",
        workspace=workspace,
        permissions=list(permissions),
        name=name,
        expires_ms=moment_ms(expires),
    )

    def for_people() -> None:
        click.echo(f"Created root key {made['keyId']}. This is its text, shown only now:\n{made['key']}")

    asked.show(made, for_people)

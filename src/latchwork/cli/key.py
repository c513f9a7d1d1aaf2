"""`latchwork key`."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from latchwork.cli.options import Asked, everywhere, expiring, in_workspace, sheet, with_options

_claiming = with_options(
    click.argument("key_text", metavar="KEY"),
    click.option("--cost", type=click.IntRange(0), metavar="N", help="What it costs in credits; else 1."),
    click.option("--permissions", metavar="QUERY", help="What it must be allowed, such as 'a AND (b OR c)'."),
    in_workspace,
)


@click.group()
def key() -> None:
    """Keys: create, verify and explain them."""


@key.command()
@click.option("--api", required=True, help="Id or name of the API.")
@click.option("--prefix", help="What the key begins with.")
@click.option("--name", help="What it is called.")
@click.option("--external-id", help="Whose it is, in your own system.")
@click.option("--credits", type=click.IntRange(0), metavar="N", help="What it may spend; else no limit.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=N/T",
    help="A limit on all its verifications, such as calls=10/60s; may be repeated.",
)
@click.option(
    "--permission", "permissions", multiple=True, metavar="P", help="What it may do in your API; repeatable."
)
@click.option("--recoverable", is_flag=True, help="Keep its text encrypted, so that it can be read again.")
@expiring
@in_workspace
@everywhere
def create(asked: Asked, api: str, workspace: str | None, **wanted: Any) -> None:
    """Create a key; its text is shown once."""
    made = asked.perform("key.create", workspace=workspace, api=api, wanted=_wanted(**wanted))

    def for_people() -> None:
        click.echo(f"Created key {made['keyId']}. This is its text, shown only now:\n{made['key']}")

    asked.show(made, for_people)


@key.command()
@_claiming
@click.option("--tag", "tags", multiple=True, help="A tag for the analytics; may be repeated.")
@everywhere
def verify(asked: Asked, workspace: str | None, **claim: Any) -> None:
    """Verify KEY as your API would, at its cost.

    Exits with 1 when the key is not valid. KEY may be - to read it from standard input.
    """
    verdict = asked.perform("key.verify", workspace=workspace, claim=_claim(**claim))
    asked.show(verdict, lambda: _tell_verdict(verdict))
    if not verdict["valid"]:
        raise click.exceptions.Exit(1)


@key.command()
@_claiming
@everywhere
def explain(asked: Asked, workspace: str | None, **claim: Any) -> None:
    """Explain what verifying KEY would say, and why.

    Nothing is spent or counted. KEY may be - to read it from standard input.
    """
    found = asked.perform("key.explain", workspace=workspace, claim=_claim(**claim))
    asked.show(found, lambda: _tell_explanation(found))


def _wanted(
    *,
    credits: int | None,
    limits: Sequence[str],
    permissions: Sequence[str],
    expires: str | None,
    prefix: str | None,
    name: str | None,
    external_id: str | None,
    recoverable: bool,
) -> dict[str, Any]:
    """What is wanted of a new key, in the words of the API."""
    from latchwork.cli.values import limit, moment_ms

    return _given(
        prefix=prefix,
        name=name,
        externalId=external_id,
        credits=None if credits is None else {"remaining": credits},
        ratelimits=[limit(each) for each in limits] or None,
        permissions=list(permissions) or None,
        expires=moment_ms(expires),
        recoverable=recoverable or None,
    )


def _claim(
    *, key_text: str, cost: int | None, permissions: str | None, tags: Sequence[str] = ()
) -> dict[str, Any]:
    """What a verification is asked, in the words of the API."""
    return _given(
        key=sys.stdin.readline().strip() if key_text == "-" else key_text,
        credits=None if cost is None else {"cost": cost},
        permissions=permissions,
        tags=list(tags) or None,
    )


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _tell_verdict(verdict: dict[str, Any]) -> None:
    click.echo(verdict["code"])
    if "reason" in verdict:
        click.echo(verdict["reason"])
    if "credits" in verdict:
        click.echo(f"{verdict['credits']} credits remain.")
    for limit in verdict.get("ratelimits", ()):
        click.echo(f"{limit['remaining']} of {limit['limit']} remain in the limit {limit['name']}.")


def _tell_explanation(found: dict[str, Any]) -> None:
    click.echo(found["code"])
    rows = [(each["check"], each["outcome"], each["detail"]) for each in found["checks"]]
    sheet(rows, ("check", "outcome", "what was found"))
    for remedy in found["remedies"]:
        click.echo(f"To make it pass: {remedy}")

"""What `serve` says when it is ready: at its first start enough to verify a key within a minute."""

import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from latchwork.cli.options import Asked

_JSON = "-H 'Content-Type: application/json'"
_BOOTSTRAPPED = '"$LATCHWORK_BOOTSTRAP_ROOT_KEY"'


class Ready(NamedTuple):
    """A server that is ready. `root_key` is a root key that was made at this start and is told once.

    `bootstrapped` says that this first start took the root key from the settings instead.
    """

    url: str
    docs_url: str | None
    root_key: str | None = None
    bootstrapped: bool = False


def lines_of(ready: Ready) -> Iterator[str]:
    """What to print, line by line; an indented line is to be copied, or to be kept."""
    yield f"Latchwork is ready at {ready.url}"
    if ready.root_key is None and not ready.bootstrapped:
        return
    if ready.root_key is not None:
        yield "\nYour root key, shown only now:\n"
        yield f"  {ready.root_key}"
    yield "\nMake an API, make a key in it, and verify the key:\n"
    yield from (f"  {line}" for line in commands(ready))
    if ready.docs_url is not None:
        yield f"\nThe API reference: {ready.docs_url}"


def commands(ready: Ready) -> Iterator[str]:
    """Shell lines that work one after the other as they are."""
    yield f"ROOT_KEY={_BOOTSTRAPPED if ready.root_key is None else shlex.quote(ready.root_key)}"
    made = _call(ready.url, "apis.createApi", """'{"name":"my first API"}'""")
    yield f"API_ID=$({made} | {_taking('apiId')}); echo $API_ID"
    issued = _call(ready.url, "keys.createKey", '''"{\\"apiId\\":\\"$API_ID\\",\\"prefix\\":\\"test\\"}"''')
    yield f"KEY=$({issued} | {_taking('key')}); echo $KEY"
    yield _call(ready.url, "keys.verifyKey", '''"{\\"key\\":\\"$KEY\\"}"''')


def _call(url: str, procedure: str, body: str) -> str:
    return f'curl -s {url}/v2/{procedure} -H "Authorization: Bearer $ROOT_KEY" {_JSON} -d {body}'


def _taking(member: str) -> str:
    """Cuts one member out of an answer with what every system has."""
    return f"""sed 's/.*"{member}":"\\([^"]*\\)".*/\\1/'"""


def show(asked: Asked, told: dict[str, Any], *, bootstrapped: bool) -> None:
    """Say that the server is ready, and where."""
    ready = Ready(told["url"], told["docsUrl"], told["rootKey"], bootstrapped)
    asked.show({name: each for name, each in told.items() if each is not None}, lambda: _print(ready))


def _print(ready: Ready) -> None:
    """Plain lines; on a terminal the first in bold. Long ones are never broken: they are to be copied."""
    first, *rest = lines_of(ready)
    click.secho(first, bold=True)
    for line in rest:
        click.echo(line)

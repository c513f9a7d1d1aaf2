"""What commands share: where the data is, and in which form the result is printed."""

from collections.abc import Callable, Sequence
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from latchwork.cli.performing import Perform

Command = Callable[..., None]


class Asked(NamedTuple):
    """What every command is asked besides its own matter."""

    as_json: bool
    data_dir: Path | None
    config: Path | None

    def perform(self, verb: str, **arguments: Any) -> Any:
        """The result of a verb, from the running server or without one."""
        from latchwork.cli.performing import perform

        return perform(verb, arguments, data_dir=self.data_dir, config=self.config)

    def performing(self) -> "AbstractContextManager[Perform]":
        """For commands of several verbs: `perform(verb, **arguments)`, by one and the same owner."""
        from latchwork.cli.performing import performing

        return performing(data_dir=self.data_dir, config=self.config)

    def show(self, result: Any, for_people: Callable[[], None]) -> None:
        """Print `result` as one line of JSON, or what is for people to read."""
        if not self.as_json:
            for_people()
            return
        import json

        click.echo(json.dumps(result, ensure_ascii=False))


def everywhere(command: Command) -> Command:
    """Give a command `--data-dir`, `--config` and `--json`, and in their place an `Asked` before the rest."""
    return with_options(_DATA_DIR, _CONFIG)(without_data(command))


def without_data(command: Command) -> Command:
    """The same for a command that needs neither data nor settings: only `--json`."""

    def asking(
        *, as_json: bool, data_dir: Path | None = None, config: Path | None = None, **own: Any
    ) -> None:
        command(Asked(as_json, data_dir, config), **own)

    return _JSON(update_wrapper(asking, command))


_DATA_DIR = click.option("--data-dir", type=click.Path(path_type=Path), help="The data directory.")
_CONFIG = click.option("--config", type=click.Path(path_type=Path), help="The settings file.")
_JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON and nothing else; errors as JSON too."
)


def with_options(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, shown in this order."""

    def decorate(command: Command) -> Command:
        for each in reversed(decorators):
            command = each(command)
        return command

    return decorate


in_workspace = click.option("--workspace", metavar="WS", help="Its id or name; else the first one.")
expiring = click.option("--expires", metavar="WHEN", help="When it ends: 30d, or a date such as 2030-01-31.")


def sheet(rows: Sequence[tuple[str, ...]], headings: tuple[str, ...]) -> None:
    """Print a table: drawn on a terminal, elsewhere one row a line with tabs between."""
    from sys import stdout

    if not stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)

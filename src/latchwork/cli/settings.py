"""`latchwork settings`."""

import os
from typing import TYPE_CHECKING, Any

import click

from latchwork.cli.options import Asked, everywhere, sheet

if TYPE_CHECKING:
    from latchwork.settings import Declared


@click.command()
@click.option("--reference", is_flag=True, help="Describe every setting instead, in Markdown.")
@everywhere
def settings(asked: Asked, reference: bool) -> None:
    """Print the settings in force and their source.

    Secrets are not shown.
    """
    from latchwork.settings import declared, load, value_of

    if reference:
        click.echo(_reference())
        return
    loaded = load(os.environ, flags={"data_dir": asked.data_dir}, config=asked.config)
    found = [
        {
            "name": each.name,
            "variable": each.variable,
            "value": _plain(value_of(loaded.settings, each.name)),
            "source": loaded.sources[each.name],
        }
        for each in declared()
    ]
    rows = [(each["variable"], _written(each["value"]), each["source"]) for each in found]
    asked.show(found, lambda: sheet(rows, ("setting", "value", "source")))


def _plain(value: object) -> Any:
    """A value that JSON has; a secret as it may be shown."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return [str(each) for each in value] if isinstance(value, tuple) else str(value)


def _written(value: object) -> str:
    """A value as it is written in the environment."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list | tuple) else str(value)


_INTRODUCTION = """\
# Settings

Each setting is an environment variable, or a name in a TOML file: `latchwork.toml` in the working
directory, or the one that `--config` or `LATCHWORK_CONFIG` names. A flag of `latchwork serve` wins over
the environment, the environment over the file, the file over the default. A name that is not listed here,
a wrong value or a sample secret refuses to start. `latchwork settings` prints what is in force.

This page is made by `latchwork settings --reference`.

| Variable | In the file | Default | Takes |
|---|---|---|---|"""


def _reference() -> str:
    from latchwork.settings import declared

    every = list(declared())
    rows = [
        f"| [`{each.variable}`](#{each.variable.lower()}) | `{each.name}` "
        f"| {_default(each)} | {each.kind.right} |"
        for each in every
    ]
    described = [f"### {each.variable}\n\n{each.about}" for each in every]
    return "\n".join([_INTRODUCTION, *rows, "", "\n\n".join(described)])


def _default(setting: "Declared") -> str:
    written = _written(_plain(setting.default))
    return f"`{written}`" if written else "none"

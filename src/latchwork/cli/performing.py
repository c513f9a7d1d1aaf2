"""Carrying out a verb: alone when nobody owns the data directory, else through the server that does."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from latchwork.cli.failures import Failure
from latchwork.compose import control
from latchwork.compose.data_dir import DataDir, DataDirLocked
from latchwork.settings import Settings, load

PATIENCE_S = 20.0
"""A server takes a moment from its lock to its socket, and from the end of its socket to its own; so do commands."""

_PAUSE_S = 0.05
_READING = frozenset(
    ("audit.verify", "encryption.status", "import.list", "import.show", "key.explain", "key.verify")
)
"""Verbs of what is there already: for them no database is made."""


Perform = Callable[..., Any]
"""`perform(verb, **arguments)`: the result of a verb, in plain JSON values."""


def perform(
    verb: str,
    arguments: Mapping[str, Any],
    *,
    data_dir: Path | None,
    config: Path | None,
    patience_s: float = PATIENCE_S,
) -> Any:
    """The result of a verb, in plain JSON values; raises `Refusal`, or what else stands in its way.

    Waits at most `patience_s` seconds for an owner of the directory that does not take commands.
    """
    with performing(data_dir=data_dir, config=config, patience_s=patience_s) as each:
        return each(verb, **arguments)


@contextmanager
def performing(
    *, data_dir: Path | None, config: Path | None, patience_s: float = PATIENCE_S
) -> Iterator[Perform]:
    """The same for any number of verbs: whoever owns the directory at the first one carries out all."""
    settings = load(os.environ, flags={"data_dir": data_dir}, config=config).settings
    directory = DataDir(settings.data_dir)
    with ExitStack() as stack:
        alone: Perform | None = None

        def each(verb: str, **arguments: Any) -> Any:
            nonlocal alone
            until = time.monotonic() + patience_s
            while alone is None:
                try:
                    if verb in _READING and not directory.was_owned():
                        _must_have_database(settings, directory)
                    stack.enter_context(directory.lock())
                    if verb in _READING:  # who owned it until now may have been about to make it
                        _must_have_database(settings, directory)
                    alone = stack.enter_context(_alone(settings))
                except DataDirLocked as locked:
                    try:
                        return control.ask(directory.control_socket, verb, arguments)
                    except control.NotListening:
                        if time.monotonic() > until:
                            told = f"{locked} It does not take commands."
                            raise Failure("cli/data_directory", told) from locked
                    time.sleep(_PAUSE_S)
            return alone(verb, **arguments)

        yield each


def _must_have_database(settings: Settings, directory: DataDir) -> None:
    if settings.database_url is None and not directory.database.exists():
        told = f"There is no database in {directory.path}. Its directory is named by --data-dir or LATCHWORK_DATA_DIR."
        raise Failure("cli/no_database", told)


@contextmanager
def _alone(settings: Settings) -> Iterator[Perform]:
    """A platform of our own; it is at work only while a verb is."""
    from latchwork.compose.platform import opened
    from latchwork.compose.verbs import VERBS

    with asyncio.Runner() as runner:
        opening = opened(settings, at_work=False)
        platform = runner.run(opening.__aenter__())
        try:
            yield lambda verb, **arguments: runner.run(control.call(VERBS, platform, verb, arguments))
        finally:
            runner.run(opening.__aexit__(None, None, None))

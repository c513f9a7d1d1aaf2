"""Carrying out a verb: alone when nobody owns the data directory, else through the server that does."""

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latchwork.cli.failures import Failure
from latchwork.compose import control
from latchwork.compose.data_dir import DataDir, DataDirLocked
from latchwork.settings import Settings, load

PATIENCE_S = 10.0
"""A server takes a moment from its lock to its socket, and from the end of its socket to its own."""

_PAUSE_S = 0.05


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
    settings = load(os.environ, flags={"data_dir": data_dir}, config=config).settings
    directory = DataDir(settings.data_dir)
    until = time.monotonic() + patience_s
    while True:
        try:
            with directory.lock():
                return asyncio.run(_alone(settings, verb, arguments))
        except DataDirLocked as locked:
            try:
                return control.ask(directory.control_socket, verb, arguments)
            except control.NotListening:
                if time.monotonic() > until:
                    raise Failure("cli/data_directory", f"{locked} It does not take commands.") from locked
        time.sleep(_PAUSE_S)


async def _alone(settings: Settings, verb: str, arguments: Mapping[str, Any]) -> Any:
    from latchwork.compose.platform import opened
    from latchwork.compose.verbs import VERBS

    async with opened(settings, at_work=False) as platform:
        return await control.call(VERBS, platform, verb, arguments)

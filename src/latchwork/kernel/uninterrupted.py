"""Verbs that finish once begun, whatever becomes of their caller."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_running: set[asyncio.Task[Any]] = set()  # the event loop itself holds tasks only weakly


def uninterrupted(verb: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Let `verb` run to its end even when the caller is cancelled.

    Between a commit and the change of the caches that follows it nothing may stop a verb: a caller
    that hangs up or times out must not leave memory and database apart.
    """

    @wraps(verb)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        task = asyncio.ensure_future(verb(*args, **kwargs))
        _running.add(task)
        task.add_done_callback(_running.discard)
        return await asyncio.shield(task)

    return run

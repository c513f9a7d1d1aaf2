"""The courses of events that tests play: seeds, in parts of one size, which two files share for two workers."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from tests.simulator.world import World

SEEDS = int(os.environ.get("SIMULATOR_SEEDS", "1200"))
_A_PART = 25
_FILES = 2


def parts(file: int) -> range:
    """The first seeds of the parts that this file plays; `file` is 0 or 1."""
    return range(file * _A_PART, SEEDS, _FILES * _A_PART)


def play(first: int) -> None:
    """Play the part that begins with that seed; the first that goes wrong is named."""
    with nullcontext() if first == 0 else _unmeasured():
        for seed in range(first, min(first + _A_PART, SEEDS)):
            try:
                World(seed).run()
            except Exception as error:
                raise AssertionError(
                    f"seed {seed}: {error!r}; again: .venv/bin/python -m tests.simulator {seed}"
                ) from error


@contextmanager
def _unmeasured() -> Iterator[None]:
    """Measuring coverage takes three times as long as what it measures, and one part shows what all do."""
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(trace)

"""Whatever befalls a cluster, its promises hold; and the simulator would see it if they did not."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.simulator.planted import PLANTED, planted
from tests.simulator.violation import Violation
from tests.simulator.world import World

SEEDS = int(os.environ.get("SIMULATOR_SEEDS", "400"))
_A_PART = 20
_FOUND_WITHIN = 100


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What nodes log of so many faults is of no interest."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, SEEDS, _A_PART))
def test_no_course_of_events_breaks_a_promise(first: int) -> None:
    for seed in range(first, min(first + _A_PART, SEEDS)):
        try:
            World(seed).run()
        except Exception as error:
            raise AssertionError(
                f"seed {seed}: {error!r}; again: .venv/bin/python -m tests.simulator {seed}"
            ) from error


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    with planted(fault), pytest.raises(Violation):
        for seed in range(_FOUND_WITHIN):
            World(seed).run()


def test_one_seed_is_one_course_of_events_in_every_process() -> None:
    told = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulator", "3", "5"],
            env=os.environ | {"PYTHONHASHSEED": hashing},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hashing in ("1", "2")
    ]
    assert told[0] == told[1] and told[0].count("seed ") == 2

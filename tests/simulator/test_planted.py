"""The simulator would see it if a promise did not hold, and sees the same in every process."""

import os
import subprocess
import sys

import pytest

from tests.simulator.planted import PLANTED, planted
from tests.simulator.violation import Violation
from tests.simulator.world import World

_FOUND_WITHIN = 100


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

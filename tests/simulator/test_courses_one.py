"""Whatever befalls a cluster, its promises hold: every other part of the seeds."""

import pytest

from tests.simulator.courses import parts, play


@pytest.mark.parametrize("first", parts(0))
def test_no_course_of_events_breaks_a_promise(first: int) -> None:
    play(first)

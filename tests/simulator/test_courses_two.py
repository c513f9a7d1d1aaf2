"""Whatever befalls a cluster, its promises hold: the parts between those of the other file."""

import pytest

from tests.simulator.courses import parts, play


@pytest.mark.parametrize("first", parts(1))
def test_no_course_of_events_breaks_a_promise(first: int) -> None:
    play(first)

"""What is remembered is believed for as long as nothing can have been missed, and not a moment longer."""

from hypothesis import given
from hypothesis import strategies as st

from latchwork.kernel import leases
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.leases import SWEEP_S, TERM_S, Lease, LeasedClock


class World:
    """A clock moved by hand, and what a cache is told."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.lease = Lease(lambda: self.now_s)
        self.told: list[str] = []
        self.lease.listen(
            lambda ends: self.told.append("ends" if ends else "sweep"), lambda: self.told.append("renewed")
        )

    def pass_(self, seconds: float) -> None:
        self.now_s += seconds
        self.lease.check()


def test_a_lease_begins_with_the_first_look_and_ends_a_term_after_the_last_began() -> None:
    world = World()
    assert world.lease.is_over
    world.lease.renew(100.0)
    assert world.told == ["renewed"] and not world.lease.is_over
    world.pass_(TERM_S - 0.01)
    assert world.told == ["renewed"]
    world.pass_(0.01)
    assert world.told == ["renewed", "ends"] and world.lease.is_over


def test_a_look_that_took_too_long_renews_nothing() -> None:
    world = World()
    world.lease.renew(100.0 - TERM_S)
    assert world.lease.is_over and world.told == []


def test_without_a_lease_what_is_read_is_put_aside_again_and_again() -> None:
    world = World()
    world.lease.renew(100.0)
    world.pass_(TERM_S)
    world.pass_(SWEEP_S / 2)
    world.pass_(SWEEP_S / 2)
    world.pass_(SWEEP_S)
    assert world.told == ["renewed", "ends", "sweep", "sweep"]


def test_only_who_can_neither_believe_nor_read_may_use_what_is_stale_and_for_as_long_as_it_accepts() -> None:
    world = World()
    world.lease.renew(100.0)
    world.lease.failed()
    assert not world.lease.allows(60) and not world.lease.is_out_of_reach
    world.pass_(TERM_S)
    assert world.lease.is_out_of_reach and world.lease.allows(0)
    world.pass_(60)
    assert not world.lease.allows(59) and world.lease.allows(60)
    world.lease.renew(world.now_s)
    assert not world.lease.allows(60) and not world.lease.is_out_of_reach


@given(st.lists(st.one_of(st.floats(0, 2), st.tuples(st.floats(0, 2), st.booleans())), max_size=40))
def test_nothing_is_believed_for_longer_than_a_term_after_the_look_that_proves_it(
    steps: list[object],
) -> None:
    world = World()
    proven_s = float("-inf")
    for step in steps:
        if isinstance(step, tuple):
            took_s, succeeds = step
            began_s = world.now_s
            world.now_s += took_s
            if succeeds:
                world.lease.renew(began_s)
                proven_s = began_s
            else:
                world.lease.failed()
        else:
            assert isinstance(step, float)
            world.now_s += step
        world.lease.check()
        assert world.lease.is_over or world.now_s - proven_s < TERM_S


def test_a_clock_that_is_asked_sees_that_the_lease_is_over_first() -> None:
    world = World()
    clock = LeasedClock(ManualClock(7), world.lease)
    world.lease.renew(world.now_s)
    assert clock.now_ms() == 7 and world.told == ["renewed"]
    world.now_s += 10  # the process was stopped
    assert clock.now_ms() == 7 and world.told == ["renewed", "ends"]
    assert TERM_S <= 1 and leases.READ_S + SWEEP_S <= 1

"""Leases: what is remembered of a shared database may be believed for as long as nothing can have been missed."""

from collections.abc import Callable
from time import monotonic

from latchwork.kernel.clock import Clock

TERM_S = 0.75
"""How long after a look that missed nothing began what was remembered then may still be believed."""
SWEEP_S = 0.25
"""How long what is read while the lease is over may be believed."""
READ_S = 0.5
"""How long reading it may have taken."""


class Lease:
    """Whether caches of a database that others write too may be believed; times of the monotonic clock.

    It is renewed by looks at the database that can have missed no change. A change that was acknowledged before
    a look began is heard of by that look; so whatever becomes of looks, a cache is believed for at most `TERM_S`
    after an acknowledged change, and then what it holds is put aside and read again. What is read without a
    lease is put aside after `SWEEP_S` again.
    """

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        self.until_s = 0.0
        self.is_over = True
        self.is_cut = False
        self.now_s = now_s
        """The time that leases go by."""
        self._proven_s = now_s()
        self._listeners: list[tuple[Callable[[bool], None], Callable[[], None]]] = []

    def listen(self, over: Callable[[bool], None], renewed: Callable[[], None]) -> None:
        """Call `over` when what is remembered may not be believed any more, and `renewed` when that has passed.

        `over(True)` is the end of a lease, and what is being read then has to be read again; `over(False)` comes
        again and again while there is none.
        """
        self._listeners.append((over, renewed))

    def renew(self, began_s: float) -> None:
        """A look that began then has missed nothing."""
        self.is_cut = False
        self._proven_s = began_s
        self.until_s = began_s + TERM_S
        if self.is_over and self.now_s() < self.until_s:
            self.is_over = False
            for _, renewed in self._listeners:
                renewed()

    def failed(self) -> None:
        """The database cannot be looked at now."""
        self.is_cut = True

    def check(self) -> None:
        """End the lease if its time is over; while it is, put aside what was read meanwhile."""
        now_s = self.now_s()
        if now_s < self.until_s:
            return
        ends, self.is_over = not self.is_over, True
        self.until_s = now_s + SWEEP_S
        for over, _ in self._listeners:
            over(ends)

    def covers_reading(self, began_s: float) -> bool:
        """Whether what has been read since then may be believed for a moment at least."""
        return not self.is_over or self.now_s() - began_s <= READ_S

    @property
    def is_out_of_reach(self) -> bool:
        """Whether nothing may be believed and nothing can be read."""
        return self.is_over and self.is_cut

    def allows(self, stale_ok_s: int) -> bool:
        """Whether what was put aside may be used by who accepts it to be so old, as nothing can be read."""
        return self.is_out_of_reach and self.now_s() - self._proven_s <= TERM_S + stale_ok_s


class LeasedClock:
    """A clock whose every reading first sees whether the lease is over.

    Whoever decides asks for the time before anything else; so a process that was stopped for a while does not
    decide by what it remembers, however the event loop orders what waits.
    """

    __slots__ = ("_clock", "_lease", "_now_s")

    def __init__(self, clock: Clock, lease: Lease) -> None:
        self._clock = clock
        self._lease = lease
        self._now_s = lease.now_s

    def now_ms(self) -> int:
        """See `Clock`."""
        if self._now_s() >= self._lease.until_s:
            self._lease.check()
        return self._clock.now_ms()

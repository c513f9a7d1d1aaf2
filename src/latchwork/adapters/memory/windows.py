"""The sliding windows of one duration: for each window one table of what was taken, by key."""

from latchwork.domains.ratelimits.sliding_window import weight

Table = dict[str, int]

_NOTHING: Table = {}  # stands for a window in which nothing was taken; never written to


class Windows:
    """The window that time is in and the one before it, ready for use, and what else is remembered.

    A new window is an empty table, and the one before the previous is let go as a whole: nobody looks
    through the keys to find those that are out of date. `now_ms` is the moment that everything is ready
    for: as many checks come in the same millisecond, what depends on it is worked out once.
    """

    __slots__ = ("_kept", "_tables", "current", "duration_ms", "end_ms", "now_ms", "previous", "weight")

    def __init__(self, duration_ms: int, kept: int) -> None:
        self.duration_ms = duration_ms
        self.now_ms = -1
        self.end_ms = 0
        self.weight = 0.0
        self.current: Table = {}
        self.previous: Table = _NOTHING
        self._kept = kept
        self._tables: dict[int, Table] = {}  # by the end of the window, the last entered last

    def holds(self, now_ms: int) -> bool:
        """Whether `now_ms` is in the current window."""
        return self.end_ms - self.duration_ms <= now_ms < self.end_ms

    def move(self, now_ms: int) -> None:
        """Make ready for `now_ms`, which is in the current window."""
        self.now_ms = now_ms
        self.weight = weight(now_ms % self.duration_ms, self.duration_ms)

    def turn(self, now_ms: int) -> list[Table]:
        """Make the window of `now_ms` current. Returns the tables that are no longer remembered."""
        tables = self._tables
        start_ms = now_ms - now_ms % self.duration_ms
        self.end_ms = end_ms = start_ms + self.duration_ms
        before, current = tables.pop(start_ms, None), tables.pop(end_ms, None)
        if before is not None:
            tables[start_ms] = before
        tables[end_ms] = {} if current is None else current
        self.previous = _NOTHING if before is None else before
        self.current = tables[end_ms]
        return [tables.pop(next(iter(tables))) for _ in range(len(tables) - self._kept)]

    def correct(self, key: str, previous: int) -> None:
        """Make what `key` has taken in the previous window what it was said to be elsewhere."""
        if self.previous is _NOTHING:
            start_ms = self.end_ms - self.duration_ms
            self.previous = {}
            self._tables = {start_ms: self.previous, **self._tables}  # entered before this one
        self.previous[key] = previous

    def matters(self, now_ms: int) -> bool:
        """Whether anything remembered may still weigh at `now_ms`."""
        return now_ms < max(self._tables) + (self._kept - 1) * self.duration_ms

    def forget(self, key: str) -> None:
        """As if nothing had ever been taken by `key`."""
        for table in self._tables.values():
            table.pop(key, None)

    def put(self, key: str, start_ms: int, count: int) -> None:
        """Count what was taken in a window, if it is remembered or the previous one."""
        end_ms = start_ms + self.duration_ms
        if end_ms not in self._tables and end_ms == self.end_ms - self.duration_ms:
            self.correct(key, 0)
        table = self._tables.get(end_ms)
        if table is not None:
            table[key] = table.get(key, 0) + count

    def counts(self) -> list[tuple[int, Table]]:
        """Every remembered window by its start, the first entered first."""
        return [(end_ms - self.duration_ms, table) for end_ms, table in self._tables.items()]

    def tables(self) -> list[Table]:
        """All that is remembered."""
        return list(self._tables.values())

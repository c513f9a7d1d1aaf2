"""Where states stand that lose their meaning when time has passed."""

from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

_LOOKS = 2  # at old states for each new one: with fewer the shelf could grow faster than it is cleared


class Fading(Protocol):
    """A state that equals a fresh one from `matters_until_ms` on."""

    matters_until_ms: int


S = TypeVar("S", bound=Fading)


class Shelf(Generic[S]):
    """States by key and duration, and no more than about twice those that still matter.

    Whenever a state is put up, two of the old ones are looked at, in turn, and taken down if they have
    faded: a small, even price instead of a pause. States stay for `grace` durations longer than they must.
    """

    __slots__ = ("_durations", "_fresh", "_grace", "_round", "_states")

    def __init__(self, fresh: Callable[[], S], grace: int = 0) -> None:
        self._fresh = fresh
        self._grace = grace
        self._states: dict[tuple[str, int], S] = {}
        self._round: deque[tuple[str, int]] = deque()  # every state once
        self._durations: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._states)

    def find(self, key: str, duration_ms: int) -> S | None:
        """The state of a counter, if it has one."""
        return self._states.get((key, duration_ms))

    def claim(self, key: str, duration_ms: int, now_ms: int) -> S:
        """The state of a counter; a fresh one, put up now, if it has none."""
        state = self._states.get((key, duration_ms))
        if state is None:
            self._clear(now_ms)
            state = self._states[key, duration_ms] = self._fresh()
            self._round.append((key, duration_ms))
            self._durations[duration_ms] += 1
        return state

    def forget(self, key: str, duration_ms: int | None) -> None:
        """Make the state of a counter a fresh one; of each duration where none is named."""
        for duration in list(self._durations) if duration_ms is None else [duration_ms]:
            if (key, duration) in self._states:
                self._states[key, duration] = self._fresh()

    def items(self) -> list[tuple[tuple[str, int], S]]:
        """Every state, by key and duration, as they stand now."""
        return list(self._states.items())

    def _clear(self, now_ms: int) -> None:
        for _ in range(min(_LOOKS, len(self._round))):
            place = self._round.popleft()
            if self._states[place].matters_until_ms + self._grace * place[1] > now_ms:
                self._round.append(place)
                continue
            del self._states[place]
            self._durations[place[1]] -= 1
            if not self._durations[place[1]]:
                del self._durations[place[1]]

"""Telling caches that something they may hold has changed."""

from collections.abc import Callable, Iterable

Tag = tuple[str, str | bytes]
"""What changed: `("key", digest)`, `("identity", id)`, `("api", id)`, `("workspace", id)`, `("namespace", id)`,
`("quotas", id of a workspace)`."""


class Invalidations:
    """Carries tags of what changed from the verbs that change it to the caches that hold it.

    A verb announces after its commit and before its answer, so that nobody who has seen the answer
    can meet the old state.
    """

    def __init__(self) -> None:
        self._listeners: list[Callable[[Iterable[Tag]], None]] = []

    def listen(self, listener: Callable[[Iterable[Tag]], None]) -> None:
        """Call `listener` with every announcement from now on; it must not fail or wait."""
        self._listeners.append(listener)

    def announce(self, *tags: Tag) -> None:
        """Make every cache forget what carries one of `tags`, before this returns."""
        for listener in self._listeners:
            listener(tags)

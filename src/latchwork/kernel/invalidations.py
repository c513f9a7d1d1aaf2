"""Telling caches that something they may hold has changed."""

from collections.abc import Callable, Iterable

Tag = tuple[str, str | bytes]
"""What changed: `("key", digest)`, `("identity", id)`, `("api", id)`, `("workspace", id)`, `("namespace", id)`,
`("quotas", id of a workspace)`; and `("jobs", id of a workspace)`: there are more of them to do."""

Listener = Callable[[Iterable[Tag]], None]
"""Hears tags on the event loop; it must not fail or wait."""


class Invalidations:
    """Carries tags of what changed to the caches that hold it.

    A unit of work says what it changes (`kernel.sql.changes`). The database announces that after the
    commit and before anybody is told of it, so that nobody who has seen an answer can meet the old state.
    """

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every announcement from now on."""
        self._listeners.append(listener)

    def announce(self, *tags: Tag) -> None:
        """Make every cache forget what carries one of `tags`, before this returns."""
        for listener in self._listeners:
            listener(tags)

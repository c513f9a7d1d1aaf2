"""What analytics need from a technology: a place for events that can be counted."""

from typing import Protocol

from latchwork.domains.analytics.records import Counts, VerificationsQuestion


class BadBatch(Exception):
    """The batch itself cannot be read: trying again will not help."""


class AnalyticsStore(Protocol):
    """Keeps events. Its verbs block and are called from one worker thread at a time."""

    def open(self) -> None:
        """Connect and create what is missing."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...

    def ingest(self, batch: str, verifications: bytes, ratelimits: bytes) -> None:
        """Store a batch once, however often it is handed over under the same name.

        Raises `BadBatch` when its lines are not what they should be. Both kinds are
        lines of JSON objects whose members are the columns.
        """
        ...

    def count(self, question: VerificationsQuestion, timeout_s: float) -> list[Counts]:
        """The groups that have events, in any order; raises `QueryTimeout`."""
        ...

    def prune(self, before_ms: int) -> None:
        """Delete events older than that."""
        ...

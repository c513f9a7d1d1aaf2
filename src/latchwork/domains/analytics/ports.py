"""What analytics need from a technology: a place for events that can be counted."""

from collections.abc import Generator, Sequence
from typing import Any, Protocol

from latchwork.domains.analytics.batches import Batch
from latchwork.domains.analytics.records import Counts, Usage, VerificationsQuestion
from latchwork.domains.analytics.sql.tree import Question


class BadBatch(Exception):
    """The batch itself cannot be read: trying again will not help."""


class AnalyticsStore(Protocol):
    """Keeps events. All verbs block.

    `open`, `close`, `ingest`, `forget` and `prune` are called from one thread at a time; questions
    from others, beside them, after `open` and before `close`. Where the store cannot be reached, verbs
    raise `AnalyticsUnavailable`, or whatever their technology raises.
    """

    batch_s: float
    """How long events may wait, in seconds, until there are more of them to store at once."""

    def open(self) -> None:
        """Connect and create what is missing."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...

    def ingest(self, batch: Batch) -> None:
        """Store a batch once, however often it is handed over under the same name.

        Raises `BadBatch` when it is not what it should be; then nothing of it is stored.
        """
        ...

    def forget(self, waiting: Sequence[str]) -> None:
        """Forget the names of the batches that were stored, but for those in `waiting`: the others never come again."""
        ...

    def prune(self, before_ms: int, workspace_id: str | None = None) -> None:
        """Delete events older than that: all, or one workspace's together with what was counted of them."""
        ...

    def count(self, question: VerificationsQuestion, timeout_s: float) -> list[Counts]:
        """The groups that have events, in any order; raises `QueryTimeout`."""
        ...

    def usage(self, workspace_id: str, start_ms: int, end_ms: int, timeout_s: float) -> Usage:
        """How many operations of the workspace were recorded in [start, end); raises `QueryTimeout`."""
        ...

    def ask(self, question: Question, timeout_s: float) -> Generator[tuple[Any, ...], None, None]:
        """The rows that answer it, as they come; close the generator to stop.

        Values are those of Python for the question's types. Raises `QueryTimeout`, `QueryMemoryExceeded`,
        and `InvalidQuery` where a value cannot be computed.
        """
        ...

    def keys_tagged(self, workspace_id: str, tag: str, most: int, timeout_s: float) -> list[str]:
        """Up to `most` ids of keys that were verified with the tag, the first by id; raises `QueryTimeout`."""
        ...

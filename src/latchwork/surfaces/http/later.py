"""Answers that wait until what they say is durable."""

from collections.abc import Callable
from typing import Protocol

from latchwork.surfaces.http.bulkhead import Ceiling
from latchwork.surfaces.http.hot import Answer


class Settling(Protocol):
    """Something that will have happened, or not."""

    def then(self, callback: Callable[[Exception | None], None]) -> None:
        """Call `callback` once: with `None` when it has happened, or with why it has not."""
        ...


class AfterCommit:
    """An answer that leaves when `commit` has happened, and meanwhile counts as `waiting`; see `hot.Later`.

    `answer` is the answer, or makes it then, where it is not known before. `refused` makes the answer to the
    request of that id when it has not happened.
    """

    __slots__ = ("_answer", "_callback", "_commit", "_refused", "_request_id", "_waiting")

    def __init__(
        self,
        commit: Settling,
        answer: bytes | Callable[[], bytes | Answer],
        request_id: str,
        refused: Callable[[str, Exception], Answer],
        waiting: Ceiling,
    ) -> None:
        self._commit = commit
        self._answer = answer
        self._request_id = request_id
        self._refused = refused
        self._waiting = waiting

    def then(self, callback: Callable[[bytes | Answer], None]) -> None:
        """See `hot.Later`."""
        self._callback = callback
        self._waiting.inside += 1
        self._commit.then(self._settled)

    def _settled(self, error: Exception | None) -> None:
        self._waiting.inside -= 1
        if error is not None:
            self._callback(self._refused(self._request_id, error))
            return
        answer = self._answer
        self._callback(answer if isinstance(answer, bytes) else answer())

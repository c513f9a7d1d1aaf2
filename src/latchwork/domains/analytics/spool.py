"""The spool: batches of events as files, so that a crash between memory and store loses none of them."""

from collections import deque
from pathlib import Path

import msgspec

from latchwork.domains.analytics.records import Row
from latchwork.kernel.ids import new_id

_lines = msgspec.json.Encoder().encode_lines
_SPLIT = b"\n\x1e\n"  # between the two kinds of a batch; JSON never holds a bare control character


class Spool:
    """A directory of batches, oldest first by name, at most `max_bytes` of them."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._waiting: deque[tuple[Path, int]] = deque()
        self.size_bytes = 0
        self.dropped = 0
        self._opened = False

    def open(self) -> None:
        """Find what an earlier process left behind; the first call does it."""
        if self._opened:
            return
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(self._directory.glob("*.batch")):
            self._add(path, path.stat().st_size)
        self._opened = True

    def put(self, verifications: list[Row], ratelimits: list[Row]) -> None:
        """Write one batch; when the spool is full the oldest batches go, and are counted."""
        content = _SPLIT.join(
            (
                _lines([_verification(row) for row in verifications]),
                _lines([_ratelimit(row) for row in ratelimits]),
            )
        )
        path = self._directory / f"{new_id('b')}.batch"
        draft = path.with_suffix(".draft")
        draft.touch(0o600)
        draft.write_bytes(content)
        draft.rename(path)
        self._add(path, len(content))
        while self.size_bytes > self._max_bytes and len(self._waiting) > 1:
            self.dropped += self._waiting[0][0].read_bytes().count(b"\n")
            self.done()

    def next(self) -> tuple[str, bytes, bytes] | None:
        """The oldest batch: its name, its verifications and its rate limits."""
        if not self._waiting:
            return None
        path = self._waiting[0][0]
        verifications, _, ratelimits = path.read_bytes().partition(_SPLIT)
        return path.stem, verifications, ratelimits

    def done(self) -> None:
        """Forget the oldest batch."""
        path, size = self._waiting.popleft()
        self.size_bytes -= size
        path.unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Put the oldest batch out of the way, for people to look at, and count its events as dropped."""
        path = self._waiting[0][0]
        self.dropped += path.read_bytes().count(b"\n")
        path.rename(path.with_suffix(".bad"))
        self.done()

    def _add(self, path: Path, size: int) -> None:
        self._waiting.append((path, size))
        self.size_bytes += size


def _verification(row: Row) -> dict[str, object]:
    time_ms, request_id, snapshot, outcome, tags, spent, latency_us = row
    return {
        "request_id": request_id,
        "time": time_ms,
        "workspace_id": snapshot.workspace_id,
        "key_space_id": snapshot.keyspace_id,
        "identity_id": snapshot.identity_id,
        "external_id": snapshot.external_id,
        "key_id": snapshot.key_id,
        "outcome": outcome,
        "region": "",
        "source": "api",
        "app_id": "",
        "tags": tags,
        "spent_credits": spent,
        "latency": latency_us / 1000,
    }


def _ratelimit(row: Row) -> dict[str, object]:
    (
        time_ms,
        request_id,
        namespace,
        identifier,
        passed,
        latency_us,
        override_id,
        limit,
        remaining,
        reset,
        tokens,
    ) = row
    return {
        "request_id": request_id,
        "time": time_ms,
        "workspace_id": namespace.workspace_id,
        "namespace_id": namespace.id,
        "identifier": identifier,
        "passed": passed,
        "latency": latency_us / 1000,
        "override_id": override_id or "",
        "limit": limit,
        "remaining": remaining,
        "reset_at": reset,
        "tokens": tokens,
    }

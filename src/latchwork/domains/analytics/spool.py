"""The spool: batches of events as files, so that a crash between memory and store loses none of them."""

import os
import threading
from collections import deque
from io import FileIO
from pathlib import Path

from latchwork.domains.analytics.batches import Batch, read

_SUFFIX = ".batch"


class Spool:
    """A directory of batches, oldest first, at most `max_bytes` of them.

    One batch at a time is being written, frame by frame; sealed, it waits to be stored. One thread may
    write while another stores.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Path, int]] = deque()
        self._taken: Path | None = None
        self._open: FileIO | None = None
        self.size_bytes = 0
        self.dropped = 0
        self._opened = False

    @property
    def waiting(self) -> list[str]:
        """The names of the batches that wait to be stored, oldest first."""
        with self._lock:
            return [path.stem for path, _ in self._waiting]

    @property
    def oldest_ms(self) -> int | None:
        """When the batch was written that waits the longest; `None` when none does."""
        with self._lock:
            oldest = self._waiting[0][0] if self._waiting else None
        try:
            return None if oldest is None else oldest.stat().st_mtime_ns // 1_000_000
        except FileNotFoundError:  # stored this moment
            return None

    def open(self) -> None:
        """Find what an earlier process left behind; the first call does it."""
        if self._opened:
            return
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            size = path.stat().st_size
            self._waiting.append((path, size))
            self.size_bytes += size
        self._opened = True

    def write(self, name: str, frame: bytes) -> None:
        """Append a frame to the batch of that name, which is the one being written.

        It survives the death of the process from here on. Raises `OSError`; then the batch is as before.
        """
        if self._open is None:
            path = self._directory / f"{name}{_SUFFIX}"
            self._open = FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        begin = self._open.tell()
        try:
            self._write(self._open, frame)
        except OSError:
            self._open.truncate(begin)
            self._open.seek(begin)
            raise

    def seal(self, name: str) -> None:
        """The batch being written is complete. When the spool is full the oldest batches go, and are counted."""
        if self._open is None:
            return
        size = self._open.tell()
        self._open.close()
        self._open = None
        path = self._directory / f"{name}{_SUFFIX}"
        if not size:  # not even the first frame found room
            path.unlink()
            return
        with self._lock:
            self._waiting.append((path, size))
        while (over := self._over()) is not None:
            self.dropped += read(over.stem, over.read_bytes()).events
            over.unlink()

    def next(self) -> Batch | None:
        """The oldest batch; it is there until `done` or `set_aside`."""
        with self._lock:
            if not self._waiting:
                return None
            self._taken = self._waiting[0][0]
        return read(self._taken.stem, self._taken.read_bytes())

    def done(self) -> None:
        """Forget the batch that `next` gave."""
        self._leave().unlink(missing_ok=True)

    def set_aside(self, lost: int) -> None:
        """Put the batch that `next` gave out of the way, for people to look at, `lost` events of it uncounted."""
        path = self._leave()
        self.dropped += lost
        path.rename(path.with_suffix(".bad"))

    def settle(self) -> None:
        """Make sure that the batches that are done stay away, even if the power fails."""
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _leave(self) -> Path:
        with self._lock:
            path, size = self._waiting.popleft()
            self.size_bytes -= size
            self._taken = None
            return path

    def _write(self, file: FileIO, frame: bytes) -> None:
        rest = memoryview(frame)
        while rest:
            rest = rest[file.write(rest) :]
        with self._lock:
            self.size_bytes += len(frame)

    def _over(self) -> Path | None:
        """The batch to drop for want of room: the oldest that nobody is storing, never the newest."""
        with self._lock:
            at = 0 if self._taken is None else 1
            if self.size_bytes <= self._max_bytes or len(self._waiting) <= at + 1:
                return None
            path, size = self._waiting[at]
            del self._waiting[at]
            self.size_bytes -= size
            return path

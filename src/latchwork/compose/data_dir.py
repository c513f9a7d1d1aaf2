"""The data directory: where its files are, and the lock that gives it one owner at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SEALS = "audit.seals"


class DataDirError(Exception):
    """The data directory cannot be used; the message is one sentence that says why."""


class DataDirUnusable(DataDirError):
    """It cannot be created, or this user may not write in it."""


class DataDirLocked(DataDirError):
    """Another process owns it. `pid` is that process, where it is known."""

    def __init__(self, path: Path, pid: int | None) -> None:
        self.pid = pid
        owner = "another process" if pid is None else f"process {pid}"
        super().__init__(f"The data directory {path} is in use by {owner}.")


class DataDir:
    """The paths in a data directory. Only the holder of `lock` may open the files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "latchwork.db"
        self.analytics = path / "analytics.duckdb"
        self.spool = path / "spool"
        self.blobs = path / "blobs"
        self.control_socket = path / "control.sock"
        self._lock_file = path / "latchwork.lock"

    def create(self) -> None:
        """Make the directory, readable by its owner only; an existing one keeps its mode."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.spool.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise _unusable(self.path, error) from error

    def was_owned(self) -> bool:
        """Whether somebody owns it, or once did; makes nothing. Raises `DataDirUnusable`."""
        try:
            return self._lock_file.exists()
        except OSError as error:
            raise _unusable(self.path, error) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Own the directory for the block, creating it where needed; never waits.

        From then on this process makes every file for its owner only: databases make some by themselves.

        Raises `DataDirLocked` when another process owns it, `DataDirUnusable` when it cannot be
        written. The kernel lets go of the lock when its holder dies, however it dies.
        """
        os.umask(0o077)
        self.create()
        try:
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(self.path, error) from error
        try:
            self._take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def adopt(self, root: Path, workers: int) -> None:
        """Take over events that wait where nobody sends them any more, and seals that nobody looks for there.

        That is in the directories of workers beyond the first `workers` below `root`, and in `root` itself where
        that is another one than this: fewer workers were started than last time, or one process in their place.
        """
        left = [each for each in root.glob("workers/*") if each.name.isdigit() and int(each.name) >= workers]
        for directory in left if root == self.path else [*left, root]:
            for batch in directory.glob("spool/*.batch"):
                batch.rename(self.spool / batch.name)
            for seals in directory.glob(_SEALS):
                seals.rename(self.path / f"{_SEALS}.{directory.name}")

    def inherited_seals(self) -> list[Path]:
        """The files in which an earlier version kept seals of the audit log."""
        return sorted([*self.path.glob(f"{_SEALS}*"), *self.path.glob(f"workers/*/{_SEALS}*")])

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataDirLocked(self.path, _pid_in(descriptor)) from None
        except OSError as error:  # such as a network file system without locks
            raise _unusable(self.path, error) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _pid_in(descriptor: int) -> int | None:
    written = os.pread(descriptor, 20, 0)
    return int(written) if written.isdigit() else None


def _unusable(path: Path, error: OSError) -> DataDirUnusable:
    reason = (error.strerror or str(error)).lower()
    return DataDirUnusable(f"The data directory {path} cannot be written: {reason}.")

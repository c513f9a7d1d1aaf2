"""Blobs as files of a directory, which several processes of one host may share.

Plain calls of the system rather than obstore's `LocalStore`, which makes nothing durable and gives a file its name
before its content is on disk.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from errno import ENOTDIR
from pathlib import Path
from secrets import token_hex
from threading import Thread
from typing import TypeVar

from latchwork.adapters.blobs.deadline import DEADLINE_S, within
from latchwork.kernel.blobs import BlobsUnavailable, checked_key, is_key

T = TypeVar("T")


class DirectoryBlobs:
    """The port `Blobs` on the directory `root`, which is made when something is first kept."""

    def __init__(self, root: Path, *, deadline_s: float = DEADLINE_S) -> None:
        self._root = root
        self._deadline_s = deadline_s
        self._turn = asyncio.Lock()

    def __str__(self) -> str:
        return self._root.absolute().as_uri()

    async def put(self, key: str, content: bytes) -> bool:
        path = self._root / checked_key(key)
        async with self._asking():
            return await self._done(_put, path, content)

    async def find(self, key: str) -> bytes | None:
        path = self._root / checked_key(key)
        async with self._asking():
            return await self._done(_find, path)

    async def list(self, folder: str) -> Sequence[str]:
        under = self._root / checked_key(folder)
        async with self._asking():
            paths = await self._done(_files, under)
        return sorted(path.relative_to(self._root).as_posix() for path in paths)

    async def folders(self, folder: str) -> Sequence[str]:
        under = self._root / checked_key(folder)
        async with self._asking():
            return sorted(await self._done(_folders, under))

    async def delete(self, keys: Sequence[str]) -> None:
        paths = [self._root / checked_key(key) for key in keys]
        async with self._asking():
            await self._done(_delete, paths)

    async def _done(self, work: Callable[..., T], *arguments: object) -> T:
        """One at a time, on a thread that nothing else waits for, nor the end of the process: a disk may hang."""
        loop = asyncio.get_running_loop()
        await self._turn.acquire()
        outcome: Future[T] = Future()
        outcome.set_running_or_notify_cancel()

        def run() -> None:
            try:
                outcome.set_result(work(*arguments))
            except BaseException as error:  # noqa: BLE001 - it is told to who asked
                outcome.set_exception(error)
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._turn.release)

        Thread(target=run, name="blobs", daemon=True).start()
        return await asyncio.wrap_future(outcome)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        try:
            async with within(self._deadline_s, str(self)):
                yield
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise BlobsUnavailable(f"{self} cannot be used: {reason}.") from error


def _put(path: Path, content: bytes) -> bool:
    if path.exists():
        return False
    _make(path.parent)
    beside = path.with_name(f".{path.name}.{token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        is_kept = _linked(beside, path)
    finally:
        beside.unlink()
    _sync(path.parent)
    return is_kept


def _linked(beside: Path, path: Path) -> bool:
    """Give the file its name, whole as it is, unless another has it: renaming would replace that one."""
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        return False
    return True


def _make(directory: Path) -> None:
    """Make a directory that is still there after a crash."""
    if directory.is_dir():
        return
    _make(directory.parent)
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), directory) from error
    _sync(directory.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _find(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def _files(directory: Path) -> list[Path]:
    found: list[Path] = []
    for entry in _entries(directory):
        if entry.is_dir(follow_symlinks=False):
            found += _files(Path(entry))
        elif entry.is_file() and not entry.name.startswith("."):
            found.append(Path(entry))
    return found


def _folders(directory: Path) -> list[str]:
    return [entry.name for entry in _entries(directory) if is_key(entry.name) and entry.is_dir()]


def _entries(directory: Path) -> "list[os.DirEntry[str]]":
    """What is in a directory, which may not be there; anything else that stands in the way is told."""
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _delete(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)

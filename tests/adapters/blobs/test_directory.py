"""Blobs in a directory: for their owner only, whole or not there, and durable before they are acknowledged."""

import asyncio
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from threading import enumerate as enumerate_threads

import pytest

from latchwork.adapters.blobs import DirectoryBlobs
from latchwork.kernel.blobs import BlobsUnavailable


async def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    await DirectoryBlobs(tmp_path / "blobs").put("a/b", b"1")
    modes = {stat.S_IMODE((tmp_path / each).stat().st_mode) for each in ("blobs", "blobs/a")}
    assert modes == {0o700}
    assert stat.S_IMODE((tmp_path / "blobs/a/b").stat().st_mode) == 0o600


async def test_nothing_is_made_before_something_is_kept(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path / "blobs")
    assert (await blobs.list("a"), await blobs.find("a")) == ([], None)
    await blobs.delete(["a"])
    assert not (tmp_path / "blobs").exists()


async def test_what_a_crash_left_half_written_is_no_blob(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    await blobs.put("a/1", b"whole")
    (tmp_path / "a" / ".2.0f3c9a7e").write_bytes(b"ha")
    assert await blobs.list("a") == ["a/1"]
    assert await blobs.put("a/2", b"whole")
    assert await blobs.list("a") == ["a/1", "a/2"]


async def test_a_name_that_another_process_takes_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")  # not there for who looks, but taken for who writes
    blobs = DirectoryBlobs(tmp_path)
    assert not await blobs.put("a", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


async def test_content_and_names_are_on_disk_before_it_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def remember(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        named = (tmp_path / "blobs/a/b").exists()
        synced.append(f"{path.relative_to(tmp_path).as_posix().partition('/.')[0]} {named}")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", remember)
    await DirectoryBlobs(tmp_path / "blobs").put("a/b", b"1")
    # the new directories from the top, the content before it has its name, then the name
    assert synced == [". False", "blobs False", "blobs/a False", "blobs/a True"]


@pytest.mark.parametrize("root", ["file", "file/blobs"])
async def test_a_file_in_the_way_is_told_and_not_taken_for_an_empty_folder(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    blobs = DirectoryBlobs(tmp_path / root)
    for verb in (blobs.put("a/b", b"1"), blobs.list("a"), blobs.list("a/b"), blobs.folders("a")):
        with pytest.raises(BlobsUnavailable) as caught:
            await verb
        assert str(caught.value) == f"file://{tmp_path}/{root} cannot be used: not a directory."


async def test_a_folder_that_cannot_be_read_is_told_and_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = DirectoryBlobs(tmp_path)
    await blobs.put("a/b/c", b"1")
    scandir = os.scandir

    def closed(path: Path) -> object:  # a superuser may read whatever its mode says
        if Path(path) == tmp_path / "a/b":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    for verb in (blobs.list("a"), blobs.list("a/b"), blobs.folders("a/b")):
        with pytest.raises(BlobsUnavailable, match=r"cannot be used: permission denied\."):
            await verb


async def test_a_disk_that_says_nothing_is_given_up_at_the_deadline_and_takes_one_thread_at_most(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "a"
    os.mkfifo(pipe)  # whoever reads it waits for somebody who writes
    blobs = DirectoryBlobs(tmp_path, deadline_s=0.05)
    for verb in (
        blobs.find("a"),
        blobs.find("b"),
        blobs.put("b", b"1"),
        blobs.list("b"),
        blobs.delete(["b"]),
    ):
        with pytest.raises(BlobsUnavailable) as caught:
            await verb
        assert str(caught.value) == f"file://{tmp_path} did not answer within 0.05 seconds."
    assert [thread.name for thread in enumerate_threads()].count("blobs") == 1
    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    while "blobs" in [thread.name for thread in enumerate_threads()]:
        await asyncio.sleep(0.001)
    assert await DirectoryBlobs(tmp_path).find("b") is None


async def test_a_disk_that_hangs_does_not_hold_up_the_end_of_the_process(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    script = (
        "import asyncio, sys; from pathlib import Path; from latchwork.adapters.blobs import DirectoryBlobs\n"
        "asyncio.run(DirectoryBlobs(Path(sys.argv[1]), deadline_s=0.05).find('a'))"
    )
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1 and "did not answer within 0.05 seconds." in ran.stderr

"""A batch that cannot be read is set aside; what comes after it is counted."""

from pathlib import Path

import msgspec
import pytest

from latchwork.domains.analytics import batches
from latchwork.domains.analytics.spool import Spool
from tests.domains.analytics.recordings import question, recording, verification


async def test_garbage_in_the_spool_stops_nothing(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "0garbage.batch").write_bytes(b'{"time": "not a number"\n\x00\xff\n\n\x1e\n')
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification())
        assert (await analytics.get_verifications(question()))[0].total == 1
        assert (spool / "0garbage.bad").exists()
        assert analytics.health().dropped > 0


@pytest.mark.parametrize("at", [3, 20, 60, -5])
async def test_what_came_before_a_damage_is_counted_and_the_rest_set_aside(tmp_path: Path, at: int) -> None:
    draft = batches.Draft()
    frames = [draft.frame([verification()], []) for _ in range(3)]
    damaged = bytearray(frames[1])
    damaged[at] ^= 0x40
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "b_1.batch").write_bytes(frames[0] + damaged + frames[2])
    async with recording(tmp_path) as analytics:
        assert (await analytics.get_verifications(question()))[0].total == 1
        assert (spool / "b_1.bad").exists()
        assert analytics.health().dropped == 1


async def test_a_frame_cut_off_by_the_end_of_a_process_is_no_damage(tmp_path: Path) -> None:
    draft = batches.Draft()
    frames = [draft.frame([verification()], []) for _ in range(2)]
    content = b"".join(frames)
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "b_1.batch").write_bytes(content[:-1])
    (spool / "b_2.batch").write_bytes(content[:5])
    async with recording(tmp_path) as analytics:
        assert (await analytics.get_verifications(question()))[0].total == 1
        assert analytics.health().dropped == 0
    assert list(spool.iterdir()) == []


async def test_a_batch_whose_columns_do_not_fit_is_set_aside_whole(tmp_path: Path) -> None:
    draft = batches.Draft()
    frame = draft.frame([verification(tags=["a"])], [])
    broken = frame.replace(msgspec.json.encode(["a"]), b'["a""')
    spool = Spool(tmp_path / "spool", 1 << 30)
    spool.open()
    spool.write("b_1", _sealed(broken))
    spool.seal("b_1")
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification())
        assert (await analytics.get_verifications(question()))[0].total == 1
        assert analytics.health().dropped == 1
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["b_1.bad"]


def _sealed(frame: bytes) -> bytes:
    """The frame with the checksum of what it holds now."""
    payload = frame[batches.HEAD.size :]
    return batches.framed(payload)

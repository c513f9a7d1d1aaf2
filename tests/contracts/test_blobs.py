"""What a place for blobs promises, in a directory and in a bucket."""

import asyncio

import pytest

from latchwork.kernel.blobs import Blobs


async def test_what_was_kept_is_found_whole(blobs: Blobs) -> None:
    contents = {"a/nothing": b"", "a/every.byte": bytes(range(256)), "b": b"\x00" * 300_000}
    for key, content in contents.items():
        assert await blobs.put(key, content)
    assert {key: await blobs.find(key) for key in contents} == contents


async def test_what_is_not_there_is_not_found(blobs: Blobs) -> None:
    assert await blobs.find("a/b") is None
    await blobs.put("a/b/c", b"1")
    assert await blobs.find("a/b") is None
    assert await blobs.find("a/b/c/d") is None


async def test_what_is_there_is_never_replaced(blobs: Blobs) -> None:
    assert [await blobs.put("a", content) for content in (b"first", b"second")] == [True, False]
    assert await blobs.find("a") == b"first"


async def test_of_many_who_come_at_once_one_keeps(blobs: Blobs) -> None:
    contents = [b"%d" % number for number in range(12)]
    kept = await asyncio.gather(*(blobs.put("deep/in/a", content) for content in contents))
    assert kept.count(True) == 1
    assert await blobs.find("deep/in/a") == contents[kept.index(True)]
    assert await blobs.list("deep") == ["deep/in/a"]


async def test_a_folder_lists_what_is_below_it_in_order_and_nothing_beside_it(blobs: Blobs) -> None:
    assert await blobs.list("ws_1") == []
    for key in ("ws_1/b", "ws_1/a/2", "ws_1/a/10", "ws_10/a", "ws_", "x/ws_1/a"):
        await blobs.put(key, b"1")
    assert await blobs.list("ws_1") == ["ws_1/a/10", "ws_1/a/2", "ws_1/b"]


async def test_the_folders_of_a_folder_are_told_without_what_is_in_them(blobs: Blobs) -> None:
    assert await blobs.folders("seals") == []
    for key in ("seals/ws_2/a", "seals/ws_2/b", "seals/ws_10/c/d", "seals/loose", "seals_too/ws_3/a"):
        await blobs.put(key, b"1")
    assert await blobs.folders("seals") == ["ws_10", "ws_2"]


async def test_more_than_a_page_is_listed_whole(blobs: Blobs) -> None:
    keys = [f"a/{number:04}" for number in range(1_005)]  # a page of S3 has a thousand
    for start in range(0, len(keys), 100):
        await asyncio.gather(*(blobs.put(key, b"1") for key in keys[start : start + 100]))
    assert await blobs.list("a") == keys


async def test_what_is_deleted_is_gone_and_the_rest_is_not(blobs: Blobs) -> None:
    for key in ("a/1", "a/2", "a/3"):
        await blobs.put(key, b"1")
    await blobs.delete(["a/1", "a/3", "a/4"])
    assert await blobs.list("a") == ["a/2"]
    await blobs.delete([])
    assert await blobs.put("a/1", b"anew")
    assert await blobs.find("a/1") == b"anew"


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.b", "a b", "a\n", "a\\b", "a%2fb", "ä"]
)
async def test_what_is_no_key_leads_nowhere(blobs: Blobs, key: str) -> None:
    with pytest.raises(ValueError, match="is no key of a blob"):
        await blobs.put(key, b"1")
    with pytest.raises(ValueError, match="is no key of a blob"):
        await blobs.find(key)
    with pytest.raises(ValueError, match="is no key of a blob"):
        await blobs.list(key)
    with pytest.raises(ValueError, match="is no key of a blob"):
        await blobs.folders(key)
    with pytest.raises(ValueError, match="is no key of a blob"):
        await blobs.delete([key])

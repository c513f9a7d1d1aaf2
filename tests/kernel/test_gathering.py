"""Gathering: alone at once, together with neighbours, and never put off for ever."""

import asyncio

from latchwork.kernel.gathering import Gathering


class Box:
    """What has gathered, and the groups it was taken in."""

    def __init__(self) -> None:
        self.inside = 0
        self.groups: list[int] = []
        self.gathering = Gathering(lambda: self.inside, self._take)

    def put(self) -> None:
        self.inside += 1
        self.gathering.begin()

    def _take(self) -> None:
        self.groups.append(self.inside)
        self.inside = 0


async def test_who_comes_alone_does_not_wait() -> None:
    box = Box()
    box.put()
    await asyncio.sleep(0)
    assert box.groups == [1]


async def test_all_of_one_turn_are_one_group() -> None:
    box = Box()
    for _ in range(7):
        box.put()
    while not box.groups:
        await asyncio.sleep(0)
    assert box.groups == [7]


async def test_nobody_waits_for_ever_while_others_keep_coming() -> None:
    box = Box()
    put = 0
    while len(box.groups) < 5:
        box.put()
        put += 1
        await asyncio.sleep(0)
    assert sum(box.groups) + box.inside == put


async def test_nothing_is_done_where_it_was_taken_by_somebody_else() -> None:
    box = Box()
    box.put()
    box.inside = 0
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert box.groups == []
    box.put()
    await asyncio.sleep(0)
    assert box.groups == [1]

"""Who gets a place, who waits and who is turned away."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from latchwork.surfaces.http.bulkhead import Bulkhead, Ceiling, Overloaded


class Crowd:
    """Requests of workspaces, named in the order in which they got a place."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.served: list[str] = []
        self.refused: list[str] = []
        self._leaving: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        """Requests such as `a1`: the first letter is the workspace."""
        for name in names:
            self._leaving[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._ask(name))
        await self.settle()

    async def leave(self, *names: str) -> None:
        for name in names:
            self._leaving[name].set()
            await self.settle()

    async def give_up(self, name: str) -> None:
        self._tasks[name].cancel()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def _ask(self, name: str) -> None:
        try:
            async with self.bulkhead.place(name[0]):
                self.served.append(name)
                await self._leaving[name].wait()
        except Overloaded:
            self.refused.append(name)


async def test_workspaces_take_turns() -> None:
    crowd = Crowd(Bulkhead(1, 10))
    await crowd.come("a1", "a2", "a3", "a4", "b1", "b2", "c1")
    await crowd.leave("a1", "a2", "b1", "c1", "a3", "b2")
    assert crowd.served == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_one_workspace_leaves_a_quarter_of_the_places_to_others() -> None:
    crowd = Crowd(Bulkhead(4, 10))
    await crowd.come("a1", "a2", "a3", "a4", "a5")
    assert crowd.served == ["a1", "a2", "a3"]
    await crowd.come("b1")
    await crowd.leave("b1", "a1")
    assert crowd.served == ["a1", "a2", "a3", "b1", "a4"]


async def test_in_a_full_queue_the_last_of_the_greediest_gives_way() -> None:
    crowd = Crowd(Bulkhead(1, 3))
    await crowd.come("a1", "a2", "a3", "a4", "a5")
    assert crowd.refused == ["a5"]
    await crowd.come("b1")
    assert crowd.refused == ["a5", "a4"]
    await crowd.come("b2")
    assert crowd.refused == ["a5", "a4", "b2"]
    await crowd.leave("a1", "a2", "b1")
    assert crowd.served == ["a1", "a2", "b1", "a3"]


async def test_without_a_queue_whoever_finds_no_place_is_refused() -> None:
    crowd = Crowd(Bulkhead(1, 0))
    await crowd.come("a1", "b1")
    assert (crowd.served, crowd.refused) == (["a1"], ["b1"])


async def test_who_gives_up_waiting_holds_nothing() -> None:
    crowd = Crowd(Bulkhead(1, 2))
    await crowd.come("a1", "a2", "b1")
    await crowd.give_up("a2")
    await crowd.come("c1")
    await crowd.leave("a1", "b1")
    assert (crowd.served, crowd.refused) == (["a1", "b1", "c1"], [])


async def test_who_gives_up_in_the_moment_of_getting_a_place_passes_it_on() -> None:
    bulkhead = Bulkhead(1, 2)
    async with AsyncExitStack() as first:
        await first.enter_async_context(bulkhead.place("a"))
        crowd = Crowd(bulkhead)
        await crowd.come("b1", "c1")
        await first.aclose()
        await crowd.give_up("b1")
    assert crowd.served == ["c1"]


async def test_nobody_waits_for_ever() -> None:
    crowd = Crowd(Bulkhead(1, 2, patience_s=0))
    await crowd.come("a1", "a2")
    assert (crowd.served, crowd.refused) == (["a1"], ["a2"])
    await crowd.leave("a1")
    await crowd.come("b1")
    assert crowd.served == ["a1", "b1"]


def test_a_ceiling_counts_who_is_inside() -> None:
    ceiling = Ceiling(1)
    with ceiling:
        assert ceiling.is_reached
        with pytest.raises(Overloaded), ceiling:
            pass
    assert not ceiling.is_reached


@pytest.mark.parametrize(("places", "queue"), [(1, 0), (1, 2), (4, 3), (2, 5)])
async def test_who_is_turned_away_is_known_beforehand(places: int, queue: int) -> None:
    bulkhead = Bulkhead(places, queue)
    crowd = Crowd(bulkhead)
    names = [f"{workspace}{number}" for number in range(6) for workspace in "aab"] + ["c0", "c1"]
    names = [f"{name}{place}" for place, name in enumerate(names)]
    told = []
    for name in names:
        told.append(bulkhead.turns_away(name[0]))
        await crowd.come(name)
        assert (name in crowd.refused) == told[-1]
    assert {*told} == {True, False}
    for name in names:
        await crowd.leave(name)
    assert sorted(crowd.served + crowd.refused) == sorted(names)
    assert not bulkhead.turns_away("a") or queue == 0

"""The ledger of a cluster: exact between nodes, beside administration, and whatever becomes of connections."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select

from latchwork.domains.credits import Balance, Change, SharedLedger, Spending, store
from latchwork.domains.credits.tables import balances
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, PostgresDatabase
from tests.engines.fault_proxy import FaultProxy
from tests.engines.postgres import Postgres, cluster, on_a_loop_of_its_own

Node = tuple[PostgresDatabase, SharedLedger]


@asynccontextmanager
async def node(url: str) -> AsyncIterator[Node]:
    """A process's part: its database and its ledger."""
    database = PostgresDatabase(url)
    await database.open()
    ledger = SharedLedger(database)
    await ledger.open()
    try:
        yield database, ledger
    finally:
        await ledger.close()
        await database.close()


@pytest.fixture
async def first(postgres_url: str) -> AsyncIterator[Node]:
    async with node(postgres_url) as opened:
        yield opened


@pytest.fixture
async def second(postgres_url: str, first: Node) -> AsyncIterator[Node]:
    async with node(postgres_url) as opened:
        yield opened


async def grant(database: PostgresDatabase, **amounts: int) -> None:
    """Give subjects their first balances."""
    workspace = await Workspaces(database, ManualClock()).create("acme", None)
    opened = {subject: Balance(amount) for subject, amount in amounts.items()}
    await database.write(
        lambda connection: store.open_balances(connection, workspace.id, opened, 0), ALL_WORKSPACES
    )


async def left(database: PostgresDatabase) -> dict[str, int]:
    rows = await database.read(
        lambda connection: connection.execute(select(balances.c.subject_id, balances.c.remaining)).all(),
        ALL_WORKSPACES,
    )
    return {row.subject_id: row.remaining for row in rows}


def ask(ledger: SharedLedger, subjects: tuple[str, ...], cost: int) -> Awaitable[Spending]:
    told: asyncio.Future[Spending] = asyncio.get_running_loop().create_future()
    ledger.ask(subjects, cost, told.set_result)
    return told


async def test_many_at_once_on_two_nodes_get_what_there_is_and_no_more(first: Node, second: Node) -> None:
    await grant(first[0], k=100)
    asked = [ask(ledger, ("k",), 1) for _ in range(64) for _, ledger in (first, second)]
    spendings = await asyncio.gather(*asked)
    assert sum(spending.spent for spending in spendings) == 100
    assert await left(first[0]) == {"k": 0}
    assert sorted(s.remaining[0] or 0 for s in spendings if s.spent) == list(range(100))
    assert {s.remaining for s in spendings if not s.spent} == {(0,)}


async def test_costs_are_taken_in_the_order_asked_wherever_they_still_fit(first: Node) -> None:
    await grant(first[0], k=10)
    spendings = await asyncio.gather(*(ask(first[1], ("k",), cost) for cost in (6, 5, 3, 2, 1, 0)))
    assert [(s.spent, s.remaining) for s in spendings] == [
        (True, (4,)), (False, (4,)), (True, (1,)), (False, (1,)), (True, (0,)), (True, (0,)),
    ]  # fmt: skip


async def test_two_who_pay_together_pay_both_or_neither(first: Node) -> None:
    await grant(first[0], k=3, i=10)
    asked = [(("k", "i"), 2), (("k", "i"), 2), (("i",), 7), (("i", "k"), 1), (("i", "nobody"), 0)]
    spendings = await asyncio.gather(*(ask(first[1], subjects, cost) for subjects, cost in asked))
    assert [s.spent for s in spendings] == [True, False, True, True, True]
    assert spendings[4].remaining == (0, None)
    assert await left(first[0]) == {"k": 0, "i": 0}


async def test_who_has_no_balance_is_unlimited_and_a_look_takes_nothing(first: Node) -> None:
    await grant(first[0], k=5)
    assert await first[1].settled("k") == 5
    assert await first[1].settled("nobody") is None
    assert await first[1].spend("nobody", 7)
    assert not await first[1].spend("k", 6)
    assert await left(first[0]) == {"k": 5}


async def test_what_another_node_adds_is_there_for_a_key_that_had_run_out(first: Node, second: Node) -> None:
    await grant(first[0], k=1)
    assert await first[1].spend("k", 1)
    assert not await first[1].spend("k", 1)
    await rewrite(second, "k", Change(add=5))
    assert await first[1].spend("k", 5)
    assert not await first[1].spend("k", 1)


async def rewrite(of: Node, subject: str, change: Change) -> int | None:
    """Change a balance as administration does; what is available then."""
    database, ledger = of
    workspace_id = (await Workspaces(database, ManualClock()).all())[0].id
    async with ledger.rewriting(subject) as unfolded:
        after = await database.write(
            lambda connection: store.rewrite(connection, workspace_id, subject, unfolded, change, 0),
            ALL_WORKSPACES,
        )
        ledger.put(subject, None if after is None else after.remaining)
    return None if after is None else after.remaining


async def test_changes_among_the_spends_of_a_busy_key_add_up(first: Node, second: Node) -> None:
    await grant(first[0], k=1_000)
    spent, granted, is_over = 0, 1_000, False

    async def spend(ledger: SharedLedger) -> None:
        nonlocal spent
        while not is_over:
            cost = random.randint(1, 3)
            spending = await ask(ledger, ("k",), cost)
            spent += cost * spending.spent

    spending = [asyncio.ensure_future(spend(ledger)) for _, ledger in (first, second) for _ in range(8)]
    for turn in range(20):
        assert await rewrite((first, second)[turn % 2], "k", Change(add=100)) is not None
        granted += 100
    is_over = True
    await asyncio.gather(*spending)
    assert (await left(first[0]))["k"] == granted - spent >= 0


async def test_setting_a_busy_balance_is_one_moment_for_all_nodes(first: Node, second: Node) -> None:
    await grant(first[0], k=10_000)
    after, is_set = 0, False

    async def spend(ledger: SharedLedger) -> None:
        nonlocal after
        while (spending := await ask(ledger, ("k",), 1)).spent:
            after += is_set and (spending.remaining[0] or 0) < 50

    spending = [asyncio.ensure_future(spend(ledger)) for _, ledger in (first, second) for _ in range(8)]
    await asyncio.sleep(0)
    is_set = True
    assert await rewrite(first, "k", Change(remaining=50)) == 50
    await asyncio.gather(*spending)
    assert after == 50
    assert (await left(first[0]))["k"] == 0


# Faults


@pytest.fixture
async def distant(distant_url: str) -> AsyncIterator[Node]:
    """A node whose way to PostgreSQL can be spoilt."""
    async with node(distant_url) as opened:
        yield opened


async def test_a_commit_whose_answer_is_lost_is_found_out_about(
    distant: Node, postgres_proxy: FaultProxy, first: Node
) -> None:
    await grant(first[0], k=10)
    assert (await ask(distant[1], ("k",), 1)).spent
    lost = postgres_proxy.lose_answers()
    spending = await ask(distant[1], ("k",), 3)
    assert lost.is_set()
    assert (spending.spent, spending.remaining) == (True, (6,))
    assert await left(first[0]) == {"k": 6}


async def test_a_refusal_whose_answer_is_lost_takes_nothing(
    distant: Node, postgres_proxy: FaultProxy, first: Node
) -> None:
    await grant(first[0], k=2)
    assert (await ask(distant[1], ("k",), 0)).remaining == (2,)
    postgres_proxy.lose_answers()
    spending = await ask(distant[1], ("k",), 3)
    assert isinstance(spending.error, Unavailable) or not spending.spent
    assert await left(first[0]) == {"k": 2}


@pytest.mark.parametrize("fault", ["stall", "refuse", "swallow"])
async def test_out_of_reach_everybody_is_refused_and_nothing_is_given_and_it_heals(
    distant: Node, postgres_proxy: FaultProxy, first: Node, fault: str
) -> None:
    await grant(first[0], k=10)
    assert (await ask(distant[1], ("k",), 1)).spent
    postgres_proxy.refuses = fault == "refuse"
    postgres_proxy.swallows_answers = fault == "swallow"
    if fault == "stall":
        postgres_proxy.stall()
    else:
        postgres_proxy.cut() if fault == "refuse" else None
    spendings = await asyncio.gather(*(ask(distant[1], ("k",), 1) for _ in range(3)))
    assert all(isinstance(spending.error, Unavailable) and not spending.spent for spending in spendings)
    postgres_proxy.refuses = postgres_proxy.swallows_answers = False
    postgres_proxy.cut()
    postgres_proxy.flow()
    assert (await ask(distant[1], ("k",), 1)).spent
    taken = 10 - (await left(first[0]))["k"]
    assert 2 <= taken <= 5  # what was refused in doubt may be taken, and nothing is given without being taken


async def test_a_change_whose_gate_is_lost_is_made_all_the_same(
    distant: Node, postgres_proxy: FaultProxy, first: Node
) -> None:
    await grant(first[0], k=10)
    assert await rewrite(distant, "k", Change(add=1)) == 11
    postgres_proxy.cut()
    assert await rewrite(distant, "k", Change(add=1)) == 12


def test_through_kills_of_the_server_nothing_is_given_that_was_not_taken() -> None:
    settings = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    with cluster(settings) as server:
        url = server.url(server.create())
        on_a_loop_of_its_own(_through_kills(server, url))


async def _through_kills(server: Postgres, url: str) -> None:
    plenty, given, refused, is_over = 1_000_000, 0, 0, False
    async with node(url) as one, node(url) as other:
        await grant(one[0], k=plenty)

        async def spend(ledger: SharedLedger) -> None:
            nonlocal given, refused
            while not is_over:
                spending = await ask(ledger, ("k",), 1)
                given += spending.spent
                refused += spending.error is not None
                if spending.error is not None:
                    await asyncio.sleep(0.01)

        spending = [asyncio.ensure_future(spend(ledger)) for _, ledger in (one, other) for _ in range(16)]
        for _ in range(3):
            before = given
            await _until(lambda before=before: given > before + 200)  # type: ignore[misc]
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await asyncio.to_thread(server.start)
        before = given
        await _until(lambda: given > before + 200)
        is_over = True
        await asyncio.gather(*spending)
        taken = plenty - (await left(one[0]))["k"]
    assert given <= taken <= given + refused


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)

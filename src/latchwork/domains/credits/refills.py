"""Refills: topping balances up at their moment, which is a midnight of UTC."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from latchwork.domains import audit
from latchwork.domains.credits import store
from latchwork.domains.credits.accounts import Accounts
from latchwork.domains.credits.keeping import Keeping
from latchwork.domains.credits.records import Refilled
from latchwork.domains.credits.rules import DAY_MS
from latchwork.kernel.clock import Clock
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database

_AT_ONCE = 200  # subjects per write: spends of all of them wait for it


class Refills:
    """Tops up what is due, once, whether it became due now or while nobody ran.

    A refill raises a balance to its amount and never lowers one. `ensure` is for whoever cannot wait for the
    moment's turn: a verification that begins when a refill is due meets the balance after it.
    """

    def __init__(self, database: Database, ledger: Accounts, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._swept_ms = 0
        self._keeping = Keeping("refills of credits", self.sweep, self._wait_ms)

    async def open(self) -> None:
        """Make up for what became due while nobody ran, and refill from now on."""
        await self._keeping.open()

    async def close(self) -> None:
        """Stop; the next start makes up for what becomes due meanwhile."""
        await self._keeping.close()

    async def sweep(self) -> int:
        """Refill everything that is due; by how much balances rose in all."""
        now_ms = self._clock.now_ms()
        added = 0
        while due := await self._database.read(
            partial(store.due, now_ms=now_ms, limit=_AT_ONCE), ALL_WORKSPACES
        ):
            added += await self._top_up(due, now_ms)
        self._swept_ms = now_ms
        return added

    async def ensure(self, subject_ids: Sequence[str], now_ms: int) -> dict[str, int]:
        """Refill those of the subjects that are due; when each is due next, of those that have a refill."""
        await self._top_up(subject_ids, now_ms)
        return await self._database.read(partial(store.dues, subject_ids=subject_ids), ALL_WORKSPACES)

    async def _top_up(self, subject_ids: Iterable[str], now_ms: int) -> int:
        cold = [each for each in subject_ids if self._ledger.available(each) is None]
        async with self._ledger.rewriting_all(subject_ids) as unfolded:
            done = await self._database.write(
                partial(_refill, unfolded=unfolded, now_ms=now_ms), ALL_WORKSPACES
            )
            for each in done:
                self._ledger.put(each.subject_id, each.remaining)
        for subject_id in cold:  # nobody is spending from them
            self._ledger.forget(subject_id)
        return sum(each.added for each in done)

    def _wait_ms(self) -> int:
        """Until the midnight after the last sweep, which may have passed already."""
        return (self._swept_ms // DAY_MS + 1) * DAY_MS - self._clock.now_ms()


def _refill(connection: Connection, unfolded: Mapping[str, int], now_ms: int) -> list[Refilled]:
    done = store.refill(connection, unfolded, now_ms)
    raised: dict[str, list[Refilled]] = defaultdict(list)
    for each in done:
        if each.added:
            raised[each.workspace_id].append(each)
    for workspace_id, some in raised.items():
        audit.record(connection, _nobody(workspace_id), now_ms, _entry(some))
    return done


def _entry(raised: Sequence[Refilled]) -> audit.Entry:
    whose = f"of {raised[0].subject_id}" if len(raised) == 1 else f"of {len(raised)} keys and identities"
    resources = tuple(
        audit.Resource("credits", each.subject_id, None, {"added": each.added, "remaining": each.remaining})
        for each in raised
    )
    return audit.Entry("credits.refill", f"Refilled the credits {whose}", resources)


def _nobody(workspace_id: str) -> Principal:
    """The server itself, of its own accord."""
    return Principal(
        workspace_id=workspace_id,
        subject_id="refills",
        subject_name="refills of credits",
        permissions=frozenset(),
        remote_ip="local",
        user_agent="latchwork",
        request_id=new_id("cor"),
        subject_type="system",
    )

"""A process that spends, holds and refills until it is killed: a line of standard output per acknowledged act.

`python -m tests.domains.credits.keeper <database file> <workspace> <the time, in milliseconds>`
"""

import asyncio
import os
import random
import sys

from latchwork.domains.credits import HoldNotFound, Holds, Ledger, Refills, TooFewCredits
from latchwork.domains.credits.rules import DAY_MS
from latchwork.domains.workspaces import operator
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.sql import SqliteDatabase

SUBJECTS = [f"key_{number}" for number in range(4)]
SPENDERS, HOLDERS = 4, 4
DEAREST = 3
LARGEST = 20
TTL_MS = DAY_MS // 3


def tell(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Keeper:
    """One life of the process."""

    def __init__(self, path: str, workspace_id: str, now_ms: int) -> None:
        self.database = SqliteDatabase(path)
        self.who = operator(workspace_id)
        self.clock = ManualClock(now_ms)
        self.ledger = Ledger(self.database)
        self.holds = Holds(self.database, self.ledger, self.clock)
        self.refills = Refills(self.database, self.ledger, self.clock)
        self.chance = random.Random(now_ms)

    async def run(self) -> None:
        await self.database.open()
        await self.ledger.open()
        await self.holds.open()
        await self.refills.open()
        tell("ready", self.clock.now_ms())
        await asyncio.gather(
            self.pass_days(),
            *(self.spend() for _ in range(SPENDERS)),
            *(self.hold() for _ in range(HOLDERS)),
        )

    async def spend(self) -> None:
        while True:
            subject, cost = self.chance.choice(SUBJECTS), self.chance.randint(1, DEAREST)
            if await self.ledger.spend(subject, cost):
                tell("spent", subject, cost)
            await asyncio.sleep(0)

    async def hold(self) -> None:
        """Holds of which one in three is left behind."""
        while True:
            subject, amount = self.chance.choice(SUBJECTS), self.chance.randint(1, LARGEST)
            try:
                held = (await self.holds.reserve(self.who, subject, amount, TTL_MS)).hold
                tell("held", held.id)
                what = self.chance.randrange(3)
                if what == 0:
                    settled = await self.holds.commit(self.who, held.id, self.chance.randint(0, amount))
                    tell("spent", subject, settled.spent)
                    tell("settled", held.id)
                elif what == 1:
                    await self.holds.release(self.who, held.id)
                    tell("settled", held.id)
            except (TooFewCredits, HoldNotFound):
                await asyncio.sleep(0)

    async def pass_days(self) -> None:
        while True:
            self.clock.advance(DAY_MS // 6)
            await asyncio.gather(self.refills.sweep(), self.holds.sweep())
            tell("ready", self.clock.now_ms())


if __name__ == "__main__":
    asyncio.run(Keeper(sys.argv[1], sys.argv[2], int(sys.argv[3])).run())

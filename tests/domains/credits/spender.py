"""A process that spends until it is killed: a line of standard output per acknowledged spend.

`python -m tests.domains.credits.spender <database file>`
"""

import asyncio
import os
import sys
from itertools import count

from latchwork.domains.credits import Ledger
from latchwork.kernel.sql import SqliteDatabase

SUBJECTS = [f"key_{number}" for number in range(8)]
GRANTED = 1_000_000
TASKS = 16


async def _spend_for_ever(ledger: Ledger, number: int) -> None:
    for turn in count(number):
        subject = SUBJECTS[turn * 7 % len(SUBJECTS)]
        cost = 1 + turn % 3
        if await ledger.spend(subject, cost):
            os.write(1, f"{subject} {cost}\n".encode())


async def _fold_for_ever(ledger: Ledger) -> None:
    while True:
        await ledger.fold()
        await asyncio.sleep(0.005)


async def _main(path: str) -> None:
    database = SqliteDatabase(path)
    await database.open()
    ledger = Ledger(database)
    await ledger.open()
    os.write(1, b"ready 0\n")
    await asyncio.gather(_fold_for_ever(ledger), *(_spend_for_ever(ledger, n) for n in range(TASKS)))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))

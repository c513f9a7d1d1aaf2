"""kill -9 of a process that spends and folds: what it acknowledged is what was spent."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from latchwork.domains.credits import Balance, Ledger, store
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.sql import ALL_WORKSPACES, SqliteDatabase
from tests.domains.credits.spender import GRANTED, SUBJECTS, TASKS

CYCLES = 20
DEAREST = 3
ROOT = Path(__file__).parents[3]


def _spend_until_killed(path: Path, acknowledgements: int) -> Counter[str]:
    """What one process acknowledged; it is killed after about so many."""
    acknowledged: Counter[str] = Counter()
    command = [sys.executable, "-m", "tests.domains.credits.spender", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout):
            if number == acknowledgements:
                process.kill()  # what is already in the pipe was acknowledged too, and is read on
            if line.endswith(b"\n"):
                subject, amount = line.decode().split()
                acknowledged[subject] += int(amount)
    assert process.returncode == -9
    return acknowledged


async def test_what_was_acknowledged_was_spent_and_nothing_else(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path)
    await database.open()
    workspace = await Workspaces(database, ManualClock()).create("acme")

    opened = {subject: Balance(GRANTED) for subject in SUBJECTS}
    await database.write(lambda c: store.open_balances(c, workspace.id, opened, 0), ALL_WORKSPACES)
    await database.close()
    acknowledged: Counter[str] = Counter()
    chance = random.Random(20_241)
    for cycle in range(1, CYCLES + 1):
        acknowledged += _spend_until_killed(sqlite_path, chance.randrange(400))
        await database.open()
        ledger = Ledger(database)
        await ledger.open()
        spent = {subject: GRANTED - (await ledger.settled(subject) or 0) for subject in SUBJECTS}
        await ledger.close()
        await database.close()
        assert all(spent[subject] >= acknowledged[subject] for subject in SUBJECTS), "a spend was lost"
        unacknowledged = sum(spent.values()) - sum(acknowledged.values())
        assert unacknowledged <= cycle * TASKS * DEAREST, "more was spent than was under way"
    assert sum(acknowledged.values()) > CYCLES * 100

"""kill -9 of a process that spends, holds and refills: nothing is lost, given away, settled or refilled twice."""

import random
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from latchwork.domains.audit.tables import audit_log
from latchwork.domains.credits import Balance, Holds, Ledger, Refill, store
from latchwork.domains.credits.rules import DAY_MS
from latchwork.domains.credits.tables import holds
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, SqliteDatabase
from tests.domains.credits.keeper import DEAREST, HOLDERS, LARGEST, SPENDERS, SUBJECTS, TTL_MS

CYCLES = 12
GRANTED = 400
REFILL = Refill("daily", 300)
ROOT = Path(__file__).parents[3]


@dataclass
class Oracle:
    """What was acknowledged."""

    now_ms: int
    spent: Counter[str] = field(default_factory=Counter)
    held: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)

    def live(self, path: Path, workspace_id: str, acknowledgements: int) -> None:
        """Let one process live; it is killed after about so many acknowledgements."""
        command = [
            sys.executable,
            "-m",
            "tests.domains.credits.keeper",
            str(path),
            workspace_id,
            str(self.now_ms),
        ]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for number, line in enumerate(process.stdout):
                if number == acknowledgements:
                    process.kill()  # what is already in the pipe was acknowledged too, and is read on
                if line.endswith(b"\n"):
                    self.hear(*line.decode().split())
        assert process.returncode == -9

    def hear(self, what: str, which: str, amount: str = "0") -> None:
        if what == "spent":
            self.spent[which] += int(amount)
        elif what == "ready":
            self.now_ms = int(which)
        else:
            (self.held if what == "held" else self.settled).add(which)


async def test_nothing_is_lost_given_away_settled_or_refilled_twice(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path)
    await database.open()
    workspace = await Workspaces(database, ManualClock()).create("acme")
    oracle = Oracle(1_800_000_000_000)
    opened = {subject: Balance(GRANTED, REFILL) for subject in SUBJECTS}
    await database.write(
        lambda c: store.open_balances(c, workspace.id, opened, oracle.now_ms), ALL_WORKSPACES
    )
    await database.close()
    chance = random.Random(7)
    for cycle in range(1, CYCLES + 1):
        oracle.live(sqlite_path, workspace.id, chance.randrange(30, 500))
        await database.open()
        await _check(database, oracle, cycle)
        await database.close()
    assert sum(oracle.spent.values()) > CYCLES * 50
    assert len(oracle.settled) > CYCLES and len(oracle.held - oracle.settled) > CYCLES


async def _check(database: SqliteDatabase, oracle: Oracle, cycle: int) -> None:
    ledger = Ledger(database)
    await ledger.open()
    standing = await database.read(_standing, ALL_WORKSPACES)
    added = await _refilled(database)
    in_flight = cycle * (SPENDERS * DEAREST + HOLDERS * LARGEST)
    for subject in SUBJECTS:
        available = await ledger.settled(subject)
        assert available is not None and available >= 0
        held = sum(amount for whose, amount in standing.values() if whose == subject)
        spent = GRANTED + added[subject] - available - held
        assert oracle.spent[subject] <= spent <= oracle.spent[subject] + in_flight
    assert not oracle.settled & standing.keys(), "what was settled stands no more"
    await _check_returning(database, ledger, oracle, standing)
    await ledger.close()


async def _check_returning(
    database: SqliteDatabase, ledger: Ledger, oracle: Oracle, standing: dict[str, tuple[str, int]]
) -> None:
    """Everything that stands returns at its time, each to where it was taken from."""
    before = {subject: await ledger.settled(subject) or 0 for subject in SUBJECTS}
    oracle.now_ms += TTL_MS + DAY_MS // 6
    await Holds(database, ledger, ManualClock(oracle.now_ms)).sweep()
    assert await database.read(_standing, ALL_WORKSPACES) == {}
    for subject in SUBJECTS:
        held = sum(amount for whose, amount in standing.values() if whose == subject)
        assert await ledger.settled(subject) == before[subject] + held


def _standing(connection: Connection) -> dict[str, tuple[str, int]]:
    return {row.id: (row.subject_id, row.amount) for row in connection.execute(select(holds))}


async def _refilled(database: SqliteDatabase) -> Counter[str]:
    """What refills added to each subject, which happened at most once a day."""
    question = select(audit_log.c.time_ms, audit_log.c.resources).where(audit_log.c.event == "credits.refill")
    rows = await database.read(lambda connection: connection.execute(question).all(), ALL_WORKSPACES)
    each = [(row.time_ms // DAY_MS, resource) for row in rows for resource in row.resources]
    moments = [(day, resource["id"]) for day, resource in each]
    assert len(moments) == len(set(moments))
    added: Counter[str] = Counter()
    for _, resource in each:
        added[resource["id"]] += resource["meta"]["added"]
    return added

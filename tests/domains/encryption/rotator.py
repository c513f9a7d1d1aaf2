"""A process that rotates until it is killed: a line of standard output after every write.

`python -m tests.domains.encryption.rotator <database file>`, the keys' texts on standard input, new to old.
"""

import asyncio
import os
import sys
from typing import TypeVar

from latchwork.domains.encryption import Keyring, Vault
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.sealing import SealingKey
from latchwork.kernel.sql import SqliteDatabase
from latchwork.kernel.sql.database import Unit

T = TypeVar("T")


class Telling(SqliteDatabase):
    """A database that tells of every write that is durable."""

    async def write(self, unit: Unit[T], workspace_id: str) -> T:
        result = await super().write(unit, workspace_id)
        os.write(1, b"written\n")
        return result


async def _main(path: str, keys: list[SealingKey]) -> None:
    database = Telling(path)
    await database.open()
    vault = Vault(database, ManualClock(), None)
    await vault.rotate(Keyring(keys[0], tuple(keys[1:])))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], [SealingKey.of_text(line) for line in sys.stdin]))

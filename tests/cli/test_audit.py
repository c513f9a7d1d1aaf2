"""`latchwork audit verify`: says what holds, and exits with 1 when something does not."""

import sqlite3
from pathlib import Path

from tests.cli.processes import latchwork


def test_a_log_that_holds_and_one_that_does_not(tmp_path: Path) -> None:
    latchwork(tmp_path, "workspace", "create", "acme", "--json")
    holds = latchwork(tmp_path, "audit", "verify")
    assert holds.code == 0 and "1 rows hold, the last with digest " in holds.out
    for path in tmp_path.rglob("latchwork.db"):
        connection = sqlite3.connect(path)
        connection.execute("UPDATE audit_heads SET seq = 3")
        connection.commit()
        connection.close()
    broken = latchwork(tmp_path, "audit", "verify", "--workspace", "acme")
    assert broken.code == 1
    assert "BROKEN. the log ends at row 1, its head says 3; the 1 before it hold." in broken.out
    told = latchwork(tmp_path, "audit", "verify", "--json")
    assert (told.code, told.json[0]["broken"]["seq"]) == (1, 2)

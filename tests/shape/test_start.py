"""A start loads only what a start needs."""

import json
import subprocess
import sys

HEAVY = {
    "a2a",
    "alembic",
    "asyncpg",
    "chdb",
    "clickhouse_connect",
    "dbos",
    "duckdb",
    "mcp",
    "nanoarrow",
    "numpy",
    "obstore",
    "pandas",
    "pyarrow",
    "redis",
    "sqlalchemy.orm",
    "sqlglot",
}
_LOADED = """
import json, sys
import latchwork.cli.serve, latchwork.compose.control, latchwork.compose.first_start, latchwork.compose.platform
import latchwork.compose.verbs, latchwork.server.doors, latchwork.server.run
print(json.dumps(sorted(sys.modules)))
"""


def test_no_heavy_module_is_loaded_before_it_is_needed() -> None:
    ran = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True)
    assert set(json.loads(ran.stdout)) & HEAVY == set()

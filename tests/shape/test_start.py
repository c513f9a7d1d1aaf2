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
    "pandas",
    "pyarrow",
    "redis",
    "sqlglot",
}
_LOADED = "import json, sys, latchwork.cli, latchwork.compose; print(json.dumps(sorted(sys.modules)))"


def test_no_heavy_module_is_loaded_before_it_is_needed() -> None:
    ran = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in json.loads(ran.stdout)}
    assert roots & HEAVY == set()

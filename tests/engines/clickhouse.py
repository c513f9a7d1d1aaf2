"""ClickHouse's engine for tests: chDB, asked through pipes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


class ClickHouseError(Exception):
    """The engine refused a statement."""


class ClickHouse:
    """An engine with an empty database."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._told()

    def rows(self, sql: str, settings: dict[str, object] | None = None) -> list[list[Any]]:
        """The rows that a statement answers, each a list; raises `ClickHouseError`."""
        if settings:
            sql += " SETTINGS " + ", ".join(
                f"{name} = {value!r}" if isinstance(value, str) else f"{name} = {value}"
                for name, value in settings.items()
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"sql": sql, "format": "JSONCompactEachRow"}) + "\n")
        self._process.stdin.flush()
        told = self._told()
        if "error" in told:
            raise ClickHouseError(told["error"])
        rows: list[list[Any]] = told["rows"]
        return rows

    def _told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ClickHouseError("the engine has ended")
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def clickhouse() -> Iterator[ClickHouse]:
    """A running engine."""
    script = Path(__file__).with_name("clickhouse_process.py")
    with TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [sys.executable, str(script), directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            yield ClickHouse(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)

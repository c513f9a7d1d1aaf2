"""ClickHouse's engine in a process of its own: reads statements from standard input, answers JSON lines.

Run with the directory of its files. chDB can have one directory a process and brings pandas along, so it
keeps out of the tests' own process.
"""

import json
import sys
from typing import Any

from chdb import session


def main() -> None:
    engine: Any = session.Session(sys.argv[1])  # type: ignore[no-untyped-call]
    _tell({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = engine.query(asked["sql"], asked["format"])
            told: dict[str, Any] = {
                "rows": [json.loads(row) for row in str(answer).splitlines()] if answer else []
            }
        except Exception as error:
            told = {"error": str(error)[:2000]}
        _tell(told)


def _tell(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

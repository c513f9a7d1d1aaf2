"""S9: the control plane under 50 concurrent callers: creating, listing and updating keys.

An API with 1,000 keys; a list is a page of 25. The verbs take turns.
"""

import json
from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.latchwork import Latchwork, fresh
from benchmarks.load import Load
from benchmarks.rounds import Contender, alternate

CALLERS = 50
KEYS = 1_000
PAGE = 25


def run() -> Iterator[Figure]:
    with fresh() as server:
        api = server.call("apis.createApi", {"name": "control"})["apiId"]
        ids = [server.call("keys.createKey", {"apiId": api})["keyId"] for _ in range(KEYS)]
        found = alternate(
            {
                "createKey": _contender(server, "keys.createKey", [{"apiId": api, "name": "made"}]),
                "listKeys": _contender(server, "apis.listKeys", _pages(api, ids)),
                "updateKey": _contender(server, "keys.updateKey", [{"keyId": i, "name": "new"} for i in ids]),
            }
        )
    for procedure, rounds in found.items():
        p95 = rounds.median("p95_ms")
        yield Figure("S9", f"p95 of {procedure}, {CALLERS} callers", p95, "most", 50, "ms", rounds.beside())


def _pages(api: str, ids: list[str]) -> list[dict[str, object]]:
    return [{"apiId": api, "limit": PAGE, "cursor": id_} for id_ in sorted(ids)[:-PAGE:PAGE]]


def _contender(server: Latchwork, procedure: str, bodies: list[dict[str, object]]) -> Contender:
    server.call(procedure, bodies[0])
    texts = [json.dumps(body) for body in bodies]
    return Contender(server, Load(f"/v2/{procedure}", texts, headers=server.headers, connections=CALLERS))

"""S0: the absolute targets of the projects that Latchwork grew from.

At least 1,000 verifications a second with a p95 under 100 ms, and no more than 200 ms on average for
every operation of the control plane, each called 20 times one after the other.
"""

import statistics
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.figures import Figure
from benchmarks.latchwork import Latchwork, fresh
from benchmarks.rounds import Contender, Rounds, one_round

KEYS = 500
CALLS = 20


def run() -> Iterator[Figure]:
    with fresh() as server:
        load = server.verifying(server.create_keys(KEYS))
        one_round(Contender(server, load))
        rounds = Rounds(tuple(one_round(Contender(server, load)) for _ in range(3)))
        yield Figure("S0", "verifications a second", rounds.per_s, "least", 1000, "/s", rounds.beside())
        yield Figure("S0", "p95 of verifications", rounds.median("p95_ms"), "most", 100, "ms")
        means = {name: _mean_ms(server, name, bodies) for name, bodies in _operations(server).items()}
        slowest = max(means, key=means.__getitem__)
        yield Figure(
            "S0",
            f"mean of the slowest of {len(means)} operations",
            means[slowest],
            "most",
            200,
            "ms",
            {"slowest": slowest, "mean of all": round(statistics.mean(means.values()), 3)},
        )


def _mean_ms(server: Latchwork, procedure: str, bodies: list[Any]) -> float:
    began = time.perf_counter()
    for body in bodies:
        server.call_raw(procedure, body)
    return (time.perf_counter() - began) * 1000 / len(bodies)


def _operations(server: Latchwork) -> dict[str, list[Any]]:
    """Every procedure with the bodies of its calls, in an order in which each call succeeds."""
    api = server.call("apis.createApi", {"name": "targets"})["apiId"]
    doomed_apis = [server.call("apis.createApi", {"name": "doomed"})["apiId"] for _ in range(CALLS)]
    made = [
        server.call("keys.createKey", {"apiId": api, "credits": {"remaining": 10_000}}) for _ in range(CALLS)
    ]
    doomed = [server.call("keys.createKey", {"apiId": api}) for _ in range(CALLS)]
    names = [f"user_{number}" for number in range(CALLS)]
    asked = {"namespace": "targets", "identifier": "user", "limit": 10_000, "duration": 60_000}
    override = {"namespace": "targets", "limit": 5, "duration": 60_000}
    server.call("ratelimit.limit", asked)
    return {
        "apis.createApi": [{"name": "another"}] * CALLS,
        "apis.getApi": [{"apiId": api}] * CALLS,
        "apis.listApis": [{}] * CALLS,
        "apis.updateApi": [{"apiId": api, "name": f"renamed {name}"} for name in names],
        "apis.listKeys": [{"apiId": api}] * CALLS,
        "apis.deleteApi": [{"apiId": doomed_api} for doomed_api in doomed_apis],
        "keys.createKey": [{"apiId": api}] * CALLS,
        "keys.getKey": [{"keyId": key["keyId"]} for key in made],
        "keys.whoami": [{"key": key["key"]} for key in made],
        "keys.updateKey": [{"keyId": key["keyId"], "name": "renamed"} for key in made],
        "keys.updateCredits": [{"keyId": k["keyId"], "operation": "increment", "value": 1} for k in made],
        "keys.verifyKey": [{"key": key["key"]} for key in made],
        "keys.verifyKeys": [{"requests": [{"key": key["key"]} for key in made]}] * CALLS,
        "keys.explainKey": [{"key": key["key"]} for key in made],
        "keys.deleteKey": [{"keyId": key["keyId"]} for key in doomed],
        "identities.createIdentity": [{"externalId": name} for name in names],
        "identities.getIdentity": [{"identity": name} for name in names],
        "ratelimit.limit": [asked] * CALLS,
        "ratelimit.multiLimit": [[asked, asked | {"identifier": "other"}]] * CALLS,
        "ratelimit.setOverride": [override | {"identifier": name} for name in names],
        "ratelimit.getOverride": [{"namespace": "targets", "identifier": name} for name in names],
        "ratelimit.listOverrides": [{"namespace": "targets"}] * CALLS,
        "ratelimit.getStatus": [asked] * CALLS,
        "ratelimit.deleteOverride": [{"namespace": "targets", "identifier": name} for name in names],
        "rootKeys.createKey": [{"permissions": ["api.*.verify_key"]}] * CALLS,
    }

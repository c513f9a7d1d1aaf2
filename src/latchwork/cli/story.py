"""The demo's story: what a key's life looks like over HTTP, every answer checked against what must come."""

import json
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_MONTH_MS = 2_592_000_000


class Step(NamedTuple):
    """One request, its answer, and what was expected of the answer."""

    title: str
    path: str
    request: Mapping[str, Any]
    answer: Any
    wanted: Mapping[str, Any]

    @property
    def came_true(self) -> bool:
        """Whether the answer holds everything that was wanted of it."""
        return holds(self.answer, self.wanted)


class Client:
    """Calls procedures over one connection with one root key."""

    def __init__(self, url: str, root_key: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
        self._headers = {"Authorization": f"Bearer {root_key}", "Content-Type": "application/json"}

    def call(self, path: str, body: Mapping[str, Any]) -> Any:
        """The `data` of the answer, or its `error`."""
        self._connection.request("POST", path, json.dumps(body), self._headers)
        answer = json.loads(self._connection.getresponse().read())
        return answer.get("data", answer.get("error"))


def holds(found: Any, wanted: Any) -> bool:
    """Whether `found` has everything that `wanted` names; a function judges, `...` takes anything."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            name in found and holds(found[name], each) for name, each in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(holds, found, wanted))
    if wanted is ...:
        return True
    return bool(wanted(found)) if callable(wanted) else bool(found == wanted)


def tell(client: Client) -> Iterator[Step]:
    """Play the story, yielding each step as it happens."""

    def step(title: str, path: str, request: Mapping[str, Any], **wanted: Any) -> Step:
        return Step(title, path, request, client.call(path, request), wanted)

    made = step("An API, which keys are for", "/v2/apis.createApi", {"name": "Weather"}, apiId=...)
    yield made
    issued = step(
        "A key for Ada: 3 credits, and at most 5 requests in 30 days",
        "/v2/keys.createKey",
        _new_key(made.answer["apiId"]),
        keyId=...,
        key=lambda text: text.startswith("demo_"),
    )
    yield issued
    yield from _credits(step, issued.answer)
    yield from _limit(step, issued.answer)
    yield from _override(step)


_Step = Callable[..., Step]


def _new_key(api_id: str) -> dict[str, Any]:
    return {
        "apiId": api_id,
        "prefix": "demo",
        "externalId": "ada",
        "credits": {"remaining": 3},
        "ratelimits": [_requests(5)],
    }


def _requests(limit: int) -> dict[str, Any]:
    return {"name": "requests", "limit": limit, "duration": _MONTH_MS, "autoApply": True}


def _left(name: str, remaining: int, exceeded: bool = False) -> list[Any]:
    return [{"name": name, "remaining": remaining, "exceeded": exceeded}]


def _fails(check: str) -> Callable[[list[Any]], bool]:
    """Judges an explanation's checks: exactly this one fails."""
    return lambda checks: [each["check"] for each in checks if each["outcome"] == "failed"] == [check]


def _credits(step: _Step, issued: Mapping[str, Any]) -> Iterator[Step]:
    verify, key = "/v2/keys.verifyKey", {"key": issued["key"]}
    yield step("Ada calls", verify, key, valid=True, code="VALID", credits=2, ratelimits=_left("requests", 4))
    yield step("Again", verify, key, valid=True, code="VALID", credits=1)
    yield step("And again", verify, key, valid=True, code="VALID", credits=0)
    yield step("The credits are spent", verify, key, valid=False, code="USAGE_EXCEEDED", credits=0)
    yield step(
        "Why? Explaining spends nothing",
        "/v2/keys.explainKey",
        key,
        valid=False,
        code="USAGE_EXCEEDED",
        checks=_fails("credits"),
        remedies=...,
    )
    more = {"keyId": issued["keyId"], "operation": "increment", "value": 100}
    yield step("Ada buys 100 more", "/v2/keys.updateCredits", more, remaining=100)
    yield step("The very next call works", verify, key, valid=True, code="VALID", credits=99)


def _limit(step: _Step, issued: Mapping[str, Any]) -> Iterator[Step]:
    verify, key = "/v2/keys.verifyKey", {"key": issued["key"]}
    yield step(
        "The limit of 5 is reached, and no credit spent",
        verify,
        key,
        valid=False,
        code="RATE_LIMITED",
        credits=99,
        ratelimits=_left("requests", 0, exceeded=True),
    )
    yield step(
        "Why?",
        "/v2/keys.explainKey",
        key,
        valid=False,
        code="RATE_LIMITED",
        checks=_fails("ratelimits"),
        remedies=...,
    )
    raised = {"keyId": issued["keyId"], "ratelimits": [_requests(10)]}
    yield step("The limit becomes 10; what was counted stays", "/v2/keys.updateKey", raised)
    yield step(
        "And Ada goes on",
        verify,
        key,
        valid=True,
        code="VALID",
        credits=98,
        ratelimits=_left("requests", 4),
    )


def _override(step: _Step) -> Iterator[Step]:
    limit = "/v2/ratelimit.limit"
    asked = {"namespace": "sign-in", "identifier": "bob", "limit": 1, "duration": _MONTH_MS}
    yield step("Limits work without keys too", limit, asked, success=True, remaining=0)
    yield step("Bob has had his one", limit, asked, success=False, limit=1)
    override = {"namespace": "sign-in", "identifier": "bob", "limit": 3, "duration": _MONTH_MS}
    yield step("An override for Bob alone", "/v2/ratelimit.setOverride", override, overrideId=...)
    yield step("It holds at once", limit, asked, success=True, limit=3, remaining=1, overrideId=...)

"""Every method against a real server, and every refusal as its own error."""

from collections.abc import Callable
from typing import Any

import pytest

from latchwork.client import (
    BadRequest,
    Forbidden,
    KeyLimit,
    Latchwork,
    LimitCheck,
    LimitQuestion,
    NotFound,
    PreconditionFailed,
    Refused,
    TooManyRequests,
    Unauthorized,
    verify_key,
)
from latchwork.client.calls import create_key, get_key
from tests.client.conftest import ROOT_KEY, Real, Run

MINUTE_MS = 60_000


def test_a_key_lives_from_its_making_to_its_end(real: Real, run: Run) -> None:
    limits = [KeyLimit(name="requests", limit=100, duration_ms=MINUTE_MS, auto_apply=True)]
    made = run(
        real.url,
        lambda client: client.create_key(
            real.api_id,
            name="laptop",
            external_id="user_1",
            meta={"plan": ["a", None]},
            permissions=["read", "write"],
            remaining=10,
            ratelimits=limits,
            byteLength=24,
        ),
    )[0]
    verdict, costly, explained, kept, credits, _, renamed, _, gone = run(
        real.url,
        lambda client: client.verify_key(made.key, permissions="read AND write", cost=3, tags=["a"]),
        lambda client: client.verify_key(made.key, cost=8),
        lambda client: client.explain_key(made.key, cost=8),
        lambda client: client.get_key(made.key_id),
        lambda client: client.update_credits(made.key_id, "increment", 5),
        lambda client: client.update_key(made.key_id, name=None, permissions=["read"], ratelimits=limits),
        lambda client: client.get_key(made.key_id),
        lambda client: client.delete_key(made.key_id),
        lambda client: client.verify_key(made.key),
    )
    assert (verdict.valid, verdict.code, verdict.credits, verdict.assumed) == (True, "VALID", 7, False)
    assert verdict.key_id == made.key_id
    assert verdict.permissions == {"read", "write"}
    assert verdict.identity.external_id == "user_1"
    assert verdict.meta == {"plan": ["a", None]}
    (limit,) = verdict.ratelimits
    assert (limit.name, limit.limit, limit.remaining, limit.exceeded) == ("requests", 100, 99, False)
    assert (costly.valid, costly.code) == (False, "USAGE_EXCEEDED")
    assert costly.reason == "7 credits remain, this costs 8."
    assert explained.code == "USAGE_EXCEEDED" and explained.remedies
    assert any(step.outcome == "failed" for step in explained.checks)
    assert (kept.name, kept.credits.remaining, kept.enabled) == ("laptop", 7, True)
    assert credits.remaining == 12
    assert (renamed.name, renamed.permissions) == (None, ("read",))
    assert (gone.valid, gone.code, gone.key_id) == (False, "NOT_FOUND", "")


def test_many_keys_are_verified_in_their_order(real: Real, run: Run) -> None:
    key = real.key(remaining=1)
    verdicts = run(
        real.url,
        lambda client: client.verify_keys([verify_key(key), verify_key("unknown"), verify_key(key, cost=4)]),
    )[0]
    assert [verdict.code for verdict in verdicts] == ["VALID", "NOT_FOUND", "USAGE_EXCEEDED"]


def test_a_verification_may_bring_limits_of_its_own(real: Real, run: Run) -> None:
    key = real.key()
    burst = LimitCheck(name="burst", limit=2, duration_ms=MINUTE_MS, cost=2)
    first, second = run(real.url, *[lambda client: client.verify_key(key, ratelimits=[burst])] * 2)
    assert (first.code, second.code) == ("VALID", "RATE_LIMITED")
    assert second.retry_at_ms and second.ratelimits[0].exceeded


def test_identifiers_are_limited(real: Real, run: Run, request: pytest.FixtureRequest) -> None:
    who = request.node.name

    def ask(client: Any) -> Any:
        return client.limit("mail", who, limit=1, duration_ms=MINUTE_MS)

    questions = [
        LimitQuestion(namespace="mail", identifier=who, limit=1, duration_ms=MINUTE_MS),
        LimitQuestion(namespace="sms", identifier=who, limit=5, duration_ms=MINUTE_MS),
    ]
    first, second, many = run(real.url, ask, ask, lambda client: client.multi_limit(questions))
    assert (first.success, first.remaining) == (True, 0)
    assert (second.success, second.reset_ms > 0) == (False, True)
    assert not many.passed
    assert [(one.namespace, one.passed, one.remaining) for one in many.limits] == [
        ("mail", False, 0),
        ("sms", True, 5),
    ]


def test_an_algorithm_may_be_chosen(real: Real, run: Run, request: pytest.FixtureRequest) -> None:
    def ask(client: Any) -> Any:
        return client.limit(
            "mail", request.node.name, limit=5, duration_ms=MINUTE_MS, algorithm="token_bucket", cost=5
        )

    assert [limited.success for limited in run(real.url, ask, ask)] == [True, False]


def test_apis_and_identities_are_made_and_everything_else_is_called(
    real: Real, run: Run, request: pytest.FixtureRequest
) -> None:
    name = request.node.name.replace("[", "_").strip("]")
    api, identity, keys = run(
        real.url,
        lambda client: client.create_api("another"),
        lambda client: client.create_identity(name, meta={"a": 1}),
        lambda client: client.call("apis.listKeys", {"apiId": real.api_id, "limit": 1}, repeatable=True),
    )
    assert api.api_id.startswith("api_")
    assert identity.identity_id.startswith("id_")
    assert len(keys) <= 1


def test_a_call_can_be_kept_and_sent_later(real: Real) -> None:
    call = create_key(real.api_id, enabled=False)
    with real.client() as client:
        made = client.send(call)
        assert client.send(get_key(made.key_id, decrypt=False)).enabled is False


def test_the_address_of_the_user_is_handed_on(real: Real, run: Run) -> None:
    key = real.key(ip_whitelist=["203.0.113.7"])
    own, theirs = run(
        real.url,
        lambda client: client.verify_key(key),
        lambda client: client.verify_key(key, client_ip="203.0.113.7"),
    )
    assert (own.code, theirs.code) == ("FORBIDDEN", "VALID")


@pytest.mark.parametrize(
    ("ask", "kind", "status", "code"),
    [
        (lambda client: client.get_key("key_unknown"), NotFound, 404, "unkey/data/key_not_found"),
        (lambda client: client.call("keys.nothing", {}), NotFound, 404, "user/not_found/route_not_found"),
        (lambda client: client.create_key("a b"), BadRequest, 400, "unkey/application/invalid_input"),
        (
            lambda client: client.verify_key("k", permissions="a AND"),
            None,
            200,
            "",
        ),
    ],
)
def test_refusals_are_told_apart(
    real: Real, run: Run, ask: Callable[[Any], Any], kind: type[Refused] | None, status: int, code: str
) -> None:
    outcome = run(real.url, ask)[0]
    if kind is None:
        assert outcome.code == "NOT_FOUND"
        return
    assert type(outcome) is kind
    assert isinstance(outcome, Refused)
    assert (outcome.status, outcome.code) == (status, code)
    assert outcome.request_id.startswith("req_")
    assert outcome.detail and outcome.title
    if status == 400:
        assert outcome.errors[0].location


def test_an_unknown_root_key_is_unauthorized(real: Real, run: Run) -> None:
    outcome = run(real.url, lambda client: client.verify_key("k"), root_key="unknown")[0]
    assert type(outcome) is Unauthorized


def test_a_root_key_without_the_right_is_forbidden(real: Real, run: Run) -> None:
    with real.client() as client:
        made = client.call("rootKeys.createKey", {"permissions": ["api.*.verify_key"]})
    outcome = run(real.url, lambda client: client.create_api("mine"), root_key=made["key"])[0]
    assert type(outcome) is Forbidden and "create_api" in outcome.detail


def test_a_limit_that_a_key_does_not_have_is_a_failed_precondition(real: Real, run: Run) -> None:
    key = real.key()
    check = LimitCheck(name="unheard-of")
    outcome = run(real.url, lambda client: client.verify_key(key, ratelimits=[check]))[0]
    assert type(outcome) is PreconditionFailed


def test_a_workspace_that_has_used_up_its_calls_is_told_when_to_come_back(
    real: Real, hasty_root_key: str
) -> None:
    with Latchwork(real.url, hasty_root_key) as client:
        client.verify_key("k")
        with pytest.raises(TooManyRequests) as raised:
            client.verify_key("k")
    assert raised.value.retry_after_s and raised.value.retry_after_s <= 60


def test_no_secret_is_in_what_is_printed(real: Real, run: Run) -> None:
    texts = [repr(real.client()), repr(real.awaited())]
    outcome = run(real.url, lambda client: client.get_key("key_unknown"))
    texts.append(str(outcome[0]))
    assert not [text for text in texts if ROOT_KEY in text]


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8765", "ftp://a", "http://", "http://a?x=1", "http://a#b", "file:///etc/passwd"]
)
def test_an_address_that_cannot_be_called_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        Latchwork(url, "k")


@pytest.mark.parametrize("root_key", ["", "a b", "a\nb", "é"])
def test_a_root_key_that_no_header_can_hold_is_refused_at_once(root_key: str) -> None:
    with pytest.raises(ValueError, match="root key"):
        Latchwork("http://a", root_key)


@pytest.mark.parametrize(
    "settings", [{"deadline_s": 0}, {"retries": -1}, {"backoff_s": -1}, {"connections": 0}]
)
def test_settings_that_make_no_sense_are_refused_at_once(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Latchwork("http://a", "k", **settings)


def test_a_method_says_what_it_does() -> None:
    assert "Decide whether the key may be used so" in str(Latchwork.verify_key.__doc__)
    assert Latchwork("http://a", "k").limit.__name__ == "limit"


def test_a_path_before_v2_is_kept() -> None:
    assert repr(Latchwork("https://a.test/latchwork/", "k")) == "Latchwork('https://a.test/latchwork/v2/')"

"""What is said of requests that are not even read."""

import json

import pytest

from latchwork.surfaces.rpc.refusals import refusals


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "unkey/application/invalid_input"),
        (405, "user/bad_request/method_not_allowed"),
        (408, "user/bad_request/request_timeout"),
        (413, "user/bad_request/request_body_too_large"),
        (414, "user/bad_request/target_too_long"),
        (431, "user/bad_request/headers_too_large"),
        (503, "unkey/application/service_unavailable"),
        (500, "unkey/application/unexpected_error"),
    ],
)
def test_every_refusal_has_the_envelope_of_its_status(status: int, code: str) -> None:
    answer = json.loads(refusals(lambda _path: 1024)(status, ""))
    assert answer["meta"]["requestId"].startswith("req_")
    assert answer["error"]["status"] == status
    assert answer["error"]["type"].endswith(code)
    assert answer["error"]["detail"]


def test_a_refusal_names_the_page_of_its_error() -> None:
    answer = json.loads(refusals(lambda _path: 1024, "https://api.test/docs/errors/")(414, ""))
    assert answer["error"]["type"] == "https://api.test/docs/errors/user/bad_request/target_too_long"


def test_a_body_that_is_too_large_is_told_what_the_path_accepts() -> None:
    accepted = {"/v2/keys.verifyKey": 1024}
    answer = json.loads(refusals(accepted.__getitem__)(413, "/v2/keys.verifyKey"))
    assert "larger than 1024 bytes" in answer["error"]["detail"]

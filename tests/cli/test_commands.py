"""Commands give the same with the server running and without it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from latchwork.cli.failures import Failure
from latchwork.cli.performing import perform
from latchwork.compose.data_dir import DataDir
from tests.cli.processes import Ended, Running, latchwork, serving


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server runs."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Running]:
    """One server for the whole module, with an API `weather`."""
    with serving(place) as running:
        running.post("apis.createApi", {"name": "weather"}, running.ready["rootKey"])
        yield running


def test_without_a_server_a_workspace_its_root_key_an_api_and_a_key_can_be_made(tmp_path: Path) -> None:
    made = latchwork(tmp_path, "workspace", "create", "acme", "--requests-per-minute", "60", "--json")
    assert (made.code, made.err) == (0, "")
    root_key = latchwork(
        tmp_path, "root-key", "create", "--workspace", "acme", "--permission", "*", "--json"
    ).json
    api = latchwork(tmp_path, "api", "create", "weather", "--json").json
    key = latchwork(tmp_path, "key", "create", "--api", "weather", "--credits", "1", "--json").json
    assert root_key["workspaceId"] == made.json["workspaceId"]
    with serving(tmp_path) as server:
        assert "rootKey" not in server.ready
        verdict = server.post("keys.verifyKey", {"key": key["key"]}, root_key["key"])
        assert (verdict["code"], verdict["credits"]) == ("VALID", 0)
        assert server.post("apis.getApi", {"apiId": api["apiId"]}, root_key["key"])["name"] == "weather"


def test_a_running_server_takes_the_command_and_knows_the_result_at_once(
    server: Running, place: Path
) -> None:
    made = latchwork(
        place, "key", "create", "--api", "weather", "--prefix", "prod", "--credits", "2", "--json"
    )
    assert (made.code, made.err) == (0, "")
    key = made.json["key"]
    assert server.post("keys.verifyKey", {"key": key}, server.ready["rootKey"])["credits"] == 1
    verified = latchwork(place, "key", "verify", key, "--json")
    assert (verified.code, verified.json["code"], verified.json["credits"]) == (0, "VALID", 0)
    refused = latchwork(place, "key", "verify", key, "--json")
    assert (refused.code, refused.json["code"]) == (1, "USAGE_EXCEEDED")
    assert server.post("keys.verifyKey", {"key": key}, server.ready["rootKey"])["code"] == "USAGE_EXCEEDED"


def test_a_root_key_made_beside_a_running_server_works_at_once(server: Running, place: Path) -> None:
    made = latchwork(
        place,
        "root-key",
        "create",
        "--permission",
        "api.*.create_api",
        "--name",
        "gateway",
        "--expires",
        "1h",
        "--json",
    )
    assert server.post("apis.createApi", {"name": "traffic"}, made.json["key"])["apiId"]


def test_what_is_printed_for_people_has_the_secret_on_a_line_of_its_own(server: Running, place: Path) -> None:
    root_key = latchwork(place, "root-key", "create", "--permission", "*").out.splitlines()
    assert root_key[0].startswith("Created root key key_")
    assert root_key[1].startswith("lw_root_")
    key = latchwork(place, "key", "create", "--api", "weather", "--prefix", "prod").out.splitlines()
    assert key[0].startswith("Created key key_")
    assert key[1].startswith("prod_")
    workspace = latchwork(place, "workspace", "create", "zeta").out
    assert workspace.startswith("Created workspace ws_")
    assert latchwork(place, "api", "create", "roads").out.startswith("Created API api_")


def _limited_key(place: Path) -> str:
    arguments = [
        "--limit",
        "calls=1/30d",
        "--credits",
        "5",
        "--permission",
        "read",
        "--name",
        "ada",
        "--json",
    ]
    made = latchwork(place, "key", "create", "--api", "weather", "--external-id", "ada", *arguments)
    return str(made.json["key"])


def test_a_verdict_and_its_explanation_are_told_to_people(server: Running, place: Path) -> None:
    key = _limited_key(place)
    valid = latchwork(place, "key", "verify", key, "--permissions", "read", "--tag", "cli")
    assert valid.code == 0
    assert valid.out.splitlines() == ["VALID", "4 credits remain.", "0 of 1 remain in the limit calls."]
    limited = latchwork(place, "key", "verify", key)
    assert limited.code == 1
    assert limited.out.startswith("RATE_LIMITED\nThe limit 'calls' of 1 in ")
    why = latchwork(place, "key", "explain", key, "--cost", "9", "--permissions", "write")
    assert why.code == 0
    assert why.out.startswith("INSUFFICIENT_PERMISSIONS\n")
    for check in ("permissions", "ratelimits", "credits"):
        assert f"\n{check}\tfailed\t" in why.out
    assert why.out.count("To make it pass: ") == 3


def test_a_key_can_be_read_from_standard_input_to_keep_it_out_of_the_list_of_processes(
    server: Running, place: Path
) -> None:
    key = latchwork(place, "key", "create", "--api", "weather", "--json").json["key"]
    ended = latchwork(place, "key", "verify", "-", "--json", typed=f"{key}\n")
    assert (ended.code, ended.json["code"]) == (0, "VALID")


def _refused(ended: Ended) -> dict[str, object]:
    assert (ended.code, ended.out) == (1, "")
    return dict(ended.error)


def test_a_refusal_is_json_with_the_status_of_the_api(server: Running, place: Path) -> None:
    error = _refused(latchwork(place, "key", "create", "--api", "nowhere", "--json"))
    assert error == {
        "code": "unkey/data/api_not_found",
        "detail": "There is no API nowhere in this workspace.",
        "status": 404,
    }
    ended = latchwork(place, "key", "create", "--api", "weather", "--prefix", "a b")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("latchwork: Send `prefix` ")


def test_migrating_beside_a_running_server_finds_nothing_to_do(server: Running, place: Path) -> None:
    assert latchwork(place, "migrate").out.startswith("The database has schema ")
    assert latchwork(place, "migrate", "--finish", "--json").json["finished"] is True


def test_an_owner_that_takes_no_commands_is_named_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        DataDir(tmp_path).lock(),
        pytest.raises(Failure, match=r"in use by process \d+\. It does not take commands"),
    ):
        perform("migrate", {}, data_dir=tmp_path, config=None, patience_s=0)


def test_the_demo_plays_its_story_as_written(tmp_path: Path) -> None:
    ended = latchwork(tmp_path, "demo", "--json", LATCHWORK_PORT="the demo uses none of your settings")
    assert (ended.code, ended.err) == (0, "")
    assert all(step["asExpected"] for step in json.loads(ended.out))
    assert len(json.loads(ended.out)) >= 10


def test_the_demo_tells_its_story_to_people(tmp_path: Path) -> None:
    ended = latchwork(tmp_path, "demo")
    assert (ended.code, ended.err) == (0, "")
    for told in ("VALID", "USAGE_EXCEEDED", "RATE_LIMITED", "remedy", "POST /v2/keys.explainKey"):
        assert told in ended.out
    assert "✗" not in ended.out
    assert list(tmp_path.iterdir()) == []


def test_commands_at_the_same_time_wait_for_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        names = ["acme", "zeta", "omega"]
        ended = list(pool.map(lambda name: latchwork(tmp_path, "workspace", "create", name), names))
    assert [each.code for each in ended] == [0, 0, 0]

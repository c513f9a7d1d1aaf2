"""`latchwork import`: with the server running or stopped, killed in the middle, previewed and undone."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import PROGRAM, Running, environment, latchwork, serving

CSV = """key,name,externalId,credits,permissions,ratelimits,enabled
prod_aaaaaaaaaaaaaaaaaaaaaaaaaaaa,first,user_1,5,docs.read;docs.write,requests=100/60s,
prod_bbbbbbbbbbbbbbbbbbbbbbbbbbbb,second,user_1,many,,,
prod_cccccccccccccccccccccccccccc,third,,,,,no
"""
KEY = "prod_aaaaaaaaaaaaaaaaaaaaaaaaaaaa"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a CSV file and, in its data directory, an API `weather`."""
    place = tmp_path_factory.mktemp("prepared")
    (place / "keys.csv").write_text(CSV)
    latchwork(place, "workspace", "create", "acme")
    assert latchwork(place, "api", "create", "weather").code == 0
    return place


@pytest.fixture
def place(prepared: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(prepared, tmp_path / "place")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server runs."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Running]:
    """One server for those tests that need one, with an API `weather`."""
    with serving(home) as running:
        running.post("apis.createApi", {"name": "weather"}, running.ready["rootKey"])
        yield running


def test_without_a_server_keys_are_previewed_imported_shown_and_removed_again(place: Path) -> None:
    asked = ("import", "csv", "keys.csv", "--api", "weather")
    previewed = latchwork(place, *asked, "--dry-run")
    assert previewed.out.splitlines() == [
        "+ row 1 (line 2): first, of user_1, 5 credits, requests 100 in 1 minute, 2 permissions",
        "! row 2 (line 3): credits: It should be a whole number, 0 or more.",
        "+ row 3 (line 4): third, disabled",
        "1 identities would be created: user_1.",
        "2 permissions would be created: docs.read, docs.write.",
        "Nothing was written. It would be: 2 added, 0 here already, 0 passed over, 1 failed.",
    ]
    assert previewed.code == 1, "a row cannot be taken"
    imported = latchwork(place, *asked)
    assert imported.code == 1
    said = imported.out.splitlines()
    run_id = said[1].split()[1].removesuffix(":")
    assert said == [
        "! row 2 (line 3): credits: It should be a whole number, 0 or more.",
        f"Import {run_id}: 2 added, 0 here already, 0 passed over, 1 failed.",
        f"To take it back: latchwork import undo {run_id}",
    ]
    assert latchwork(place, "key", "verify", KEY).out.startswith("VALID\n4 credits remain.\n")
    again = latchwork(place, *asked, "--dry-run").out
    assert "= row 1 (line 2): is here already as key_" in again
    assert latchwork(place, "import", "list").out.split("\t")[:2] == [run_id, "csv"]
    shown = latchwork(place, "import", "show", run_id).out.splitlines()
    assert shown[0].endswith("is done: 2 added, 0 here already, 0 passed over, 1 failed.")
    assert shown[1] == said[0]
    undone = latchwork(place, "import", "undo", run_id)
    assert (undone.code, undone.out) == (0, f"Undid import {run_id}: 2 keys are gone.\n")
    assert latchwork(place, "key", "verify", KEY).out == "NOT_FOUND\n"


def test_a_running_server_takes_the_import_and_knows_the_keys_at_once(served: Running, home: Path) -> None:
    text = "sk-1234567890"
    row = {
        "token": sha256(text.encode()).hexdigest(),
        "key_alias": "alias",
        "max_budget": 10,
        "spend": 2.5,
        "models": ["gpt-4"],
    }
    (home / "keys.json").write_text(json.dumps([row]))
    asked = ("import", "litellm", "keys.json", "--api", "weather")
    refused = latchwork(home, *asked, "--json")
    assert refused.code == 1
    assert [each["field"] for each in refused.json["failures"]] == ["max_budget"]
    previewed = latchwork(home, *asked, "--credits-per-dollar", "100", "--dry-run", "--json")
    (line,) = previewed.json["rows"]
    assert (line["outcome"], line["key"]["credits"]) == ("added", {"remaining": 750})
    assert len(line["notes"]) == 1 and "hash" not in line["key"]
    assert previewed.json["create"] == {"identities": [], "permissions": [], "roles": []}
    root_key = served.ready["rootKey"]
    assert served.post("keys.verifyKey", {"key": text}, root_key)["code"] == "NOT_FOUND"
    imported = latchwork(home, *asked, "--credits-per-dollar", "100", "--json")
    assert (imported.code, imported.json["added"], imported.json["failures"]) == (0, 1, [])
    assert served.post("keys.verifyKey", {"key": text}, root_key)["credits"] == 749
    runs = latchwork(home, "import", "list", "--json").json
    assert [(run["kind"], run["added"]) for run in runs] == [("litellm", 1), ("litellm", 0)]
    undone = latchwork(home, "import", "undo", imported.json["runId"], "--json")
    assert (undone.json["removed"], undone.json["state"]) == (1, "undone")
    assert served.post("keys.verifyKey", {"key": text}, root_key)["code"] == "NOT_FOUND"
    shown = latchwork(home, "import", "show", imported.json["runId"], "--json").json
    assert (shown["state"], shown["failures"]) == ("undone", [])


def test_an_export_of_unkey_is_taken(served: Running, home: Path) -> None:
    rows = [
        {"start": "ab", "name": "n", "plaintext": "abcdef", "roles": ["admin"]},
        {"hash": "x", "deletedAt": 5},
    ]
    (home / "unkey.json").write_text(json.dumps({"data": rows}))
    previewed = latchwork(home, "import", "unkey", "unkey.json", "--api", "weather", "--dry-run").out
    assert previewed.splitlines()[:2] == [
        "+ row 1 (line 1): n, 1 roles",
        "- row 2 (line 1): It was deleted there.",
    ]
    imported = latchwork(home, "import", "unkey", "unkey.json", "--api", "weather")
    assert imported.code == 0
    assert "1 added, 0 here already, 1 passed over, 0 failed" in imported.out


@pytest.mark.parametrize("with_server", [False, True])
def test_an_import_that_is_killed_goes_on_and_takes_every_row_once(place: Path, with_server: bool) -> None:
    rows = 6_000
    lines = [f"{sha256(str(n).encode()).hexdigest()},user_{n % 50}" for n in range(rows)]
    (place / "many.csv").write_text("\n".join(["hash,externalId", *lines]))
    asked = ("import", "csv", "many.csv", "--api", "weather", "--json")

    def killed_and_repeated() -> dict[str, Any]:
        process = subprocess.Popen(
            [*PROGRAM, *asked], cwd=place, env=environment({}), stdout=subprocess.DEVNULL
        )
        while _taken(place) == 0 and process.poll() is None:
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        done: dict[str, Any] = latchwork(place, *asked).json
        return done

    if with_server:
        with serving(place):
            done = killed_and_repeated()
    else:
        done = killed_and_repeated()
    assert (done["rows"], done["added"], done["present"], done["failed"]) == (rows, rows, 0, 0)
    runs = latchwork(place, "import", "list", "--json").json
    assert [run["runId"] for run in runs] == [done["runId"]], "it was one run, gone on with"


def _taken(place: Path) -> int:
    """How many rows have been taken, as another process sees them."""
    import sqlite3

    database = place / "latchwork-data" / "latchwork.db"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        found = connection.execute("SELECT sum(position) FROM import_runs").fetchone()[0]
    return int(found or 0)


def test_what_cannot_be_read_or_makes_no_sense_is_told(served: Running, home: Path) -> None:
    (home / "keys.csv").write_text(CSV)
    (home / "bad.json").write_text("[" * 100_000)
    (home / "one.json").write_text('[{"colour": 1}]')
    unreadable = latchwork(home, "import", "unkey", "bad.json", "--api", "weather", "--json")
    assert (unreadable.code, unreadable.error["code"]) == (1, "cli/unreadable")
    assert "nested too deep" in unreadable.error["detail"]
    unknown = latchwork(home, "import", "csv", "one.json", "--api", "weather")
    assert (unknown.code, "colour" in unknown.err) == (1, True)
    nowhere = latchwork(home, "import", "csv", "keys.csv", "--api", "nowhere", "--json")
    assert (nowhere.code, nowhere.error["status"]) == (1, 404)
    both = ("--credits-per-dollar", "1", "--no-budgets")
    assert latchwork(home, "import", "litellm", "one.json", "--api", "weather", *both).code == 2
    assert latchwork(home, "import", "csv", "missing.csv", "--api", "weather").code == 2
    assert latchwork(home, "import", "undo", "imp_none", "--json").error["status"] == 404

"""`latchwork audit verify`: says what holds, and exits with 1 when something does not."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from latchwork.cli.failures import Failure
from latchwork.cli.performing import perform
from latchwork.compose.data_dir import DataDir
from tests.cli.processes import latchwork, serving

ROOT_KEY = "rk_0f3c9a7e5b1d8264f0a1c2e3d4b5a697"


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A directory in which a server has run: its data have a workspace, three rows of its log, and a seal of them."""
    with serving(tmp_path, LATCHWORK_BOOTSTRAP_ROOT_KEY=ROOT_KEY) as server:
        for name in ("weather", "traffic"):
            server.post("apis.createApi", {"name": name}, ROOT_KEY)
    return tmp_path


def changed(directory: Path, *statements: str) -> None:
    """Done to the database by somebody who owns it."""
    with closing(sqlite3.connect(directory / "latchwork-data" / "latchwork.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_log_that_holds_and_one_that_does_not(tmp_path: Path) -> None:
    latchwork(tmp_path, "workspace", "create", "acme", "--json")
    holds = latchwork(tmp_path, "audit", "verify")
    assert holds.code == 0 and "1 rows hold, the last with digest " in holds.out
    changed(tmp_path, "UPDATE audit_heads SET seq = 3")
    broken = latchwork(tmp_path, "audit", "verify", "--workspace", "acme")
    assert broken.code == 1
    assert "BROKEN. the log ends at row 1, its head says 3; the 1 before it hold." in broken.out
    told = latchwork(tmp_path, "audit", "verify", "--json")
    assert (told.code, told.json[0]["broken"]["seq"]) == (1, 2)


@pytest.mark.parametrize("same", ["seq", "id", "rowid"])
def test_the_database_itself_refuses_to_replace_a_row_by_another(sealed: Path, same: str) -> None:
    columns = "id, workspace_id, time_ms, event, actor, remote_ip, user_agent, correlation_id, resources"
    columns += ", previous_digest, digest"
    own = {"rowid": "99", "seq": "99", "id": "'log_99'"} | {same: same}
    values = f"{own['rowid']}, {own['seq']}, 'Nothing happened', {columns.replace('id', own['id'], 1)}"
    replace = (
        f"INSERT OR REPLACE INTO audit_log (rowid, seq, display, {columns}) SELECT {values} FROM audit_log"
    )
    for statement in (f"{replace} WHERE seq = 2", f"{replace} WHERE seq = 1"):
        with pytest.raises(sqlite3.IntegrityError, match="the audit log can only grow"):
            changed(sealed, statement)
    latchwork(sealed, "api", "create", "news")
    (held,) = latchwork(sealed, "audit", "verify", "--json").json
    assert "broken" not in held and held["rows"] == held["seals"]["lastRow"] + 1


def test_it_tells_how_many_seals_it_found_where_and_up_to_which_row(sealed: Path) -> None:
    place = f"file://{sealed}/latchwork-data/blobs/audit/seals"
    (held,) = latchwork(sealed, "audit", "verify", "--json").json
    last = held["rows"]
    assert last > 2
    seals = held["seals"]
    assert (seals["place"], seals["lastRow"]) == (place, last)
    assert seals["count"] == len(list(sealed.rglob("*/audit/seals/*/*.json")))
    latchwork(sealed, "api", "create", "news")
    told = latchwork(sealed, "audit", "verify")
    assert told.code == 0 and f" {last + 1} rows hold" in told.out
    assert f" in {place}, up to row {last}.\n" in told.out


def test_it_tells_when_it_was_shown_no_seals_to_compare_with(sealed: Path, tmp_path: Path) -> None:
    elsewhere = f"file://{tmp_path}/elsewhere"
    told = latchwork(sealed, "audit", "verify", LATCHWORK_BLOBS_URL=elsewhere)
    assert told.code == 0
    nothing = "nothing outside of the database was there to compare them with: no seal of them is in "
    assert f"{nothing}{elsewhere}/audit/seals.\n" in told.out
    (held,) = latchwork(sealed, "audit", "verify", "--json", LATCHWORK_BLOBS_URL=elsewhere).json
    assert held["seals"] == {"count": 0, "place": f"{elsewhere}/audit/seals", "lastRow": 0}


def test_a_workspace_that_is_gone_with_all_its_rows_is_missed(sealed: Path) -> None:
    (held,) = latchwork(sealed, "audit", "verify", "--json").json
    workspace_id, count = held["workspaceId"], held["seals"]["count"]
    changed(
        sealed,
        "DROP TRIGGER audit_log_no_delete",
        *(f"DELETE FROM {log}" for log in ("audit_log", "audit_terms", "audit_heads")),
        f"DELETE FROM workspaces WHERE id = '{workspace_id}'",
    )
    (sealed / "latchwork-data" / "blobs" / "audit" / "seals" / "ws_without_a_seal").mkdir()
    latchwork(sealed, "workspace", "create", "another")
    told = latchwork(sealed, "audit", "verify")
    assert told.code == 1
    gone = f"{workspace_id}: BROKEN. the workspace is not in the database, but {count} seals"
    assert [line.startswith(gone) for line in told.out.splitlines()] == [False, True]
    for options in ((), ("--workspace", workspace_id)):
        found = latchwork(sealed, "audit", "verify", "--json", *options)
        assert found.code == 1
        assert [each["workspaceId"] for each in found.json if "broken" in each] == [workspace_id]
    for nobody in ("ws_nobody", "ws_without_a_seal"):
        refused = latchwork(sealed, "audit", "verify", "--json", "--workspace", nobody)
        assert refused.error["detail"] == f"There is no workspace {nobody}."


@pytest.mark.parametrize("command", ["audit verify", "encryption status", "import list", "key explain lw_1"])
def test_what_only_reads_refuses_where_no_database_is_and_makes_none(tmp_path: Path, command: str) -> None:
    refused = latchwork(tmp_path, *command.split(), "--data-dir", "nowhere", "--json")
    assert (refused.code, refused.out) == (1, "")
    assert refused.error["code"] == "cli/no_database"
    assert refused.error["detail"].startswith("There is no database in nowhere. ")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_was_owned_and_has_no_database_is_refused_once_its_owner_is_gone(
    tmp_path: Path,
) -> None:
    directory = DataDir(tmp_path)
    with directory.lock(), pytest.raises(Failure, match="is in use by process"):
        perform("audit.verify", {}, data_dir=tmp_path, config=None, patience_s=0)
    with pytest.raises(Failure, match="There is no database in"):
        perform("audit.verify", {}, data_dir=tmp_path, config=None, patience_s=0)
    assert not directory.database.exists()


def test_a_database_without_a_workspace_is_told_of(tmp_path: Path) -> None:
    latchwork(tmp_path, "migrate")
    empty = latchwork(tmp_path, "audit", "verify")
    assert (empty.code, empty.out) == (0, "There is no workspace, nor a seal of one.\n")


def test_a_row_that_is_hidden_from_the_list_is_told(sealed: Path) -> None:
    changed(sealed, "DELETE FROM audit_terms WHERE seq = 2 AND term LIKE 'id:%'")
    told = latchwork(sealed, "audit", "verify")
    assert told.code == 1
    assert "BROKEN. row 2 is not found by what it says; the 1 before it hold." in told.out

"""Starting and stopping: what is said, what is made, and what stands in the way."""

import asyncio
import json
import signal
import socket
import sqlite3
import stat
import subprocess
from itertools import takewhile
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import asyncpg
import pytest

from latchwork.cli.welcome import Ready, commands, lines_of
from latchwork.compose.addresses import address
from tests.cli.processes import PROGRAM, environment, latchwork, serving

ROOT_KEY = "rk_0f3c9a7e5b1d8264f0a1c2e3d4b5a697"


def _status(url: str) -> int:
    with urlopen(url, timeout=10) as answer:
        return int(answer.status)


def test_a_first_start_makes_a_root_key_and_later_starts_do_not(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        key = first.ready["rootKey"]
        api = first.post("apis.createApi", {"name": "weather"}, key)
        assert _status(f"{first.ready['url']}/health/ready") == 200
        assert _status(first.ready["docsUrl"]) == 200
    assert first.process.returncode == 0
    with serving(tmp_path) as later:
        assert "rootKey" not in later.ready
        assert later.post("apis.getApi", {"apiId": api["apiId"]}, key)["name"] == "weather"


def test_the_type_of_an_error_leads_to_its_page_on_the_server_itself(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        with pytest.raises(HTTPError) as refused:
            server.post("apis.getApi", {"apiId": "api_unknown"}, server.ready["rootKey"])
        kind = json.load(refused.value)["error"]["type"]
        assert kind == f"{server.ready['url']}/docs/errors/unkey/data/api_not_found"
        with urlopen(kind, timeout=10) as page:
            assert b"<h1>api_not_found</h1>" in page.read()


def test_the_data_is_its_owners_only_and_the_socket_goes_with_the_server(tmp_path: Path) -> None:
    directory = tmp_path / "latchwork-data"
    with serving(tmp_path):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE((directory / "latchwork.db").stat().st_mode) == 0o600
        assert stat.S_IMODE((directory / "control.sock").stat().st_mode) == 0o600
    assert not (directory / "control.sock").exists()


def test_what_a_first_start_tells_to_type_works_as_it_is(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "serve", "--port", "0"],
        cwd=tmp_path,
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = list(takewhile(lambda line: not line.startswith("The API reference:"), process.stdout))
        script = "".join(line for line in said if "curl" in line or "ROOT_KEY=" in line)
        ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    finally:
        process.terminate()
        process.communicate(timeout=30)
    api_id, key, verdict = ran.stdout.splitlines()
    assert api_id.startswith("api_")
    assert key.startswith("test_")
    assert '"code":"VALID"' in verdict


def test_a_root_key_of_the_settings_is_ensured_and_never_printed(tmp_path: Path) -> None:
    with serving(tmp_path, LATCHWORK_BOOTSTRAP_ROOT_KEY=ROOT_KEY) as first:
        assert "rootKey" not in first.ready
        assert first.post("apis.createApi", {"name": "weather"}, ROOT_KEY)
    another = ROOT_KEY[::-1]
    with serving(tmp_path, LATCHWORK_BOOTSTRAP_ROOT_KEY=another) as second:
        assert second.post("apis.createApi", {"name": "weather"}, another)
        assert second.post("apis.createApi", {"name": "weather"}, ROOT_KEY)
    assert "the earlier root keys still work" in (tmp_path / "stderr.txt").read_text()
    with serving(tmp_path, LATCHWORK_BOOTSTRAP_ROOT_KEY=another):
        pass
    assert (tmp_path / "stderr.txt").read_text() == ""


def test_documentation_can_be_switched_off(tmp_path: Path) -> None:
    with serving(tmp_path, LATCHWORK_DOCS="off") as server:
        assert "docsUrl" not in server.ready
        with pytest.raises(HTTPError) as caught:
            _status(f"{server.ready['url']}/docs")
        assert caught.value.code == 404


def test_a_killed_server_is_in_nobodys_way(tmp_path: Path) -> None:
    with serving(tmp_path) as killed:
        key = killed.ready["rootKey"]
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
    assert (tmp_path / "latchwork-data" / "control.sock").exists()
    with serving(tmp_path) as again:
        assert again.post("apis.createApi", {"name": "weather"}, key)


def test_a_second_server_in_the_same_directory_is_told_who_the_first_is(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        ended = latchwork(tmp_path, "serve", "--port", "0")
        pid = first.process.pid
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"latchwork: The data directory latchwork-data is in use by process {pid}.\n"


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = latchwork(tmp_path, "serve", "--port", str(port))
        as_json = latchwork(tmp_path, "serve", "--port", str(port), "--json")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"latchwork: 127.0.0.1:{port} is in use by another process.\n"
    assert (as_json.code, as_json.out, as_json.error["code"]) == (1, "", "cli/port_in_use")


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_this_machines_is_one_sentence(tmp_path: Path, host: str) -> None:
    ended = latchwork(tmp_path, "serve", "--host", host)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"latchwork: The server cannot listen on {host}:8765: ")
    assert len(ended.err.splitlines()) == 1


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = latchwork(tmp_path, "serve", "--data-dir", "file/data")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "latchwork: The data directory file/data cannot be written: not a directory.\n"


def test_a_bad_setting_is_one_sentence(tmp_path: Path) -> None:
    ended = latchwork(tmp_path, "serve", LATCHWORK_TEST_CLOCK="1", LATCHWORK_HOST="0.0.0.0")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("latchwork: LATCHWORK_TEST_CLOCK lets callers choose the time, so ")
    assert len(ended.err.splitlines()) == 1


def test_a_database_of_a_newer_version_is_one_sentence_and_stays_as_it_is(tmp_path: Path) -> None:
    assert latchwork(tmp_path, "migrate").code == 0
    database = tmp_path / "latchwork-data" / "latchwork.db"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for command in (["serve", "--port", "0"], ["migrate"]):
        ended = latchwork(tmp_path, *command)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith("latchwork: The database has schema 9999, newer than schema ")
        assert len(ended.err.splitlines()) == 1


def test_a_database_that_is_not_one_is_one_sentence(tmp_path: Path) -> None:
    directory = tmp_path / "latchwork-data"
    directory.mkdir()
    (directory / "latchwork.db").write_text("not a database, but long enough to be looked at" * 100)
    ended = latchwork(tmp_path, "serve", "--port", "0")
    assert ended.code == 1
    assert "latchwork.db cannot be opened: " in ended.err
    assert len(ended.err.splitlines()) == 1


def test_an_unreachable_database_is_one_sentence_without_its_password(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    url = f"postgresql://ada:hunter22@127.0.0.1:{port}/keys"
    ended = latchwork(tmp_path, "serve", "--port", "0", LATCHWORK_DATABASE_URL=url)
    assert ended.code == 1
    assert "cannot be opened" in ended.err
    assert "hunter22" not in ended.err
    assert len(ended.err.splitlines()) == 1


def test_postgresql_serves_one_process_at_a_time(tmp_path: Path, postgres_url: str) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    with serving(here, LATCHWORK_DATABASE_URL=postgres_url) as first:
        assert first.post("apis.createApi", {"name": "weather"}, first.ready["rootKey"])
        ended = latchwork(there, "serve", "--port", "0", LATCHWORK_DATABASE_URL=postgres_url)
    assert ended.code == 1
    assert "without Redis only one may" in ended.err
    assert len(ended.err.splitlines()) == 1


async def test_a_process_whose_database_another_has_begun_to_serve_stops(
    tmp_path: Path, postgres_url: str
) -> None:
    with serving(tmp_path, LATCHWORK_DATABASE_URL=postgres_url) as first:
        other = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
        while not await other.fetchval("SELECT pg_try_advisory_lock(hashtext('latchwork'))"):
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND pid <> pg_backend_pid()"
            )
        assert await asyncio.to_thread(first.process.wait, 30) == 0
        await other.close()
    assert "Another process has begun to serve this database" in (tmp_path / "stderr.txt").read_text()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("keys.example", "http://keys.example:80"),
    ],
)
def test_the_address_that_is_told_can_be_reached(host: str, url: str) -> None:
    assert address(host, 80) == url


def test_a_later_start_tells_the_address_only() -> None:
    assert list(lines_of(Ready("http://127.0.0.1:80", "http://127.0.0.1:80/docs"))) == [
        "Latchwork is ready at http://127.0.0.1:80"
    ]


def test_a_first_start_with_a_root_key_of_the_settings_shows_how_to_use_it() -> None:
    ready = Ready("http://127.0.0.1:80", None, bootstrapped=True)
    said = "\n".join(lines_of(ready))
    assert 'ROOT_KEY="$LATCHWORK_BOOTSTRAP_ROOT_KEY"' in said
    assert "shown only now" not in said
    assert "API reference" not in said


def test_a_root_key_with_signs_of_the_shell_is_quoted() -> None:
    first = next(iter(commands(Ready("http://127.0.0.1:80", None, root_key="a'b$c"))))
    ran = subprocess.run(
        ["sh", "-c", f'{first}; printf %s "$ROOT_KEY"'], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "a'b$c"


def test_what_workers_have_left_to_send_is_sent_by_the_one_process_after_them(tmp_path: Path) -> None:
    left = tmp_path / "latchwork-data" / "workers" / "3" / "spool"
    left.mkdir(parents=True)
    (left / "anything.batch").write_bytes(b"")
    with serving(tmp_path):
        assert list(left.iterdir()) == []

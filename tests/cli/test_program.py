"""The program as a whole: help, usage, exit codes, errors."""

import contextlib
import importlib.metadata
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from latchwork.cli.failures import EXPLAINED
from latchwork.cli.program import run

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"alembic", "asyncpg", "duckdb", "msgspec", "pydantic", "rich", "sqlalchemy", "starlette", "uvicorn"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the developer's own."""
    monkeypatch.chdir(tmp_path)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in (
        "serve",
        "workspace",
        "root-key",
        "api",
        "key",
        "encryption",
        "settings",
        "migrate",
        "demo",
        "version",
    ):
        assert f"\n  {command} " in shown


@pytest.mark.parametrize("noun", ["workspace", "root-key", "api", "key"])
def test_a_noun_alone_shows_its_verbs_and_counts_as_asked_wrongly(
    noun: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([noun]) == 2
    assert "create" in capsys.readouterr().err


def test_a_usage_error_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["key", "create"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "Missing option '--api'" in told.err


@pytest.mark.parametrize("arguments", [["key", "create", "--json"], ["nothing", "--json"], ["--json"]])
def test_a_usage_error_is_json_where_json_was_asked_for(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert json.loads(told.err)["error"]["code"] == "cli/usage"


def test_the_version_is_printed_in_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0
    assert capsys.readouterr().out.startswith("latchwork ")
    assert run(["version", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"version"}


def test_a_failure_is_told_one_sentence_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATCHWORK_PORT", "x")
    monkeypatch.setenv("LATCHWORK_HOTS", "x")
    assert run(["settings"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 2
    assert all(line.startswith("latchwork: LATCHWORK_") for line in told.err.splitlines())


def test_a_failure_is_json_where_json_was_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATCHWORK_PORT", "x")
    assert run(["settings", "--json"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert json.loads(told.err)["error"] == {
        "code": "cli/settings",
        "detail": "LATCHWORK_PORT must be a whole number from 0 to 65535, not x.",
    }


@pytest.mark.parametrize(("module", "name"), [(each.module, each.name) for each in EXPLAINED])
def test_every_explained_error_exists(module: str, name: str) -> None:
    assert issubclass(getattr(importlib.import_module(module), name), Exception)


def test_help_loads_nothing_that_only_commands_need() -> None:
    code = "import sys; from latchwork.cli.program import run; run(['--help']); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in ran.stdout.split()}
    assert loaded & HEAVY == set()


def test_the_program_is_installed_under_its_name() -> None:
    ran = subprocess.run(
        [Path(sys.executable).parent / "latchwork", "version"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("latchwork ")


def test_the_reference_of_settings_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["settings", "--reference"]) == 0
    written = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert capsys.readouterr().out == written, (
        "run: latchwork settings --reference > docs/reference/settings.md"
    )


def test_settings_are_printed_with_their_source_and_without_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = "0f3c9a7e5b1d8264f0a1c2e3d4b5a697"
    monkeypatch.setenv("LATCHWORK_BOOTSTRAP_ROOT_KEY", secret)
    monkeypatch.setenv("LATCHWORK_DATABASE_URL", "postgresql://ada:hunter22@db.example/keys")
    monkeypatch.setenv("LATCHWORK_TRUSTED_PROXIES", "10.0.0.0/8,::1")
    (tmp_path / "latchwork.toml").write_text("port = 9000\n")
    assert run(["settings"]) == 0
    lines = capsys.readouterr().out
    assert "LATCHWORK_PORT\t9000\tlatchwork.toml\n" in lines
    assert "LATCHWORK_BOOTSTRAP_ROOT_KEY\t********\tLATCHWORK_BOOTSTRAP_ROOT_KEY\n" in lines
    assert "postgresql://ada:********@db.example/keys" in lines
    assert "LATCHWORK_TRUSTED_PROXIES\t10.0.0.0/8,::1/128\t" in lines
    assert "LATCHWORK_ANALYTICS__ENABLED\ttrue\tdefault\n" in lines
    assert secret not in lines and "hunter22" not in lines


def test_settings_as_json_keep_their_types(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LATCHWORK_TRUSTED_PROXIES", "10.0.0.0/8")
    assert run(["settings", "--json", "--data-dir", str(tmp_path)]) == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["port"]["value"] == 8765
    assert found["database_url"]["value"] is None
    assert found["trusted_proxies"]["value"] == ["10.0.0.0/8"]
    assert found["data_dir"] == {
        "name": "data_dir",
        "variable": "LATCHWORK_DATA_DIR",
        "value": str(tmp_path),
        "source": "flag",
    }


def test_an_interruption_ends_a_command_as_a_shell_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_name: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.metadata, "version", interrupted)
    assert run(["version"]) == 130


def test_a_defect_is_not_dressed_up_as_something_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_name: str) -> str:
        raise LookupError("a defect")

    monkeypatch.setattr(importlib.metadata, "version", broken)
    with pytest.raises(LookupError, match="a defect"):
        run(["version"])


def test_on_a_terminal_a_table_is_drawn_with_headings() -> None:
    terminal, stdout = pty.openpty()
    program = Path(sys.executable).parent / "latchwork"
    with subprocess.Popen([program, "settings"], stdout=stdout) as process:
        os.close(stdout)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes any more
            while part := os.read(terminal, 65_536):
                shown += part
    os.close(terminal)
    assert process.returncode == 0
    assert b"source" in shown and b"LATCHWORK_PORT" in shown

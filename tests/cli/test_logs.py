"""Logs for people, and logs for machines."""

import json
import logging
import unicodedata
from collections.abc import Iterator

import pytest

from latchwork.cli.logs import log_as
from latchwork.settings import LogSettings

_log = logging.getLogger("latchwork.example")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_for_people_names_level_and_logger(capsys: pytest.CaptureFixture[str]) -> None:
    log_as(LogSettings())
    _log.info("ready %s", "now")
    assert capsys.readouterr().err.endswith(" INFO latchwork.example: ready now\n")


def test_what_is_below_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log_as(LogSettings(level="warning"))
    _log.info("quiet")
    assert capsys.readouterr().err == ""


HOSTILE = 'x\n{"level":"audit"}\r\x1b[2J\x9b2J\u2028\u2029\x85\x00\u202e\ud800 é'


@pytest.mark.parametrize("format_", ["text", "json"])
def test_no_text_breaks_out_of_its_line(capsys: pytest.CaptureFixture[str], format_: str) -> None:
    log_as(LogSettings(format=format_))
    _log.warning("told: %s", HOSTILE)
    written = capsys.readouterr().err
    assert written.endswith("\n") and len(written.splitlines()) == 1
    assert not [c for c in written[:-1] if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert "[2J" in written


def test_what_failed_is_told_in_lines_that_no_text_can_dress_up(capsys: pytest.CaptureFixture[str]) -> None:
    log_as(LogSettings())
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        _log.exception("it failed")
    written = capsys.readouterr().err
    first, *rest = written.splitlines()
    assert first.endswith(" ERROR latchwork.example: it failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_a_line_of_json_holds_the_exception_too(capsys: pytest.CaptureFixture[str]) -> None:
    log_as(LogSettings(format="json"))
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        _log.exception("it failed")
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["level"], told["logger"], told["message"]) == ("error", "latchwork.example", "it failed")
    assert "ValueError: broken" in told["exception"]
    assert told["time"].endswith("+00:00")

"""Logs for people, and logs for machines."""

import json
import logging
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

"""What is logged: lines for people, or one JSON object a line, on standard error."""

import logging
from datetime import UTC, datetime

from latchwork.settings import LogSettings

_CHATTY = ("alembic", "uvicorn")  # tell of every step of theirs; only their warnings concern an operator

_REPEATING = ("urllib3", "clickhouse_connect")  # tell of every attempt; the analytics tell once what it means


class JsonLines(logging.Formatter):
    """One object a line: time, level, logger, message, and the exception where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record."""
        import json

        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)  # in ASCII: some readers end lines at U+2028 and the like


class PlainLines(logging.Formatter):
    """A line for people, and under it the exception where there is one, set in.

    What a caller sent may be in either: nothing of it begins a line that looks like one of ours or moves a cursor.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is the library's
        """The line itself."""
        return _visible(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802 - the name is the library's
        """The lines under it."""
        told = super().formatException(ei)  # type: ignore[arg-type]
        return "\n".join(f"    {_visible(line)}" for line in told.split("\n"))


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def log_as(settings: LogSettings) -> None:
    """Log from now on as the settings say, in place of whatever was set up before."""
    handler = logging.StreamHandler()
    if settings.format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(PlainLines())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    if settings.level != "debug":
        for name in _REPEATING:
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if settings.level == "info":
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)

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
        return json.dumps(line, ensure_ascii=False)


def log_as(settings: LogSettings) -> None:
    """Log from now on as the settings say, in place of whatever was set up before."""
    handler = logging.StreamHandler()
    if settings.format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    if settings.level != "debug":
        for name in _REPEATING:
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if settings.level == "info":
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)

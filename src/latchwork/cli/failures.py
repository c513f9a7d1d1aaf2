"""What went wrong, in one sentence on standard error; never a traceback for what a person can mend."""

import sys
from typing import NamedTuple

import click


class Failure(Exception):
    """A command cannot be carried out; `code` is stable, `status` the HTTP status where there is one."""

    def __init__(self, code: str, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.status = code, detail, status


class _Explained(NamedTuple):
    module: str
    name: str
    code: str = ""  # of errors that do not carry one


# By name, so that nothing is imported here that the command itself did not need.
EXPLAINED = (
    _Explained("latchwork.settings", "SettingsError", "cli/settings"),
    _Explained("latchwork.adapters.exports.files", "Unreadable", "cli/unreadable"),
    _Explained("latchwork.compose.data_dir", "DataDirError", "cli/data_directory"),
    _Explained("latchwork.domains.encryption", "EncryptionKeyUnusable", "cli/encryption_key"),
    _Explained("latchwork.compose.control", "Refusal"),
    _Explained("latchwork.compose.control", "Unanswered", "cli/unanswered"),
    _Explained("latchwork.compose.platform", "AnotherProcess", "cli/database_in_use"),
    _Explained("latchwork.server.run", "PortInUse", "cli/port_in_use"),
    _Explained("latchwork.server.run", "StartFailed", "cli/start_failed"),
    _Explained("latchwork.kernel.sql.migrate", "SchemaTooNew", "cli/schema_too_new"),
    _Explained("latchwork.kernel.sql.database", "DatabaseUnreachable", "cli/database_unreachable"),
)


def explained(error: Exception) -> Failure | None:
    """`error` as a failure, if it is one that a person can do something about."""
    if isinstance(error, Failure):
        return error
    for each in EXPLAINED:
        kind = getattr(sys.modules.get(each.module), each.name, None)
        if kind is not None and isinstance(error, kind):
            return Failure(each.code or error.code, str(error), getattr(error, "status", None))
    return None


def tell(failure: Failure, *, as_json: bool) -> None:
    """Say it on standard error."""
    if not as_json:
        for sentence in failure.detail.splitlines():
            click.echo(f"latchwork: {sentence}", err=True)
        return
    import json

    status = {} if failure.status is None else {"status": failure.status}
    error = {"code": failure.code, "detail": failure.detail, **status}
    click.echo(json.dumps({"error": error}), err=True)

"""`latchwork import`."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from latchwork.cli.options import Asked, everywhere, in_workspace, sheet, with_options

if TYPE_CHECKING:
    from latchwork.adapters.exports import Budgets, Row
    from latchwork.cli.performing import Perform

_ROWS_AT_ONCE = 500
_CHARACTERS_AT_ONCE = 500_000  # a command takes 1 MiB
_MARKS = {"added": "+", "present": "=", "passed": "-", "failed": "!"}

_importing = with_options(
    click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False)),
    click.option("--api", required=True, help="Id or name of the API that the keys are for."),
    click.option("--dry-run", is_flag=True, help="Tell what would be done, row by row, and do nothing."),
    in_workspace,
)


@click.group("import")
def import_() -> None:
    """Take keys over from other products.

    Nobody has to be sent a new key: hashes are taken over as they are. An import that was interrupted goes
    on where it stopped when the same command is given again; `undo` removes what it added.
    """


@import_.command("csv")
@_importing
@click.option("--migration", metavar="ID", help="The hashes are of what this migration says.")
@everywhere
def from_csv(asked: Asked, migration: str | None, **asked_for: Any) -> None:
    """Import FILE, a CSV with a header or JSON, in the words of the API.

    Columns are key or hash, start, name, externalId, meta, meta.<name>, roles, permissions, expires, enabled,
    credits, refillInterval, refillAmount, refillDay, ratelimits and ipWhitelist. Lists have semicolons
    between; limits are written requests=100/60s.
    """
    _run(asked, _Wanted("csv", migration=migration, **asked_for))


@import_.command("unkey")
@_importing
@everywhere
def from_unkey(asked: Asked, **asked_for: Any) -> None:
    """Import FILE, the keys of an Unkey workspace.

    It holds what apis.listKeys answers, decrypted, or the rows of the database's table of keys, as JSON or
    CSV.
    """
    _run(asked, _Wanted("unkey", **asked_for))


@import_.command("litellm")
@_importing
@click.option(
    "--credits-per-dollar",
    type=click.IntRange(1, 10**9),
    metavar="N",
    help="What a dollar of budget is worth.",
)
@click.option("--no-budgets", is_flag=True, help="Leave budgets out: the keys may spend without limit.")
@everywhere
def from_litellm(asked: Asked, credits_per_dollar: int | None, no_budgets: bool, **asked_for: Any) -> None:
    """Import FILE, the table LiteLLM_VerificationToken as CSV or JSON."""
    if credits_per_dollar is not None and no_budgets:
        raise click.UsageError("Give either --credits-per-dollar or --no-budgets.")
    wanted = _Wanted("litellm", credits_per_dollar=credits_per_dollar, no_budgets=no_budgets, **asked_for)
    _run(asked, wanted)


@import_.command()
@click.argument("run", metavar="RUN")
@in_workspace
@everywhere
def undo(asked: Asked, run: str, workspace: str | None) -> None:
    """Remove the keys that the import RUN added.

    For good, with what it created for them and nobody uses. Keys that were there before stay.
    """
    removed = 0
    with asked.performing() as perform:
        while True:
            done = perform("import.undo", run=run, workspace=workspace)
            removed += done["removed"]
            if done["state"] == "undone":
                break
    asked.show(
        done | {"removed": removed}, lambda: click.echo(f"Undid import {run}: {removed} keys are gone.")
    )


@import_.command("list")
@in_workspace
@everywhere
def list_(asked: Asked, workspace: str | None) -> None:
    """List the latest imports."""
    runs = asked.perform("import.list", workspace=workspace)
    rows = [(each["runId"], each["kind"], each["apiId"], each["state"], _counted(each)) for each in runs]
    asked.show(runs, lambda: sheet(rows, ("import", "from", "API", "state", "rows")))


@import_.command()
@click.argument("run", metavar="RUN")
@in_workspace
@everywhere
def show(asked: Asked, run: str, workspace: str | None) -> None:
    """Show the import RUN and the rows that failed."""
    found = asked.perform("import.show", run=run, workspace=workspace)

    def for_people() -> None:
        click.echo(f"Import {run} from {found['kind']} is {found['state']}: {_counted(found)}.")
        for failure in found["failures"]:
            click.echo(_line(failure))

    asked.show(found, for_people)


class _Wanted(NamedTuple):
    """What is to be imported, from where to where, and how."""

    kind: str
    file: Path
    api: str
    dry_run: bool
    workspace: str | None
    migration: str | None = None
    credits_per_dollar: int | None = None
    no_budgets: bool = False

    @property
    def budgets(self) -> "Budgets":
        from latchwork.adapters.exports import Budgets

        return Budgets(self.credits_per_dollar, self.no_budgets)

    def fingerprint(self) -> str:
        """The same for the same file read the same way."""
        from hashlib import file_digest

        with self.file.open("rb") as file:
            digest = file_digest(file, "sha256")
        digest.update(f"{self.kind} {self.credits_per_dollar} {self.no_budgets}".encode())
        return digest.hexdigest()

    def target(self) -> dict[str, Any]:
        return {"api": self.api, "migration": self.migration, "workspace": self.workspace}


def _run(asked: Asked, wanted: _Wanted) -> None:
    with asked.performing() as perform:
        told = _preview(asked, wanted, perform) if wanted.dry_run else _carry_out(asked, wanted, perform)
    if told["failed"]:
        raise click.exceptions.Exit(1)


def _carry_out(asked: Asked, wanted: _Wanted, perform: "Perform") -> dict[str, Any]:
    fingerprint = wanted.fingerprint()
    run = perform("import.begin", kind=wanted.kind, fingerprint=fingerprint, **wanted.target())
    position, failures = run["rows"], []
    if position and not asked.as_json:
        click.echo(f"Going on with import {run['runId']} after {position} rows.")
    for portion in _portions(wanted, position):
        sent = {"run": run["runId"], "position": position, "workspace": wanted.workspace}
        done = perform("import.take", rows=[_sent(row) for row in portion], **sent)
        position += len(portion)
        _tell_progress(position)
        for result in done["results"]:
            if result["outcome"] == "failed":
                failures.append(result)
                if not asked.as_json:
                    click.echo(_line(result))
    done = perform("import.finish", run=run["runId"], workspace=wanted.workspace)
    asked.show(done | {"failures": failures}, lambda: _tell_done(done))
    return dict(done)


def _preview(asked: Asked, wanted: _Wanted, perform: "Perform") -> dict[str, Any]:
    counts: Counter[str] = Counter()
    created: dict[str, dict[str, None]] = {"identities": {}, "permissions": {}, "roles": {}}
    lines: list[dict[str, Any]] = []
    for portion in _portions(wanted, 0):
        rows = [_sent(row) for row in portion]
        found = perform("import.preview", rows=rows, position=counts.total(), **wanted.target())
        for row, result in zip(portion, found["results"], strict=True):
            counts[result["outcome"]] += 1
            line = result | _about(row)
            if asked.as_json:
                lines.append(line)
            else:
                click.echo(_line(line))
        for noun, names in created.items():
            names.update(dict.fromkeys(found[noun]))
    told = {outcome: counts[outcome] for outcome in _MARKS}
    create = {noun: list(names) for noun, names in created.items()}
    asked.show(told | {"rows": lines, "create": create}, lambda: _tell_preview(told, create))
    return told


def _portions(wanted: _Wanted, behind: int) -> Iterator[list["Row"]]:
    """The rows of the file after the first `behind`, as many at a time as a command can take."""
    from latchwork.adapters.exports import rows_of

    portion: list[Row] = []
    characters = 0
    for place, row in enumerate(rows_of(wanted.kind, wanted.file, wanted.budgets)):
        if place < behind:
            continue
        size = len(str(_sent(row)))
        if portion and (len(portion) == _ROWS_AT_ONCE or characters + size > _CHARACTERS_AT_ONCE):
            yield portion
            portion, characters = [], 0
        portion.append(row)
        characters += size
    if portion:
        yield portion


def _sent(row: "Row") -> dict[str, Any]:
    from latchwork.adapters.exports import Key, Left

    if isinstance(row, Key):
        return {"line": row.line, "key": row.key}
    if isinstance(row, Left):
        return {"line": row.line, "left": row.detail}
    return {"line": row.line, "field": row.field, "detail": row.detail}


def _about(row: "Row") -> dict[str, Any]:
    """What is told of a row besides what becomes of it: its key but for the hash."""
    from latchwork.adapters.exports import Key

    if not isinstance(row, Key):
        return {}
    key = {name: value for name, value in row.key.items() if name != "hash"}
    return {"key": key, **({"notes": row.notes} if row.notes else {})}


def _line(result: dict[str, Any]) -> str:
    """A row of the diff: what becomes of it, where it is, and what it is or what is wrong with it."""
    told = [_MARKS[result["outcome"]], f"row {result['row']} (line {result['line']}):"]
    if result.get("field"):
        told.append(f"{result['field']}:")
    if "detail" in result:
        told.append(result["detail"])
    if result["outcome"] == "present":
        told.append(f"is here already as {result['keyId']}")
    if result["outcome"] == "added":
        told.append(_described(result["key"]))
        told += [f"({note})" for note in result.get("notes", ())]
    return " ".join(told)


def _described(key: dict[str, Any]) -> str:
    """A key in a line."""
    from latchwork.kernel.durations import spoken

    told = [key.get("name") or key.get("start") or "a key"]
    if "externalId" in key:
        told.append(f"of {key['externalId']}")
    if not key.get("enabled", True):
        told.append("disabled")
    if "credits" in key:
        told.append(f"{key['credits'].get('remaining')} credits")
    told += [
        f"{each['name']} {each['limit']} in {spoken(each['duration'])}" for each in key.get("ratelimits", ())
    ]
    told += [f"{len(key[noun])} {noun}" for noun in ("roles", "permissions") if noun in key]
    return ", ".join(told)


def _tell_progress(rows: int) -> None:
    """On a terminal, how far it is, on a line that the next one overwrites."""
    if sys.stderr.isatty():
        click.echo(f"{rows:,} rows\r", nl=False, err=True)


def _tell_done(done: dict[str, Any]) -> None:
    click.echo(f"Import {done['runId']}: {_counted(done)}.")
    if done["added"]:
        click.echo(f"To take it back: latchwork import undo {done['runId']}")


def _tell_preview(told: dict[str, Any], create: dict[str, list[str]]) -> None:
    for noun, names in create.items():
        if names:
            click.echo(f"{len(names)} {noun} would be created: {_cut(names)}.")
    click.echo(f"Nothing was written. It would be: {_counted(told)}.")


def _counted(counts: dict[str, Any]) -> str:
    told = f"{counts['added']} added, {counts['present']} here already"
    return f"{told}, {counts['passed']} passed over, {counts['failed']} failed"


def _cut(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown}, …" if len(names) > 5 else shown

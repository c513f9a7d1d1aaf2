"""The verbs of imports: rows arrive in the words of the API and are held to its rules, each by itself."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from latchwork.compose.control import Verb
from latchwork.compose.platform import Platform
from latchwork.compose.targets import acting_in, api_id_of
from latchwork.domains.imports import Flaw, Offered, Passed, Result, Row, Run, Source, portions_of
from latchwork.domains.migrations import ForeignKey
from latchwork.kernel.faults import BadRequest
from latchwork.surfaces.rpc.bodies import BodyReader, or_none
from latchwork.surfaces.rpc.faults import InvalidRequest
from latchwork.surfaces.rpc.migrations import MigrateKey
from latchwork.surfaces.rpc.offers import Shown

_NAMED = re.compile(r"`([\w.]+)`")
_PROPERTY = re.compile(r"/properties/([^/]+)")


class ImportedKey(MigrateKey, kw_only=True):
    """A key as `keys.migrateKeys` takes it, and what may be shown of it."""

    start: Shown | UnsetType = UNSET


_reader: BodyReader[ImportedKey] = BodyReader(ImportedKey, "The row is not valid.")


async def preview(
    platform: Platform,
    *,
    api: str,
    rows: Sequence[dict[str, Any]],
    position: int = 0,
    migration: str | None = None,
    workspace: str | None = None,
) -> dict[str, Any]:
    """What would become of rows, with `position` before them, and what would be created for them."""
    who = await acting_in(platform, workspace)
    api_id = await api_id_of(platform, who, api)
    weighed = [_row(row) for row in rows]
    found = await platform.imports.preview(who, api_id, migration, weighed, position + 1)
    created = found.created
    return {
        "results": [_told(result) for result in found.results],
        "identities": list(created.identities),
        "permissions": list(created.permissions),
        "roles": list(created.roles),
    }


async def begin(
    platform: Platform,
    *,
    api: str,
    kind: str,
    fingerprint: str,
    migration: str | None = None,
    workspace: str | None = None,
) -> dict[str, Any]:
    """A run, new or stopped on its way; `api` is an id or a name."""
    who = await acting_in(platform, workspace)
    api_id = await api_id_of(platform, who, api)
    return _run(await platform.imports.begin(who, api_id, migration, Source(kind, fingerprint)))


async def take(
    platform: Platform,
    *,
    run: str,
    position: int,
    rows: Sequence[dict[str, Any]],
    workspace: str | None = None,
) -> dict[str, Any]:
    """The next rows of a run, taken portion by portion."""
    who = await acting_in(platform, workspace)
    results: list[Result] = []
    for portion in portions_of([_row(row) for row in rows]):
        done, some = await platform.imports.take(who, run, position + len(results), portion)
        results += some
    return _run(done) | {"results": [_told(result) for result in results]}


async def finish(platform: Platform, *, run: str, workspace: str | None = None) -> dict[str, Any]:
    """The end of a run."""
    return _run(await platform.imports.finish(await acting_in(platform, workspace), run))


async def undo(platform: Platform, *, run: str, workspace: str | None = None) -> dict[str, Any]:
    """Some keys of a run removed; to be repeated until its state is `undone`."""
    done, removed = await platform.imports.undo(await acting_in(platform, workspace), run)
    return _run(done) | {"removed": removed}


async def newest(platform: Platform, *, workspace: str | None = None) -> list[dict[str, Any]]:
    """The latest runs."""
    return [_run(run) for run in await platform.imports.newest(await acting_in(platform, workspace))]


async def show(platform: Platform, *, run: str, workspace: str | None = None) -> dict[str, Any]:
    """A run and its rows that failed."""
    found, failed = await platform.imports.get(await acting_in(platform, workspace), run)
    return _run(found) | {"failures": [_told(result) for result in failed]}


VERBS: dict[str, Verb] = {
    "import.preview": preview,
    "import.begin": begin,
    "import.take": take,
    "import.finish": finish,
    "import.undo": undo,
    "import.list": newest,
    "import.show": show,
}


def _row(sent: dict[str, Any]) -> Row:
    line = sent["line"]
    if "left" in sent:
        return Passed(line, sent["left"])
    if "key" not in sent:
        return Flaw(line, sent["field"], sent["detail"])
    try:
        return Offered(line, _key(sent["key"]))
    except InvalidRequest as fault:
        violation = fault.errors[0]
        return Flaw(line, _field(violation.location), violation.fix or violation.message)
    except BadRequest as fault:
        named = _NAMED.search(fault.detail)
        return Flaw(line, "" if named is None else named[1], fault.detail)


def _key(sent: dict[str, Any]) -> ForeignKey:
    body = _reader.read(msgspec.json.encode(sent))
    return body.record(or_none(body.start) or "")


def _field(location: str) -> str:
    """`credits.remaining`, from the place of a schema's keyword."""
    return ".".join(_PROPERTY.findall(location))


def _told(result: Result) -> dict[str, Any]:
    told = {
        "row": result.row,
        "line": result.line,
        "outcome": result.outcome.value,
        "keyId": result.key_id,
        "field": result.field,
        "detail": result.detail,
    }
    return {name: value for name, value in told.items() if value is not None}


def _run(run: Run) -> dict[str, Any]:
    told = {
        "runId": run.id,
        "apiId": run.api_id,
        "kind": run.source.kind,
        "state": run.state.value,
        "rows": run.position,
        "added": run.added,
        "present": run.present,
        "passed": run.passed,
        "failed": run.failed,
        "createdAt": run.created_ms,
        "finishedAt": run.finished_ms,
    }
    return {name: value for name, value in told.items() if value is not None}

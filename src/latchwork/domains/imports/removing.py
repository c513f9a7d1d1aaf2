"""Undoing a run, some keys at a time."""

from dataclasses import replace

from latchwork.domains import audit
from latchwork.domains.imports import store
from latchwork.domains.imports.records import Outcome, Run, RunState
from latchwork.domains.keys import store as keys_store
from latchwork.kernel.events import Event
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell

_AT_ONCE = 200  # keys a unit, each with a handful of rows


def remove_some(connection: Connection, who: Principal, run: Run, now_ms: int) -> tuple[Run, int]:
    """Remove the next keys of a run, or what it created besides; how many keys were removed."""
    if run.state is RunState.UNDONE:
        return run, 0
    added = store.results_of(connection, run, Outcome.ADDED, _AT_ONCE)
    if not added:
        return _finished(connection, who, run, now_ms), 0
    key_ids = [result.key_id for result in added if result.key_id is not None]
    digests = store.digests_of(connection, key_ids)
    if digests:
        keys_store.purge_keys(connection, list(digests))
        changed(connection, *(("key", digest) for digest in digests.values()))
        audit.record(connection, who, now_ms, *(_deleted(run, key_id) for key_id in digests))
        tell(
            connection,
            *(
                Event.now(run.workspace_id, "key.deleted", now_ms, key_id=key_id, api_id=run.api_id)
                for key_id in digests
            ),
        )
    store.drop_results(connection, run, key_ids)
    undoing = replace(run, state=RunState.UNDOING)
    store.change(connection, undoing)
    return undoing, len(digests)


def _finished(connection: Connection, who: Principal, run: Run, now_ms: int) -> Run:
    removed = store.remove_unused(connection, run)
    undone = replace(run, state=RunState.UNDONE, finished_ms=now_ms)
    store.change(connection, undone)
    entries = [
        audit.Entry(f"{noun}.delete", f"Deleted {noun} {name}", (audit.Resource(noun, id_, name),))
        for noun, id_, name in removed
    ]
    resource = audit.Resource("import", run.id, run.source.kind)
    entries.append(audit.Entry("import.delete", f"Undid import {run.id}", (resource,)))
    audit.record(connection, who, now_ms, *entries)
    return undone


def _deleted(run: Run, key_id: str) -> audit.Entry:
    resource = audit.Resource("key", key_id, None, {"permanent": True, "import": run.id})
    return audit.Entry("key.delete", f"Deleted key {key_id}", (resource,))

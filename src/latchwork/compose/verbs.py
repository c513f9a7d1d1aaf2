"""The command line's verbs: declared once, carried out by the server over its socket, or without one.

What the API can do too is done by the API's own procedure, called by the operator: the same checks of
what was asked, the same answer.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from latchwork.compose import auditing, importing
from latchwork.compose.control import Verb
from latchwork.compose.encryption import keyring_of
from latchwork.compose.platform import Platform
from latchwork.compose.targets import acting_in, api_id_of
from latchwork.domains.analytics import AnalyticsNotConfigured
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.ids import new_request_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES, PostgresDatabase, finishing
from latchwork.kernel.sql.migrate import HEAD, is_finished
from latchwork.surfaces.http.requests import Headers, RequestFacts
from latchwork.surfaces.rpc import apis, explanation, keys, root_keys, verification
from latchwork.surfaces.rpc.faults import InvalidRequest
from latchwork.surfaces.rpc.procedures import Call, Handler, Procedure, Rendered
from latchwork.surfaces.rpc.services import Services

_LOCAL = "127.0.0.1"
_PROCEDURES = (*apis.family.procedures, *keys.family.procedures, *root_keys.family.procedures)


async def create_workspace(
    platform: Platform, *, name: str, requests_per_minute: int | None = None
) -> dict[str, Any]:
    """A new workspace."""
    made = await platform.workspaces.create(name, requests_per_minute)
    return {"workspaceId": made.id, "name": made.name, "requestsPerMinute": made.api_requests_per_minute}


async def create_root_key(
    platform: Platform,
    *,
    permissions: Sequence[str],
    workspace: str | None = None,
    name: str | None = None,
    expires_ms: int | None = None,
) -> Any:
    """A new root key of a workspace."""
    wanted = {"permissions": permissions, "name": name, "expires": expires_ms}
    who = await acting_in(platform, workspace)
    made = await _call(platform, who, root_keys.create_root_key, _given(wanted))
    return made | {"workspaceId": who.workspace_id}


async def create_api(platform: Platform, *, name: str, workspace: str | None = None) -> Any:
    """A new API."""
    who = await acting_in(platform, workspace)
    return await _call(platform, who, apis.create_api, {"name": name})


async def create_key(
    platform: Platform, *, api: str, wanted: dict[str, Any], workspace: str | None = None
) -> Any:
    """A new key; `api` is an id or a name, `wanted` the rest of the body of `keys.createKey`."""
    who = await acting_in(platform, workspace)
    api_id = await api_id_of(platform, who, api)
    return await _call(platform, who, keys.create_key, wanted | {"apiId": api_id})


async def verify_key(platform: Platform, *, claim: dict[str, Any], workspace: str | None = None) -> Any:
    """A verdict; `claim` is the body of `keys.verifyKey`."""
    who = await acting_in(platform, workspace)
    return await _call(platform, who, verification.verify_key, claim)


async def explain_key(platform: Platform, *, claim: dict[str, Any], workspace: str | None = None) -> Any:
    """An explanation; `claim` is the body of `keys.explainKey`."""
    who = await acting_in(platform, workspace)
    return await _call(platform, who, explanation.explain_key, claim)


async def migrate(platform: Platform, *, finish: bool = False) -> dict[str, Any]:
    """The schema of the database, which is this version's: an open platform has migrated it.

    What nodes of the version before would mind is done with `finish` only. Raises `AnalyticsUnavailable` where
    the tables of events cannot be made, `OlderNodes` where such nodes serve.
    """
    with suppress(AnalyticsNotConfigured):
        await platform.analytics.flush()
    if finish and isinstance(platform.db, PostgresDatabase):
        await finishing.finish(platform.db)
    return {"schema": HEAD, "finished": await platform.db.read(is_finished, ALL_WORKSPACES)}


async def rotate_encryption(platform: Platform) -> dict[str, Any]:
    """Every data key encrypted with the key that the settings, or the file they name, give now."""
    done = await platform.vault.rotate(keyring_of(platform.settings.encryption))
    return {"keyId": done.key_id, "rotated": done.resealed, "dataKeys": done.data_keys}


async def encryption_status(platform: Platform) -> dict[str, Any]:
    """Which key is in use, and how many data keys each key encrypts."""
    usage = await platform.vault.usage()
    return {"keyId": usage.key_id, "dataKeys": usage.data_keys, "missing": list(usage.missing)}


VERBS: dict[str, Verb] = {
    "workspace.create": create_workspace,
    "root_key.create": create_root_key,
    "api.create": create_api,
    "key.create": create_key,
    "key.verify": verify_key,
    "key.explain": explain_key,
    "encryption.rotate": rotate_encryption,
    "encryption.status": encryption_status,
    "migrate": migrate,
    **auditing.VERBS,
    **importing.VERBS,
}


async def _call(platform: Platform, who: Principal, handler: Handler, body: dict[str, Any]) -> Any:
    """The `data` that the API's procedure with that handler answers `who` for `body`."""
    procedure = next(each for each in _PROCEDURES if each.handler is handler)
    facts = RequestFacts(
        request_id=new_request_id(),
        method="POST",
        path=procedure.path,
        remote_ip=_LOCAL,
        now_ms=platform.clock.now_ms(),
        headers=Headers(()),
    )
    answer = await handler(Call(platform.services, facts, who=who), _read(procedure, body))
    if isinstance(answer, Rendered):
        return msgspec.json.decode(answer.body)["data"]
    return msgspec.to_builtins(answer)


def _read(procedure: Procedure[Services], body: dict[str, Any]) -> Any:
    reader = procedure.body_reader("POST")
    assert reader is not None
    try:
        return reader.read(msgspec.json.encode(body))
    except InvalidRequest as fault:
        raise BadRequest(" ".join(each.fix for each in fault.errors) or fault.detail) from fault


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}

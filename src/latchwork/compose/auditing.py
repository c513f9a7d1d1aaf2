"""The command line's verb for the audit log."""

from typing import Any

from latchwork.compose.control import Verb
from latchwork.compose.platform import Platform
from latchwork.compose.targets import workspace_of
from latchwork.domains.audit import Break, Checked
from latchwork.domains.workspaces import OPERATOR_ID, WorkspaceNotFound


async def verify_audit(platform: Platform, *, workspace: str | None = None) -> list[dict[str, Any]]:
    """Whether the audit log holds, of one workspace or of all, also of those that only seals know of any more."""
    names = await _all(platform) if workspace is None else await _one(platform, workspace)
    found = []
    for workspace_id, name in names.items():
        checked = await platform.chains.check(workspace_id)
        if name is not None or checked.seals:  # a folder of seals without any proves nothing
            found.append(_told(checked, name))
    if workspace is not None and not found:
        raise WorkspaceNotFound(f"There is no workspace {workspace}.")
    return found


async def _all(platform: Platform) -> dict[str, str | None]:
    """Names by id; of workspaces that are not in the database any more they are `None`."""
    sealed = await platform.chains.sealed()  # first: a workspace that is made meanwhile is not missed
    names: dict[str, str | None] = {each.id: each.name for each in await platform.workspaces.all()}
    gone = (each for each in sealed if each not in names and each != OPERATOR_ID)
    return names | dict.fromkeys(gone)


async def _one(platform: Platform, wanted: str) -> dict[str, str | None]:
    try:
        tenant = await workspace_of(platform, wanted)
    except WorkspaceNotFound:
        if wanted in await platform.chains.sealed():
            return {wanted: None}
        raise
    return {tenant.id: tenant.name}


def _told(checked: Checked, name: str | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "workspaceId": checked.workspace_id,
        "name": name,
        "rows": checked.rows,
        "digest": checked.digest,
        "seals": {"count": checked.seals, "place": checked.sealed_in, "lastRow": checked.sealed_to},
    }
    broken = checked.broken
    if name is None:
        seals = f"{checked.seals} seals of its log are in {checked.sealed_in}"
        broken = Break(1, f"the workspace is not in the database, but {seals}")
    return told if broken is None else told | {"broken": {"seq": broken.seq, "reason": broken.reason}}


VERBS: dict[str, Verb] = {"audit.verify": verify_audit}

"""What a command names: a workspace and an API, by id or by name."""

from latchwork.compose.platform import Platform
from latchwork.domains.keys import ApiNotFound
from latchwork.domains.workspaces import Workspace, WorkspaceNotFound, operator
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.principal import Principal

_PAGE = 100


async def acting_in(platform: Platform, wanted: str | None) -> Principal:
    """The operator, acting in the workspace with that id or name, or in the first."""
    return operator((await workspace_of(platform, wanted)).id)


async def workspace_of(platform: Platform, wanted: str | None) -> Workspace:
    """The workspace with that id or name, or the first."""
    tenants = await platform.workspaces.all()
    found = [each for each in tenants if wanted is None or wanted in (each.id, each.name)]
    if not found and wanted is None:
        raise WorkspaceNotFound("There is no workspace yet; make one with: latchwork workspace create NAME")
    if not found:
        raise WorkspaceNotFound(f"There is no workspace {wanted}.")
    if len(found) > 1 and wanted is not None:
        raise BadRequest(f"{len(found)} workspaces are called {wanted}; name one by its id.")
    return found[0]


async def api_id_of(platform: Platform, who: Principal, wanted: str) -> str:
    """The id of the API with that id or name."""
    found = []
    cursor = ""
    while True:
        page = await platform.services.apis.page(who, cursor=cursor, limit=_PAGE + 1)
        found += [api.id for api, _ in page[:_PAGE] if wanted in (api.id, api.name)]
        if len(page) <= _PAGE:
            break
        cursor = page[_PAGE][0].id
    if not found:
        raise ApiNotFound(f"There is no API {wanted} in this workspace.")
    if len(found) > 1:
        raise BadRequest(f"{len(found)} APIs are called {wanted}; name one by its id.")
    return found[0]

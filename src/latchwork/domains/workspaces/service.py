"""The workspaces' verbs; they belong to the operator, not to tenants."""

from dataclasses import dataclass

from latchwork.domains import audit
from latchwork.domains.workspaces import store
from latchwork.domains.workspaces.faults import WorkspaceNotFound
from latchwork.domains.workspaces.records import MOST, OPERATOR_ID, Workspace
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import EVERYTHING, Principal
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database
from latchwork.kernel.uninterrupted import uninterrupted


@dataclass(frozen=True, slots=True)
class Workspaces:
    """Creates and finds workspaces."""

    db: Database
    clock: Clock

    @uninterrupted
    async def create(self, name: str, requests_per_minute: int | None = None) -> Workspace:
        """A new workspace; `requests_per_minute` bounds its management calls (0 refuses all)."""
        if not 1 <= len(name) <= 256:
            raise BadRequest("A workspace's name has 1 to 256 characters.")
        if requests_per_minute is not None and not 0 <= requests_per_minute <= MOST:
            raise BadRequest(f"Requests per minute is 0 to {MOST}.")
        workspace = Workspace(new_id("ws"), name, True, requests_per_minute, self.clock.now_ms())

        def unit(connection: Connection) -> None:
            store.add(connection, workspace)
            entry = audit.Entry(
                "workspace.create",
                f"Created workspace {workspace.name}",
                (audit.Resource("workspace", workspace.id, workspace.name),),
            )
            audit.record(connection, operator(workspace.id), workspace.created_ms, entry)

        await self.db.write(unit, workspace.id)
        return workspace

    @uninterrupted
    async def ensure_operator(self) -> None:
        """Create the operator's own workspace unless it is there."""

        def unit(connection: Connection) -> None:
            if store.find(connection, OPERATOR_ID) is None:
                store.add(connection, Workspace(OPERATOR_ID, "operator", True, None, self.clock.now_ms()))

        await self.db.write(unit, OPERATOR_ID)

    async def get(self, workspace_id: str) -> Workspace:
        """The workspace; raises `WorkspaceNotFound`."""
        found = await self.db.read(lambda connection: store.find(connection, workspace_id), workspace_id)
        if found is None:
            raise WorkspaceNotFound(f"There is no workspace {workspace_id}.")
        return found

    async def all(self) -> list[Workspace]:
        """Every tenant, oldest first."""
        return await self.db.read(store.tenants, ALL_WORKSPACES)

    async def first(self) -> Workspace | None:
        """The oldest tenant, or `None` before the first start."""
        found = await self.all()
        return found[0] if found else None


def operator(workspace_id: str) -> Principal:
    """The person at the server's own command line, acting in `workspace_id`."""
    return Principal(
        workspace_id=workspace_id,
        subject_id="operator",
        subject_name="command line",
        permissions=frozenset({EVERYTHING}),
        remote_ip="local",
        user_agent="latchwork",
        request_id=new_id("cor"),
        subject_type="system",
    )

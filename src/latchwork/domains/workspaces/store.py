"""The workspaces' queries."""

from sqlalchemy import Connection, Row, insert, select

from latchwork.domains.workspaces.records import OPERATOR_ID, Workspace
from latchwork.domains.workspaces.tables import workspaces


def add(connection: Connection, workspace: Workspace) -> None:
    """Insert a new workspace."""
    connection.execute(
        insert(workspaces).values(
            id=workspace.id,
            name=workspace.name,
            enabled=workspace.enabled,
            api_requests_per_minute=workspace.api_requests_per_minute,
            created_at_ms=workspace.created_ms,
        )
    )


def find(connection: Connection, workspace_id: str) -> Workspace | None:
    """The workspace, or `None`."""
    row = connection.execute(select(workspaces).where(workspaces.c.id == workspace_id)).one_or_none()
    return None if row is None else _of(row)


def tenants(connection: Connection) -> list[Workspace]:
    """Every workspace but the operator's, oldest first."""
    rows = connection.execute(
        select(workspaces).where(workspaces.c.id != OPERATOR_ID).order_by(workspaces.c.id)
    )
    return [_of(row) for row in rows]


def _of(row: Row[tuple[object, ...]]) -> Workspace:
    return Workspace(row.id, row.name, row.enabled, row.api_requests_per_minute, row.created_at_ms)

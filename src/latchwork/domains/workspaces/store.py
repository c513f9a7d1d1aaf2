"""The workspaces' queries."""

from sqlalchemy import Connection, Row, insert, select, update

from latchwork.domains.workspaces.records import OPERATOR_ID, Quotas, Workspace
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


def quotas(connection: Connection, workspace_id: str) -> Quotas:
    """The workspace's quotas; it must exist."""
    row = connection.execute(select(workspaces).where(workspaces.c.id == workspace_id)).one()
    return Quotas(
        requests_per_minute=row.api_requests_per_minute,
        operations_per_month=row.operations_per_month,
        logs_retention_days=row.logs_retention_days,
        audit_retention_days=row.audit_retention_days,
        log_drains=row.log_drains,
    )


def retentions(connection: Connection) -> dict[str, int]:
    """How many days analytics may reach back, of every workspace where that is bounded."""
    bounded = select(workspaces).where(workspaces.c.logs_retention_days.is_not(None))
    return {row.id: row.logs_retention_days for row in connection.execute(bounded)}


def set_quotas(connection: Connection, workspace_id: str, wanted: Quotas) -> None:
    """Replace the workspace's quotas."""
    values = {
        "api_requests_per_minute": wanted.requests_per_minute,
        "operations_per_month": wanted.operations_per_month,
        "logs_retention_days": wanted.logs_retention_days,
        "audit_retention_days": wanted.audit_retention_days,
        "log_drains": wanted.log_drains,
    }
    connection.execute(update(workspaces).where(workspaces.c.id == workspace_id).values(values))


def _of(row: Row[tuple[object, ...]]) -> Workspace:
    return Workspace(row.id, row.name, row.enabled, row.api_requests_per_minute, row.created_at_ms)

"""The queries of portals and their sessions."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from latchwork.domains.keys.tables import apis
from latchwork.domains.portals.faults import PortalAlreadyExists
from latchwork.domains.portals.records import Portal, Recognised, Session, UserSessions
from latchwork.domains.portals.tables import portal_sessions, portals
from latchwork.domains.workspaces.tables import workspaces

_SWEPT_AT_ONCE = 500


def add(connection: Connection, portal: Portal) -> None:
    """Insert a portal; raises `PortalAlreadyExists`."""
    row = {
        "id": portal.id,
        "workspace_id": portal.workspace_id,
        "created_at_ms": portal.created_ms,
        "keyspace_id": portal.keyspace_id,
        "slug": portal.slug,
        "display_name": portal.display_name,
        "enabled": portal.enabled,
        "logo_url": portal.logo_url,
        "primary_color": portal.primary_color,
    }
    _unique(connection, insert(portals).values(row), portal.workspace_id, row)


def find(connection: Connection, workspace_id: str, name: str) -> Portal | None:
    """The portal with that id or slug; no slug looks like an id."""
    return _one(connection, workspace_id, or_(portals.c.id == name, portals.c.slug == name))


def serving(connection: Connection, workspace_id: str, keyspace_id: str) -> Portal | None:
    """The portal that serves a keyspace."""
    return _one(connection, workspace_id, portals.c.keyspace_id == keyspace_id)


def _one(connection: Connection, workspace_id: str, matches: ColumnElement[bool]) -> Portal | None:
    question = select(portals).where(portals.c.workspace_id == workspace_id).where(matches)
    row = connection.execute(question).one_or_none()
    return None if row is None else _portal(row)


def change(connection: Connection, portal: Portal, values: Mapping[str, Any], now_ms: int) -> None:
    """Change columns of a portal; raises `PortalAlreadyExists`."""
    changed = (
        update(portals).where(portals.c.id == portal.id).values(dict(values) | {"updated_at_ms": now_ms})
    )
    _unique(connection, changed, portal.workspace_id, values)


def _unique(connection: Connection, statement: Any, workspace_id: str, values: Mapping[str, Any]) -> None:
    try:
        with connection.begin_nested():
            connection.execute(statement)
    except IntegrityError as error:
        slug = values.get("slug")
        if slug is not None and find(connection, workspace_id, slug) is not None:
            raise PortalAlreadyExists.called(slug) from error
        raise PortalAlreadyExists.serving(values["keyspace_id"]) from error


def remove(connection: Connection, portal: Portal) -> None:
    """Delete a portal and its sessions."""
    connection.execute(delete(portals).where(portals.c.id == portal.id))


def add_session(connection: Connection, session: Session, digest: bytes) -> None:
    """Insert a session that the code with that digest opens."""
    connection.execute(
        insert(portal_sessions).values(
            id=session.id,
            workspace_id=session.workspace_id,
            portal_id=session.portal_id,
            external_id=session.external_id,
            digest=digest,
            scopes=list(session.scopes),
            actions=list(session.actions),
            preview=session.preview,
            return_url=session.return_url,
            created_at_ms=session.created_ms,
            expires_at_ms=session.expires_ms,
        )
    )


def open_session(
    connection: Connection, code: bytes, token: bytes, now_ms: int, expires_ms: int
) -> Session | None:
    """Open the session whose code has that digest, which then is known by its token; once, and of an enabled
    portal only."""
    pending = and_(
        portal_sessions.c.digest == code,
        portal_sessions.c.opened_at_ms.is_(None),
        portal_sessions.c.expires_at_ms > now_ms,
        portal_sessions.c.portal_id.in_(select(portals.c.id).where(portals.c.enabled)),
    )
    opened = update(portal_sessions).where(pending)
    values = {"digest": token, "opened_at_ms": now_ms, "expires_at_ms": expires_ms}
    row = connection.execute(opened.values(values).returning(portal_sessions)).one_or_none()
    return None if row is None else _session(row)


def find_opened(connection: Connection, token: bytes, now_ms: int) -> Recognised | None:
    """The opened session of an enabled portal whose access token has that digest, and what it stands on."""
    live_api = and_(apis.c.keyspace_id == portals.c.keyspace_id, apis.c.deleted_at_ms.is_(None))
    question = (
        select(
            portal_sessions,
            apis.c.id.label("api_id"),
            workspaces.c.enabled.label("workspace_enabled"),
            workspaces.c.api_requests_per_minute,
        )
        .join(portals, and_(portals.c.id == portal_sessions.c.portal_id, portals.c.enabled))
        .join(workspaces, workspaces.c.id == portal_sessions.c.workspace_id)
        .outerjoin(apis, live_api)
        .where(portal_sessions.c.digest == token)
        .where(portal_sessions.c.opened_at_ms.is_not(None))
        .where(portal_sessions.c.expires_at_ms > now_ms)
    )
    row = connection.execute(question).one_or_none()
    portal = None if row is None else find(connection, row.workspace_id, row.portal_id)
    if row is None or portal is None:
        return None
    return Recognised(portal, _session(row), row.api_id, row.workspace_enabled, row.api_requests_per_minute)


def page_sessions(
    connection: Connection, portal: Portal, *, search: str, cursor: str, limit: int, now_ms: int
) -> list[UserSessions]:
    """Up to `limit` end users from external id `cursor` on, each with their live sessions."""
    users = (
        select(portal_sessions.c.external_id)
        .where(_live(portal, now_ms))
        .where(portal_sessions.c.external_id >= cursor)
        .distinct()
    )
    if search:
        users = users.where(portal_sessions.c.external_id.icontains(search, autoescape=True))
    users = users.order_by(portal_sessions.c.external_id).limit(limit)
    names = list(connection.execute(users).scalars())
    found: dict[str, list[Session]] = {name: [] for name in names}
    for session in _sessions(connection, _live(portal, now_ms), portal_sessions.c.external_id.in_(names)):
        found[session.external_id].append(session)
    return [UserSessions(name, tuple(sessions)) for name, sessions in found.items()]


def has_room(connection: Connection, portal: Portal, now_ms: int, most: int) -> bool:
    """Whether a portal has fewer than `most` live sessions.

    What is kept is counted first, in the index alone; which of it is live only where that is too much.
    """
    theirs = portal_sessions.c.portal_id == portal.id
    return any(_count(connection, matching, most) < most for matching in (theirs, _live(portal, now_ms)))


def _count(connection: Connection, matching: ColumnElement[bool], most: int) -> int:
    some = select(portal_sessions.c.portal_id).where(matching).limit(most).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def make_room(connection: Connection, portal: Portal, external_id: str, now_ms: int, most: int) -> None:
    """End an end user's oldest sessions, those never opened first, until there are fewer than `most`."""
    theirs = portal_sessions.c.external_id == external_id
    found = list(_sessions(connection, _live(portal, now_ms), theirs))
    opened_first = sorted(found, key=lambda session: session.opened_ms is None)
    surplus = [session.id for session in opened_first[most - 1 :]]
    if surplus:
        connection.execute(delete(portal_sessions).where(portal_sessions.c.id.in_(surplus)))


def end_sessions(connection: Connection, portal: Portal, now_ms: int, external_id: str | None = None) -> int:
    """End the sessions of a portal, or of one of its end users; how many were live."""
    theirs = portal_sessions.c.portal_id == portal.id
    if external_id is not None:
        theirs = and_(theirs, portal_sessions.c.external_id == external_id)
    live = and_(theirs, portal_sessions.c.expires_at_ms > now_ms)
    count = connection.execute(select(func.count()).select_from(portal_sessions).where(live)).scalar_one()
    connection.execute(delete(portal_sessions).where(theirs))
    return count


def sweep(connection: Connection, now_ms: int) -> int:
    """Delete the oldest expired sessions of everybody, some hundreds at a time; how many."""
    expired = (
        select(portal_sessions.c.id)
        .where(portal_sessions.c.expires_at_ms <= now_ms)
        .order_by(portal_sessions.c.expires_at_ms)
        .limit(_SWEPT_AT_ONCE)
    )
    ids = list(connection.execute(expired).scalars())
    if ids:
        connection.execute(delete(portal_sessions).where(portal_sessions.c.id.in_(ids)))
    return len(ids)


def _live(portal: Portal, now_ms: int) -> ColumnElement[bool]:
    return and_(portal_sessions.c.portal_id == portal.id, portal_sessions.c.expires_at_ms > now_ms)


def _sessions(connection: Connection, *conditions: ColumnElement[bool]) -> Sequence[Session]:
    """Newest first."""
    question = select(portal_sessions).where(*conditions).order_by(portal_sessions.c.id.desc())
    return [_session(row) for row in connection.execute(question)]


def _portal(row: Row[Any]) -> Portal:
    return Portal(
        id=row.id,
        workspace_id=row.workspace_id,
        keyspace_id=row.keyspace_id,
        slug=row.slug,
        display_name=row.display_name,
        enabled=row.enabled,
        logo_url=row.logo_url,
        primary_color=row.primary_color,
        created_ms=row.created_at_ms,
        updated_ms=row.updated_at_ms,
    )


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        workspace_id=row.workspace_id,
        portal_id=row.portal_id,
        external_id=row.external_id,
        scopes=tuple(row.scopes),
        actions=tuple(row.actions),
        preview=row.preview,
        return_url=row.return_url,
        created_ms=row.created_at_ms,
        expires_ms=row.expires_at_ms,
        opened_ms=row.opened_at_ms,
    )

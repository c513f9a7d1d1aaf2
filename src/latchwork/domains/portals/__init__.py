"""Portals: where end users look after their own keys, through sessions that a root key mints for them.

A portal serves the keys of one keyspace. A session belongs to one end user of one portal: it begins as a code
in an address, is opened once with it, and is then held by an access token. Whatever it asks for is asked as a
principal that may do no more than the session's scopes on that one API, and sees only that end user's keys.
"""

from latchwork.domains.portals.faults import (
    AppNotFound,
    KeyspaceNotFound,
    PortalAlreadyExists,
    PortalDisabled,
    PortalNotFound,
    PortalSessionNotFound,
)
from latchwork.domains.portals.guard import Guard
from latchwork.domains.portals.jobs import Sweeper
from latchwork.domains.portals.records import (
    SCOPES,
    Invitation,
    NewPortal,
    NewSession,
    OpenedSession,
    Portal,
    PortalChange,
    Scope,
    Session,
    UserSessions,
    Visitor,
)
from latchwork.domains.portals.self_service import SelfService
from latchwork.domains.portals.service import Portals
from latchwork.domains.portals.sessions import Sessions

__all__ = [
    "SCOPES",
    "AppNotFound",
    "Guard",
    "Invitation",
    "KeyspaceNotFound",
    "NewPortal",
    "NewSession",
    "OpenedSession",
    "Portal",
    "PortalAlreadyExists",
    "PortalChange",
    "PortalDisabled",
    "PortalNotFound",
    "PortalSessionNotFound",
    "Portals",
    "Scope",
    "SelfService",
    "Session",
    "Sessions",
    "Sweeper",
    "UserSessions",
    "Visitor",
]

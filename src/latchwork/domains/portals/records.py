"""What portals and their sessions are, and what may be asked of them."""

from dataclasses import dataclass
from typing import Literal, get_args

from msgspec import UNSET, UnsetType

from latchwork.kernel.principal import Principal

Scope = Literal["keys:read", "keys:create", "keys:reroll", "analytics:read"]
"""What an end user may do, always with their own keys only."""

SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Portal:
    """A portal to the keys of one keyspace. `slug` is unique in its workspace; the rest is for people's eyes."""

    id: str
    workspace_id: str
    keyspace_id: str
    slug: str
    display_name: str
    enabled: bool
    logo_url: str | None
    primary_color: str | None
    created_ms: int
    updated_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NewPortal:
    """What is asked of a new portal. An `app_id` names something that this server does not have."""

    slug: str
    display_name: str
    keyspace_id: str | None = None
    app_id: str | None = None
    enabled: bool = True
    logo_url: str | None = None
    primary_color: str | None = None


@dataclass(frozen=True, slots=True)
class PortalChange:
    """What to change of a portal: unset stays, `None` clears."""

    slug: str | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    keyspace_id: str | UnsetType = UNSET
    app_id: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    logo_url: str | UnsetType | None = UNSET
    primary_color: str | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True)
class NewSession:
    """What is asked of a new session: for which end user of which portal (its id or slug), to do what."""

    portal: str
    external_id: str
    scopes: tuple[Scope, ...]
    preview: bool = False
    return_url: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One end user's session. `actions` are what its scopes imply on the portal's API.

    Until it is opened it is known by its code, and `expires_ms` is when the code does; from then on by its
    access token. `preview` marks a session that somebody tries the portal with.
    """

    id: str
    workspace_id: str
    portal_id: str
    external_id: str
    scopes: tuple[str, ...]
    actions: tuple[str, ...]
    preview: bool
    return_url: str | None
    created_ms: int
    expires_ms: int
    opened_ms: int | None = None

    @property
    def status(self) -> Literal["pending", "active"]:
        """Whether it was opened."""
        return "pending" if self.opened_ms is None else "active"


@dataclass(frozen=True, slots=True)
class UserSessions:
    """The live sessions of one end user, newest first."""

    external_id: str
    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class Invitation:
    """A new session and the address that opens it, which holds the code: known only here and to whoever is told."""

    session: Session
    url: str

    def __repr__(self) -> str:
        return f"Invitation(session={self.session.id!r}, url='…')"


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session that was opened, and its access token, known only here and to whoever is told."""

    session: Session
    token: str

    def __repr__(self) -> str:
        return f"OpenedSession(session={self.session.id!r}, token='…')"


@dataclass(frozen=True, slots=True)
class Recognised:
    """An opened session and what it stands on: its portal, the live API of that, the workspace's state."""

    portal: Portal
    session: Session
    api_id: str | None
    workspace_enabled: bool
    requests_per_minute: int | None


@dataclass(frozen=True, slots=True)
class Visitor:
    """An end user for one request: their session and portal, and what they may do, as a principal.

    `api_id` is the API whose keys the portal serves; `None` once it was deleted.
    """

    portal: Portal
    session: Session
    api_id: str | None
    who: Principal

"""The family `portal`: portals for end users, and the sessions that let them in."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.portals import (
    AppNotFound,
    KeyspaceNotFound,
    NewPortal,
    NewSession,
    Portal,
    PortalAlreadyExists,
    PortalChange,
    PortalDisabled,
    PortalNotFound,
    Scope,
    Session,
    UserSessions,
)
from latchwork.kernel.faults import PreconditionFailed
from latchwork.surfaces.rpc.bodies import Body, Data, Empty, or_none
from latchwork.surfaces.rpc.procedures import Family, Page
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import Cursor, Limit, paged

family: Family[Services] = Family(
    "portal",
    "Portals, where your end users look after their own keys. Your server mints a session for one of them "
    "and sends them to its address; the portal's pages exchange the code in it for an access token.",
)

PortalName = Annotated[str, Meta(min_length=1, max_length=255, description="The portal's id or slug.")]
Slug = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=64,
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$",
        description="The portal's own name in addresses; unique in the workspace.",
    ),
]
DisplayName = Annotated[str, Meta(min_length=1, max_length=255, description="What your end users see.")]
KeyspaceId = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=255,
        pattern=r"^[a-zA-Z0-9_]+$",
        description="The keyspace whose keys the portal serves; see apis.getApi.",
    ),
]
AppId = Annotated[
    str, Meta(min_length=1, max_length=255, description="Apps belong to another product: never found here.")
]
LogoUrl = Annotated[str, Meta(min_length=1, max_length=500, description="An absolute https address.")]
Color = Annotated[str, Meta(pattern=r"^#[0-9a-fA-F]{6}$", max_length=7, description="Such as `#0f766e`.")]
UserId = Annotated[
    str, Meta(min_length=1, max_length=256, description="The id by which you know the end user.")
]


class CreatePortal(Body):
    """A new portal: one of `keyspaceId` and `appId` says what it serves."""

    slug: Slug
    display_name: DisplayName
    keyspace_id: KeyspaceId | UnsetType = UNSET
    app_id: AppId | UnsetType = UNSET
    enabled: Annotated[bool, Meta(description="Whether sessions can be minted at once.")] = True
    logo_url: LogoUrl | UnsetType = UNSET
    primary_color: Color | UnsetType = UNSET

    def record(self) -> NewPortal:
        """The record."""
        return NewPortal(
            slug=self.slug,
            display_name=self.display_name,
            keyspace_id=or_none(self.keyspace_id),
            app_id=or_none(self.app_id),
            enabled=self.enabled,
            logo_url=or_none(self.logo_url),
            primary_color=or_none(self.primary_color),
        )


class CreatedPortal(Data):
    """The id of the new portal."""

    portal_id: str


@family.procedure(
    "createPortal",
    answers=CreatedPortal,
    summary="Create a portal",
    permission="portal.*.create_portal",
    faults=[AppNotFound, KeyspaceNotFound, PortalAlreadyExists],
    example={"slug": "acme-keys", "displayName": "Acme keys", "keyspaceId": "ks_1234567890"},
)
async def create_portal(call: Request, body: CreatePortal) -> CreatedPortal:
    """Creates a portal to the keys of one keyspace, which no other portal may serve."""
    portal = await call.platform.portals.create(call.who, body.record())
    return CreatedPortal(portal_id=portal.id)


class GetPortal(Body):
    """Which portal: exactly one of these."""

    portal: PortalName | UnsetType = UNSET
    keyspace_id: KeyspaceId | UnsetType = UNSET
    app_id: AppId | UnsetType = UNSET


class BrandingData(Data):
    """How the portal looks."""

    logo_url: str | UnsetType = UNSET
    primary_color: str | UnsetType = UNSET


class PortalData(Data):
    """A portal."""

    id: str
    slug: str
    display_name: str
    enabled: bool
    created_at: int
    keyspace_id: str
    branding: BrandingData | UnsetType = UNSET
    updated_at: int | UnsetType = UNSET

    @classmethod
    def of(cls, portal: Portal) -> "PortalData":
        """The wire form; what is empty is absent."""
        branding: BrandingData | UnsetType = UNSET
        if portal.logo_url or portal.primary_color:
            branding = BrandingData(
                logo_url=portal.logo_url or UNSET, primary_color=portal.primary_color or UNSET
            )
        return cls(
            id=portal.id,
            slug=portal.slug,
            display_name=portal.display_name,
            enabled=portal.enabled,
            created_at=portal.created_ms,
            keyspace_id=portal.keyspace_id,
            branding=branding,
            updated_at=portal.updated_ms or UNSET,
        )


@family.procedure(
    "getPortal",
    answers=PortalData,
    summary="Get a portal",
    permission="portal.*.read_portal or portal.<portalId>.read_portal",
    faults=[AppNotFound, PortalNotFound],
    example={"portal": "acme-keys"},
)
async def get_portal(call: Request, body: GetPortal) -> PortalData:
    """Answers a portal by its id, its slug or what it serves. A portal that you may not read is not found."""
    portal = await call.platform.portals.get(
        call.who,
        name=or_none(body.portal),
        keyspace_id=or_none(body.keyspace_id),
        app_id=or_none(body.app_id),
    )
    return PortalData.of(portal)


class UpdatePortal(Body):
    """What to change: absent stays, null clears."""

    portal: PortalName
    slug: Slug | UnsetType = UNSET
    display_name: DisplayName | UnsetType = UNSET
    keyspace_id: KeyspaceId | UnsetType = UNSET
    app_id: AppId | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    logo_url: LogoUrl | UnsetType | None = UNSET
    primary_color: Color | UnsetType | None = UNSET

    def record(self) -> PortalChange:
        """The record."""
        return PortalChange(
            slug=self.slug,
            display_name=self.display_name,
            keyspace_id=self.keyspace_id,
            app_id=self.app_id,
            enabled=self.enabled,
            logo_url=self.logo_url,
            primary_color=self.primary_color,
        )


@family.procedure(
    "updatePortal",
    answers=PortalData,
    summary="Change a portal",
    permission="portal.*.update_portal or portal.<portalId>.update_portal",
    faults=[AppNotFound, KeyspaceNotFound, PortalNotFound, PortalAlreadyExists],
    example={"portal": "acme-keys", "displayName": "Acme API keys", "logoUrl": None},
)
async def update_portal(call: Request, body: UpdatePortal) -> PortalData:
    """Changes what is given and answers the portal.

    To disable a portal, or to let it serve another keyspace, ends its sessions at once; enabling it again
    does not bring them back.
    """
    return PortalData.of(await call.platform.portals.update(call.who, body.portal, body.record()))


class DeletePortal(Body):
    """Which portal."""

    portal: PortalName


@family.procedure(
    "deletePortal",
    answers=Empty,
    summary="Delete a portal",
    permission="portal.*.delete_portal or portal.<portalId>.delete_portal",
    faults=[PortalNotFound],
    example={"portal": "acme-keys"},
)
async def delete_portal(call: Request, body: DeletePortal) -> Empty:
    """Deletes a portal and ends its sessions at once. The keys it served stay as they are."""
    await call.platform.portals.delete(call.who, body.portal)
    return Empty()


class CreateSession(Body):
    """Who is to be let in, and what they may do with their own keys."""

    portal: PortalName
    external_id: UserId
    scopes: Annotated[
        list[Scope],
        Meta(min_length=1, max_length=20, description="The calling root key must hold what they imply."),
    ]
    preview: Annotated[bool, Meta(description="Marks a session that tries the portal.")] = False
    return_url: (
        Annotated[str, Meta(min_length=1, max_length=500, description="Where the portal's way back leads.")]
        | UnsetType
    ) = UNSET

    def record(self) -> NewSession:
        """The record."""
        return NewSession(
            portal=self.portal,
            external_id=self.external_id,
            scopes=tuple(self.scopes),
            preview=self.preview,
            return_url=or_none(self.return_url),
        )


class CreatedSession(Data):
    """The session's id, which is no secret, and the address to send the end user to, which is."""

    id: str
    url: str


@family.procedure(
    "createSession",
    answers=CreatedSession,
    summary="Create a portal session",
    permission="portal.*.create_portal_session or portal.<portalId>.create_portal_session, and on the "
    "portal's API read_key and read_api (keys:read), create_key (keys:create, keys:reroll; with encrypt_key "
    "where keys are recoverable), read_analytics (analytics:read)",
    faults=[PortalNotFound, PortalDisabled, KeyspaceNotFound, PreconditionFailed],
    example={"portal": "acme-keys", "externalId": "user_42", "scopes": ["keys:read", "keys:reroll"]},
)
async def create_session(call: Request, body: CreateSession) -> CreatedSession:
    """Mints a session for one end user. The code in its address works once, for 15 minutes.

    A portal that you may not mint sessions for is not found. An end user has at most 20 sessions on a portal:
    beyond that the oldest end, those never opened first.
    """
    invitation = await call.platform.portal_sessions.create(call.who, body.record())
    call.answer_headers.append((b"pragma", b"no-cache"))
    return CreatedSession(id=invitation.session.id, url=invitation.url)


class ListSessions(Body):
    """Which portal, and which page of its end users."""

    portal: PortalName
    limit: Limit = 100
    cursor: Cursor = ""
    search: Annotated[str, Meta(max_length=256, description="A part of the external id, in any case.")] = ""


class SessionData(Data):
    """A session that can be revoked. While it is pending, it expires with its code."""

    id: str
    status: Literal["pending", "active"]
    created_at: int
    expires_at: int
    scopes: list[str]
    preview: bool = False

    @classmethod
    def of(cls, session: Session) -> "SessionData":
        """The wire form."""
        return cls(
            id=session.id,
            status=session.status,
            created_at=session.created_ms,
            expires_at=session.expires_ms,
            scopes=list(session.scopes),
            preview=session.preview,
        )


class UserSessionsData(Data):
    """An end user and their sessions, newest first."""

    external_id: str
    sessions: list[SessionData]

    @classmethod
    def of(cls, user: UserSessions) -> "UserSessionsData":
        """The wire form."""
        return cls(external_id=user.external_id, sessions=[SessionData.of(each) for each in user.sessions])


@family.procedure(
    "listSessions",
    answers=Page[UserSessionsData],
    summary="List portal sessions",
    permission="portal.*.create_portal_session or portal.<portalId>.create_portal_session; "
    "or with read_portal_session",
    faults=[PortalNotFound],
    example={"portal": "acme-keys", "search": "user_"},
)
async def list_sessions(call: Request, body: ListSessions) -> Page[UserSessionsData]:
    """Answers the end users who have live sessions, opened or not, in the order of their external ids."""
    found = await call.platform.portal_sessions.page(
        call.who, body.portal, search=body.search, cursor=body.cursor, limit=body.limit + 1
    )
    return paged(
        [UserSessionsData.of(user) for user in found], body.limit, [user.external_id for user in found]
    )


class RevokeSession(Body):
    """Whose sessions to end."""

    portal: PortalName
    external_id: UserId


class RevokedSessions(Data):
    """How many live sessions were ended."""

    sessions_revoked: int


@family.procedure(
    "revokeSession",
    answers=RevokedSessions,
    summary="Revoke portal sessions",
    permission="portal.*.create_portal_session or portal.<portalId>.create_portal_session",
    faults=[PortalNotFound],
    example={"portal": "acme-keys", "externalId": "user_42"},
)
async def revoke_session(call: Request, body: RevokeSession) -> RevokedSessions:
    """Ends every session of an end user at once, also those not opened yet. It may be repeated."""
    count = await call.platform.portal_sessions.revoke(call.who, body.portal, body.external_id)
    return RevokedSessions(sessions_revoked=count)

"""The verbs of portal sessions: mint, open, recognise, list, revoke."""

from dataclasses import dataclass

from latchwork.domains import audit
from latchwork.domains.keys import store as keys_store
from latchwork.domains.portals import rules, store
from latchwork.domains.portals.faults import KeyspaceNotFound, PortalDisabled, PortalSessionNotFound
from latchwork.domains.portals.guard import Guard
from latchwork.domains.portals.records import (
    Invitation,
    NewSession,
    OpenedSession,
    Portal,
    Recognised,
    Session,
    UserSessions,
    Visitor,
)
from latchwork.domains.portals.service import visible
from latchwork.domains.workspaces import WorkspaceDisabled
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.faults import PreconditionFailed
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted

SUBJECT = "portalSession"
"""The type of the actor of what an end user does, in the audit log."""

MOST_OF_A_USER = 20
MOST_OF_A_PORTAL = 100_000


@dataclass(frozen=True, slots=True)
class Sessions:
    """Mints and ends sessions, and lets end users in.

    Nothing of a session is kept in memory: what is revoked or expired, or belongs to a disabled portal, is
    refused by the very next call. `base_url` is where the portal's pages are.
    """

    db: Database
    clock: Clock
    guard: Guard
    base_url: str
    most_of_a_user: int = MOST_OF_A_USER
    most_of_a_portal: int = MOST_OF_A_PORTAL

    @uninterrupted
    async def create(self, who: Principal, wanted: NewSession) -> Invitation:
        """A new session of an end user, who may do no more than `who` may on the portal's API.

        Of an end user with more sessions than are kept, the oldest end, those never opened first. Raises
        `BadRequest`, `PortalNotFound` (also for want of permission), `PortalDisabled`, `KeyspaceNotFound`,
        `InsufficientPermissions`, and `PreconditionFailed` for a portal with too many sessions.
        """
        rules.check_return_url(wanted.return_url)
        now_ms, code = self.clock.now_ms(), rules.new_code()

        def unit(connection: Connection) -> Session:
            portal = visible(
                who, store.find(connection, who.workspace_id, wanted.portal), "create_portal_session"
            )
            session = _session(portal, wanted, _actions(connection, who, portal, wanted), now_ms)
            store.sweep(connection, now_ms)
            store.make_room(connection, portal, session.external_id, now_ms, self.most_of_a_user)
            self._must_have_room(connection, portal, now_ms)
            store.add_session(connection, session, rules.digest_of(code.encode()))
            _record(connection, who, now_ms, "create", portal, session)
            return session

        return Invitation(await self.db.write(unit, who.workspace_id), f"{self.base_url}/?code={code}")

    def _must_have_room(self, connection: Connection, portal: Portal, now_ms: int) -> None:
        most = self.most_of_a_portal
        if not store.has_room(connection, portal, now_ms, most):
            raise PreconditionFailed(
                f"This portal has {most} live sessions, the most there may be. Revoke some, or wait for them to expire."
            )

    @uninterrupted
    async def exchange(self, code: str, *, remote_ip: str, user_agent: str, request_id: str) -> OpenedSession:
        """Open the session that has this code; once, however many come with it at the same time.

        Raises `PortalSessionNotFound`, and `TooManyRequests` for an address that tries codes that nobody has.
        """
        await self.guard.must_not_guess(remote_ip)
        now_ms, token = self.clock.now_ms(), rules.new_token()
        digests = rules.digest_of(code.encode()), rules.digest_of(token.encode())

        def unit(connection: Connection) -> Session | None:
            session = store.open_session(connection, *digests, now_ms, now_ms + rules.TOKEN_MS)
            portal = (
                None if session is None else store.find(connection, session.workspace_id, session.portal_id)
            )
            if session is None or portal is None:
                return None
            who = _principal(session, None, None, remote_ip, user_agent, request_id)
            _record(connection, who, now_ms, "open", portal, session)
            return session

        session = await self.db.write(unit, ALL_WORKSPACES)
        if session is None:
            await self.guard.guessed(remote_ip)
            raise PortalSessionNotFound
        return OpenedSession(session, token)

    async def enter(self, token: bytes, *, remote_ip: str, user_agent: str, request_id: str) -> Visitor:
        """Who holds this access token; raises `PortalSessionNotFound`, `WorkspaceDisabled`, `TooManyRequests`."""
        now_ms, digest = self.clock.now_ms(), rules.digest_of(token)
        found = await self.db.read(
            lambda connection: store.find_opened(connection, digest, now_ms), ALL_WORKSPACES
        )
        if found is None:
            raise PortalSessionNotFound
        if not found.workspace_enabled:
            raise WorkspaceDisabled
        await self.guard.charge(found.session)
        return _visitor(found, remote_ip, user_agent, request_id)

    async def page(
        self, who: Principal, name: str, *, search: str, cursor: str, limit: int
    ) -> list[UserSessions]:
        """Up to `limit` end users of a portal from external id `cursor` on, with their live sessions.

        `search` is a part of the external id, in any case. Raises `PortalNotFound`.
        """
        now_ms = self.clock.now_ms()

        def question(connection: Connection) -> list[UserSessions]:
            found = store.find(connection, who.workspace_id, name)
            portal = visible(who, found, "create_portal_session", "read_portal_session")
            return store.page_sessions(
                connection, portal, search=search.strip(), cursor=cursor, limit=limit, now_ms=now_ms
            )

        return await self.db.read(question, who.workspace_id)

    @uninterrupted
    async def revoke(self, who: Principal, name: str, external_id: str) -> int:
        """End every session of an end user, also those not opened yet; how many were live.

        Raises `PortalNotFound`.
        """
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> int:
            portal = visible(who, store.find(connection, who.workspace_id, name), "create_portal_session")
            count = store.end_sessions(connection, portal, now_ms, external_id)
            if count:
                _record_revocation(connection, who, now_ms, portal, external_id, count)
            return count

        return await self.db.write(unit, who.workspace_id)

    async def sweep(self) -> int:
        """Delete sessions that have expired, some hundreds at a time; how many."""
        now_ms = self.clock.now_ms()
        return await self.db.write(lambda connection: store.sweep(connection, now_ms), ALL_WORKSPACES)


def _actions(connection: Connection, who: Principal, portal: Portal, wanted: NewSession) -> tuple[str, ...]:
    """What the session's scopes imply; the caller must hold all of it."""
    if not portal.enabled:
        raise PortalDisabled
    api = keys_store.find_api_of(connection, portal.workspace_id, portal.keyspace_id)
    if api is None:
        raise KeyspaceNotFound
    actions = rules.implied(wanted.scopes, encrypted=api.store_encrypted_keys)
    for action in actions:
        who.must("api", api.id, action)
    return actions


def _session(portal: Portal, wanted: NewSession, actions: tuple[str, ...], now_ms: int) -> Session:
    return Session(
        id=new_id("ps"),
        workspace_id=portal.workspace_id,
        portal_id=portal.id,
        external_id=wanted.external_id,
        scopes=tuple(dict.fromkeys(wanted.scopes)),
        actions=actions,
        preview=wanted.preview,
        return_url=wanted.return_url,
        created_ms=now_ms,
        expires_ms=now_ms + rules.CODE_MS,
    )


def _visitor(found: Recognised, remote_ip: str, user_agent: str, request_id: str) -> Visitor:
    quota = found.requests_per_minute
    who = _principal(found.session, found.api_id, quota, remote_ip, user_agent, request_id)
    return Visitor(found.portal, found.session, found.api_id, who)


def _principal(
    session: Session,
    api_id: str | None,
    quota: int | None,
    remote_ip: str,
    user_agent: str,
    request_id: str,
) -> Principal:
    """The end user as the verbs of keys know them: they may do what the session may, on that API alone."""
    actions = session.actions if api_id is not None else ()
    return Principal(
        workspace_id=session.workspace_id,
        subject_id=session.id,
        subject_name=session.external_id,
        permissions=frozenset(f"api.{api_id}.{action}" for action in actions),
        remote_ip=remote_ip,
        user_agent=user_agent,
        request_id=request_id,
        subject_type=SUBJECT,
        expires_ms=session.expires_ms,
        requests_per_minute=quota,
    )


def _record(
    connection: Connection, who: Principal, now_ms: int, verb: str, portal: Portal, session: Session
) -> None:
    about = {"externalId": session.external_id, "scopes": list(session.scopes), "preview": session.preview}
    resources = (
        audit.Resource("portal", portal.id, portal.display_name),
        audit.Resource(SUBJECT, session.id, session.external_id, about),
    )
    done = {"create": "created", "open": "opened"}[verb]
    display = f"{done.capitalize()} a session of {session.external_id} on portal {portal.slug}"
    audit.record(connection, who, now_ms, audit.Entry(f"portalSession.{verb}", display, resources))
    event = Event.now(who.workspace_id, f"portal_session.{done}", now_ms, session_id=session.id)
    tell(connection, event)


def _record_revocation(
    connection: Connection, who: Principal, now_ms: int, portal: Portal, external_id: str, count: int
) -> None:
    about = {"externalId": external_id, "sessionsRevoked": count}
    resources = (audit.Resource("portal", portal.id, portal.display_name, about),)
    display = f"Revoked the {count} sessions of {external_id} on portal {portal.slug}"
    audit.record(connection, who, now_ms, audit.Entry("portalSession.revoke", display, resources))
    tell(connection, Event.now(who.workspace_id, "portal_session.revoked", now_ms, portal_id=portal.id))

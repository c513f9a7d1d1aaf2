"""What callers may be told about portals and their sessions."""

from latchwork.kernel.faults import Conflict, Forbidden, NotFound, Unauthorized


class PortalNotFound(NotFound):
    """No portal has that id or slug in this workspace, or none that the caller may know of."""

    code = "unkey/data/portal_not_found"
    default_detail = "The requested portal does not exist."


class PortalAlreadyExists(Conflict):
    """Another portal has that slug, or serves that keyspace."""

    code = "unkey/data/portal_already_exists"

    @classmethod
    def called(cls, slug: str) -> "PortalAlreadyExists":
        """The slug is taken."""
        return cls(f"A portal with slug '{slug}' already exists in this workspace.")

    @classmethod
    def serving(cls, keyspace_id: str) -> "PortalAlreadyExists":
        """The keyspace is served already."""
        return cls(f"Another portal already serves the keyspace {keyspace_id}.")


class PortalDisabled(Forbidden):
    """The portal is switched off; nobody is let in."""

    default_detail = "This portal is disabled."
    remedy = "Enable it with `portal.updatePortal`."


class PortalSessionNotFound(Unauthorized):
    """No live session has that code or access token: it never had, was used, was revoked, or has expired."""

    code = "unkey/authentication/portal_session_not_found"
    default_detail = "The portal session does not exist, has ended, or has expired."
    remedy = "Let your server mint a new session with `portal.createSession`, and send the end user to its address."


class KeyspaceNotFound(NotFound):
    """No live API of this workspace has that keyspace."""

    code = "unkey/data/key_space_not_found"
    default_detail = "The requested keyspace does not exist or has been deleted."


class AppNotFound(NotFound):
    """Apps belong to another product; there are none here."""

    code = "unkey/data/app_not_found"
    default_detail = "The requested app does not exist. A portal of this server serves a keyspace."
    remedy = "Give `keyspaceId` instead of `appId`."

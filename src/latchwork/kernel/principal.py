"""Who is calling, and what they may do."""

from dataclasses import dataclass, field

from latchwork.kernel.faults import InsufficientPermissions
from latchwork.kernel.urns import EVERYTHING

__all__ = ["EVERYTHING", "Principal", "lacking"]


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of one request: a root key of one workspace.

    `subject_id` and `subject_name` name the key for the audit log. `permissions` are tuples such as
    `api.*.create_key`, those that its URNs mean among them (see `urns.expanded`); `*` alone grants everything
    in the workspace. `requests_per_minute` is the workspace's quota of calls, `operations_per_month` that of
    verifications and limits; `None` where it has none. `trail` names the events that were recorded of the request.
    """

    workspace_id: str
    subject_id: str
    subject_name: str | None
    permissions: frozenset[str]
    remote_ip: str
    user_agent: str
    request_id: str
    subject_type: str = "key"
    expires_ms: int | None = None
    requests_per_minute: int | None = None
    operations_per_month: int | None = None
    trail: list[str] = field(default_factory=list, compare=False, repr=False)

    def may(self, resource: str, resource_id: str, action: str, part: str | None = None) -> bool:
        """Whether `resource.resource_id.action` is granted, by its id, by the wildcard form or by `*`.

        `part` is the id of the one thing within the resource that is concerned, such as a key of an API:
        a URN may grant the action for it alone.
        """
        held = self.permissions
        return (
            EVERYTHING in held
            or f"{resource}.*.{action}" in held
            or (resource_id != "*" and f"{resource}.{resource_id}.{action}" in held)
            or (
                part is not None
                and (
                    f"{resource}.*/{part}.{action}" in held
                    or f"{resource}.{resource_id}/{part}.{action}" in held
                )
            )
        )

    def must(self, resource: str, resource_id: str, action: str, part: str | None = None) -> None:
        """Raise `InsufficientPermissions`, naming what would do, unless `may` says yes."""
        if not self.may(resource, resource_id, action, part):
            raise InsufficientPermissions(lacking(resource, resource_id, action))

    def among(self, resource: str, action: str) -> frozenset[str] | None:
        """The ids of the resource of which the action is granted, `None` where it is for all of them.

        Raises `InsufficientPermissions` where it is granted for none.
        """
        if self.may(resource, "*", action):
            return None
        head, tail = f"{resource}.", f".{action}"
        ids = (held[len(head) : -len(tail)] for held in self.permissions if held.startswith(head))
        found = frozenset(id_ for id_ in ids if f"{head}{id_}{tail}" in self.permissions and "/" not in id_)
        if not found:
            raise InsufficientPermissions(lacking(resource, f"<{resource}Id>", action))
        return found


def lacking(resource: str, resource_id: str, action: str) -> str:
    """The public sentence of a denial: what is missing, never what the caller holds."""
    wildcard = f"{resource}.*.{action}"
    if resource_id == "*":
        return f"Missing permission: '{wildcard}'"
    return f"Missing one of these permissions: {wildcard} or {resource}.{resource_id}.{action}"

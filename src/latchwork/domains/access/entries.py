"""What the audit log says of changes of access."""

from dataclasses import replace
from typing import Any

from latchwork.domains.audit import Entry, Resource, difference
from latchwork.domains.keys import Key
from latchwork.domains.permissions import Permission, Role

_DONE = {"create": "Created", "update": "Updated", "delete": "Deleted"}


def of_permission(verb: str, permission: Permission, before: Permission | None = None) -> Entry:
    """A permission was created, updated or deleted; `before` is what it was before an update."""
    resource = replace(_permission(permission), meta=_told(before, permission))
    return Entry(f"permission.{verb}", f"{_DONE[verb]} permission {permission.slug}", (resource,))


def of_role(verb: str, role: Role, before: Role | None = None) -> Entry:
    """A role was created, updated or deleted; `before` is what it was before an update."""
    resource = replace(_role(role), meta=_told(before, role))
    return Entry(f"role.{verb}", f"{_DONE[verb]} role {role.name}", (resource,))


def _told(before: Permission | Role | None, after: Permission | Role) -> dict[str, Any]:
    return {} if before is None else difference(_facts(before), _facts(after))


def _facts(thing: Permission | Role) -> dict[str, Any]:
    slug = {"slug": thing.slug} if isinstance(thing, Permission) else {}
    return {"name": thing.name, "description": thing.description} | slug


def role_given(role: Role, permission: Permission) -> Entry:
    """A role has a permission from now on."""
    display = f"Gave permission {permission.slug} to role {role.name}"
    things = (_role(role), _permission(permission))
    return Entry("authorization.connect_role_and_permission", display, things)


def role_deprived(role: Role, permission: Permission) -> Entry:
    """A role has a permission no longer."""
    display = f"Took permission {permission.slug} from role {role.name}"
    things = (_role(role), _permission(permission))
    return Entry("authorization.disconnect_role_and_permissions", display, things)


def key_given(key: Key, thing: Permission | Role) -> Entry:
    """A key has a permission or role from now on."""
    kind, name, resource = _named(thing)
    display = f"Gave {kind} {name} to key {key.id}"
    return Entry(f"authorization.connect_{kind}_and_key", display, (_key(key), resource))


def key_deprived(key: Key, thing: Permission | Role) -> Entry:
    """A key has a permission or role no longer."""
    kind, name, resource = _named(thing)
    display = f"Took {kind} {name} from key {key.id}"
    return Entry(f"authorization.disconnect_{kind}_and_key", display, (_key(key), resource))


def _named(thing: Permission | Role) -> tuple[str, str, Resource]:
    if isinstance(thing, Role):
        return "role", thing.name, _role(thing)
    return "permission", thing.slug, _permission(thing)


def _permission(permission: Permission) -> Resource:
    return Resource("permission", permission.id, permission.slug)


def _role(role: Role) -> Resource:
    return Resource("role", role.id, role.name)


def _key(key: Key) -> Resource:
    return Resource("key", key.id, key.name)

"""Who may change access, and what must be forgotten when it changes."""

from collections.abc import Sequence

from latchwork.domains.permissions import Permission, Role
from latchwork.kernel.invalidations import Tag
from latchwork.kernel.principal import Principal

MOST_PERMISSIONS = 10_000  # of one key, besides those of its roles
MOST_ROLES = 1_000  # of one key
MOST_NAMED = 10_000  # keys that are forgotten one by one; with more of them, all of their workspace are


def must(who: Principal, *actions: str) -> None:
    """Raise `InsufficientPermissions` unless the caller may do all of these to permissions and roles."""
    for action in actions:
        who.must("rbac", "*", action)


def must_on(who: Principal, thing: Permission | Role | None, *actions: str) -> None:
    """Raise as `must` does, unless the caller may do all of these to `thing` alone, by a URN.

    Whoever may not is told so whether there is such a thing or not.
    """
    for action in actions:
        if thing is None or not who.may("rbac", thing.id, action):
            must(who, action)


def tags(workspace_id: str, digests: Sequence[bytes]) -> tuple[Tag, ...]:
    """What caches must forget; more digests than `MOST_NAMED` stand for keys that are not among them."""
    if len(digests) > MOST_NAMED:
        return (("workspace", workspace_id),)
    return tuple(("key", digest) for digest in digests)

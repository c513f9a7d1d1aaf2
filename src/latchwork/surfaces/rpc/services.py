"""What the procedures of this surface stand on: one container, made by `compose`."""

from dataclasses import dataclass

from latchwork.domains.access import KeyAccess, Permissions, Roles
from latchwork.domains.analytics import Analytics
from latchwork.domains.audit import AuditLog
from latchwork.domains.identities import Allowances, Identities
from latchwork.domains.key_lists import KeyLists
from latchwork.domains.keys import Apis, Keys, KeyUsage, Reservations
from latchwork.domains.migrations import Migrations
from latchwork.domains.portals import Portals, SelfService, Sessions
from latchwork.domains.ratelimits import Administration, Limiter, Overrides
from latchwork.domains.root_keys import RootKeys
from latchwork.domains.verification import Callers, Explainer, Operations, Verifier
from latchwork.domains.workspaces import WorkspaceLimits
from latchwork.kernel.clock import Clock
from latchwork.surfaces.http.bulkhead import Ceiling
from latchwork.surfaces.rpc.procedures import Call


@dataclass(frozen=True, slots=True)
class Services:
    """The domains' verbs. `error_pages` is where the pages of errors are, `decisions` counts those that wait.

    With `test_clock`, `X-Test-Time` says when rate limits are decided.
    """

    apis: Apis
    keys: Keys
    key_lists: KeyLists
    key_usage: KeyUsage
    root_keys: RootKeys
    reservations: Reservations
    identities: Identities
    allowances: Allowances
    migrations: Migrations
    permissions: Permissions
    roles: Roles
    key_access: KeyAccess
    limiter: Limiter
    overrides: Overrides
    namespaces: Administration
    audit_log: AuditLog
    workspace_limits: WorkspaceLimits
    operations: Operations
    callers: Callers
    verifier: Verifier
    explainer: Explainer
    analytics: Analytics
    portals: Portals
    portal_sessions: Sessions
    self_service: SelfService
    clock: Clock
    error_pages: str
    decisions: Ceiling
    test_clock: bool = False


Request = Call[Services]
"""One authenticated request of this surface."""

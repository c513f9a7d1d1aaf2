"""The platform as applications: which surface serves which paths."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from starlette.types import ASGIApp, Scope

from latchwork.compose.cluster import cluster_parts
from latchwork.compose.errors import error_kinds
from latchwork.compose.observing import analytics_part
from latchwork.compose.platform import Platform
from latchwork.compose.seals import seals_part
from latchwork.domains.verification import (
    CallerDisabled,
    CallerExpired,
    CallerRefused,
    CallerSnapshot,
    Gatekeeper,
    principal_of,
)
from latchwork.domains.workspaces import WorkspaceDisabled, WorkspaceNotFound
from latchwork.kernel.faults import Fault
from latchwork.kernel.principal import EVERYTHING, Principal
from latchwork.kernel.sql import ALL_WORKSPACES
from latchwork.surfaces import forward_auth
from latchwork.surfaces.agent_service.health import HealthApplication, Parts
from latchwork.surfaces.http.bulkhead import Bulkhead
from latchwork.surfaces.http.client_ip import Networks
from latchwork.surfaces.http.docs import DocsGate
from latchwork.surfaces.http.hot import Binder, HotHandler
from latchwork.surfaces.http.requests import Headers, RequestFacts
from latchwork.surfaces.reference import Reference, ReferenceDocument
from latchwork.surfaces.rpc import (
    analytics,
    apis,
    audit_logs,
    credits,
    identity_credits,
    key_usage,
    liveness,
    namespaces,
    offers,
    permissions,
    portal_sessions,
    root_keys,
    workspace,
)
from latchwork.surfaces.rpc.admission import Allowance, RefusedCaller, bearer_token
from latchwork.surfaces.rpc.application import UNHOT_HEADERS, RpcApplication
from latchwork.surfaces.rpc.services import Services

FAMILIES = (
    liveness.liveness,
    apis.family,
    offers.family,  # the family `migrations`, complete
    key_usage.family,  # the family `keys`, complete
    permissions.family,
    credits.family,
    identity_credits.family,  # the family `identities`, complete
    namespaces.family,  # the family `ratelimit`, complete
    analytics.family,
    root_keys.family,
    workspace.family,
    audit_logs.family,
    portal_sessions.family,  # the family `portal`, complete
)

ADMISSION_FAULTS = (CallerDisabled, CallerExpired, WorkspaceDisabled, WorkspaceNotFound)
"""What may be wrong with a root key that exists."""


@dataclass(frozen=True, slots=True)
class Surfaces:
    """Applications by path prefix, the one for all other paths, and what the doors answer themselves."""

    mounts: Mapping[str, ASGIApp]
    fallback: ASGIApp
    hot: Mapping[str, HotHandler]
    bound: Mapping[str, Binder]
    trusted: Networks
    unhot_headers: tuple[bytes, ...]


def surfaces_of(platform: Platform) -> Surfaces:
    """Every surface of an opened platform."""
    settings = platform.settings
    trusted = tuple(ip_network(network, strict=False) for network in settings.trusted_proxies)
    admission = Admission(platform.services)
    gate = DocsGate(settings.docs, admission.is_admin)  # type: ignore[arg-type]
    rpc = RpcApplication(
        FAMILIES,
        platform.services,
        authenticate=admission.authenticate,
        recognise=admission.recognise,
        meter=admission.meter,
        account=platform.attempts.note,
        clock=platform.clock,
        trusted_proxies=trusted,
        decisions=platform.services.decisions,
        administration=Bulkhead(
            settings.server.administration_in_flight, settings.server.administration_queue
        ),
        docs=gate,
        admission_faults=ADMISSION_FAULTS,
        error_pages=platform.services.error_pages,
    )
    asked = _forward_auth(platform, trusted, gate)
    reference = Reference(
        [
            ReferenceDocument("rpc", "RPC API", "/v2/openapi.json", rpc.openapi),
            ReferenceDocument(
                "forward-auth",
                "Forward authentication",
                forward_auth.OPENAPI_PATH,
                forward_auth.document,
            ),
        ],
        gate,
        lambda: error_kinds(FAMILIES, ADMISSION_FAULTS),
    )
    return Surfaces(
        mounts={
            "/docs": reference,
            "/health": HealthApplication(
                _ready(platform),
                _parts(platform),
                admission.is_admin,
            ),
            forward_auth.PATH: asked,
            "/v2": rpc,
        },
        fallback=rpc,
        hot=rpc.hot,
        bound={forward_auth.PATH: asked.bind},
        trusted=trusted,
        unhot_headers=UNHOT_HEADERS,
    )


def _parts(platform: Platform) -> Parts:
    parts = {
        "analytics": lambda: analytics_part(platform.analytics),
        "seals": lambda: seals_part(platform.chains),
    }
    return parts | cluster_parts(platform.cluster)


def _forward_auth(platform: Platform, trusted: Networks, gate: DocsGate) -> forward_auth.ForwardAuth:
    settings = platform.settings.forward_auth
    token = None if settings.token is None else settings.token.reveal()
    return forward_auth.ForwardAuth(
        Gatekeeper(platform.services.verifier, platform.services.operations),
        platform.clock,
        forward_auth.Credentials(token, settings.key_headers),
        platform.services.migrations,
        decisions=platform.services.decisions,
        trusted_proxies=trusted,
        docs=gate,
        error_pages=platform.services.error_pages,
    )


def _ready(platform: Platform) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        try:
            await platform.db.read(lambda connection: None, ALL_WORKSPACES)
        except Fault:
            return False
        return platform.cluster is None or not platform.cluster.lease.is_out_of_reach

    return ready


class Admission:
    """Root keys at the door of the RPC surface."""

    def __init__(self, services: Services) -> None:
        self._callers = services.callers
        self._clock = services.clock

    async def authenticate(self, token: bytes, facts: RequestFacts) -> Principal:
        """Who holds this root key; raises the fault that says what is wrong with it, or `RefusedCaller`."""
        try:
            caller = await self._callers.authenticate(token)
        except CallerRefused as fault:
            assert fault.caller is not None
            raise RefusedCaller(_asking(fault.caller, facts), fault) from fault
        return _asking(caller, facts)

    def recognise(self, token: bytes) -> str | None:
        """The workspace for which a root key acts, if memory alone knows."""
        caller = self._callers.known(token, self._clock.now_ms())
        return None if caller is None else caller.workspace_id

    async def meter(self, who: Principal) -> Allowance | None:
        """Count the call against the workspace's quota."""
        quota = await self._callers.charge(who)
        if quota is None:
            return None
        return Allowance(quota.limit, quota.remaining, quota.reset_s, quota.admitted)

    async def is_admin(self, scope: Scope) -> bool:
        """Whether a request carries a root key that may do everything."""
        try:
            caller = await self._callers.authenticate(bearer_token(Headers(scope["headers"])))
        except Fault:
            return False
        return EVERYTHING in caller.permissions


def _asking(caller: CallerSnapshot, facts: RequestFacts) -> Principal:
    return principal_of(
        caller, remote_ip=facts.remote_ip, user_agent=facts.user_agent, request_id=facts.request_id
    )

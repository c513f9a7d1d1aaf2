"""Dependencies for FastAPI: a route says what a key must satisfy, and is given the verdict."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import HTTPException, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from latchwork.client.asgi import sent_of
from latchwork.client.asynchronous import AsyncLatchwork
from latchwork.client.calls import LimitCheck
from latchwork.client.guards import KEY_HEADERS, Conditions, Guard, Refusal, WhenUnavailable
from latchwork.client.results import Verification


class KeyGuard:
    """Makes dependencies: `Depends(guard(permissions="reports.read", cost=5))` is the `Verification`.

    A refusal is an HTTPException with FastAPI's usual body, `{"detail": …}`. The key's headers are in the
    OpenAPI document of the application.
    """

    def __init__(
        self,
        client: AsyncLatchwork,
        *,
        when_unavailable: WhenUnavailable,
        key_headers: Sequence[str] = KEY_HEADERS,
    ) -> None:
        self._client = client
        self._guard = Guard(when_unavailable=when_unavailable, key_headers=key_headers)
        self._schemes = [_scheme(name) for name in key_headers]

    def __call__(
        self,
        *,
        permissions: str | None = None,
        cost: int | None = None,
        ratelimits: Sequence[LimitCheck] = (),
        tags: Sequence[str] = (),
        keyspaces: Sequence[str] = (),
    ) -> Callable[..., Awaitable[Verification]]:
        """A dependency with these conditions; see `latchwork.client.calls.verify_key`."""
        conditions = Conditions(permissions, cost, ratelimits, tags, keyspaces)

        async def verified(
            request: Request, _: Annotated[None, Security(self._documented())]
        ) -> Verification:
            ip = request.client.host if request.client else None
            verdict = await self._guard.acheck(self._client, sent_of(request.scope), ip, conditions)
            if isinstance(verdict, Refusal):
                raise HTTPException(
                    verdict.status, detail=verdict.problem["detail"], headers=dict(verdict.headers)
                )
            request.state.latchwork = verdict
            return verdict

        return verified

    def _documented(self) -> Callable[..., None]:
        """A dependency that only tells the OpenAPI document where keys are looked for."""
        from inspect import Parameter, Signature

        def documented(**_: Any) -> None:
            """The guard reads the headers itself."""

        parameters = [
            Parameter(f"scheme{number}", Parameter.KEYWORD_ONLY, annotation=Annotated[Any, Security(scheme)])
            for number, scheme in enumerate(self._schemes)
        ]
        documented.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        return documented


def _scheme(name: str) -> HTTPBearer | APIKeyHeader:
    if name.lower() == "authorization":
        return HTTPBearer(auto_error=False, description="An API key.")
    return APIKeyHeader(name=name, auto_error=False, description="An API key.")

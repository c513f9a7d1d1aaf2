"""Who may read the API's documentation: the reference page and the OpenAPI documents."""

from collections.abc import Awaitable, Callable
from typing import Literal

from starlette.types import Scope

DocsAccess = Literal["public", "admin", "off"]
IsAdmin = Callable[[Scope], Awaitable[bool]]


async def nobody(scope: Scope) -> bool:
    """The answer where no administrator can be recognised."""
    return False


class DocsGate:
    """Lets everybody in, or administrators, or nobody. Whoever is kept out is told that nothing is there."""

    def __init__(self, access: DocsAccess = "public", is_admin: IsAdmin = nobody) -> None:
        self._access = access
        self._is_admin = is_admin

    async def admits(self, scope: Scope) -> bool:
        """Whether this request may read the documentation."""
        if self._access == "admin":
            return await self._is_admin(scope)
        return self._access == "public"

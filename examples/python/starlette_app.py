"""Starlette: a middleware before the whole application, with one path left open."""

import os

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from latchwork.client import AsyncLatchwork
from latchwork.client.asgi import KeyMiddleware

latchwork = AsyncLatchwork(os.environ["URL"], os.environ["ROOT_KEY"])


async def reports(request: Request) -> JSONResponse:
    """A report, for 5 credits."""
    key = request.state.latchwork
    return JSONResponse(
        {"report": "all is well", "for": key.identity.external_id if key.identity else key.key_id}
    )


async def health(request: Request) -> JSONResponse:
    """Open to everybody."""
    return JSONResponse({"status": "alive"})


app = Starlette(
    routes=[Route("/reports", reports), Route("/health", health)],
    middleware=[
        Middleware(
            KeyMiddleware,
            latchwork,
            when_unavailable="refuse",
            permissions="reports.read",
            cost=5,
            skip=["/health"],
        )
    ],
)

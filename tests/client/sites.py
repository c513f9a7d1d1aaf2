"""The same small site in each framework, guarded by its helper: `/` says whose key it was."""

from collections.abc import Callable
from typing import Any

import httpx

from latchwork.client import AsyncLatchwork, Latchwork, LimitCheck, Verification

Make = Callable[..., "httpx.AsyncClient"]

CONDITIONS: dict[str, Any] = {"permissions": "read", "cost": 2}
LIMITED: dict[str, Any] = {"ratelimits": [LimitCheck(name="visits")]}


def told(verdict: Verification) -> dict[str, Any]:
    """What every site answers."""
    return {"keyId": verdict.key_id, "credits": verdict.credits, "assumed": verdict.assumed}


def _asgi(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("203.0.113.7", 1))
    return httpx.AsyncClient(transport=transport, base_url="http://site")


def fastapi(url: str, root_key: str, **settings: Any) -> httpx.AsyncClient:
    """FastAPI with a dependency for each route."""
    from typing import Annotated

    from fastapi import Depends, FastAPI

    from latchwork.client.fastapi import KeyGuard

    guard = KeyGuard(AsyncLatchwork(url, root_key, backoff_s=0), **settings)
    app = FastAPI()

    @app.get("/")
    async def whose(key: Annotated[Verification, Depends(guard(**CONDITIONS))]) -> dict[str, Any]:
        return told(key)

    @app.get("/limited")
    async def limited(key: Annotated[Verification, Depends(guard(**LIMITED))]) -> dict[str, Any]:
        return told(key)

    return _asgi(app)


def starlette(url: str, root_key: str, **settings: Any) -> httpx.AsyncClient:
    """Starlette, whole routes behind the ASGI middleware."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from latchwork.client.asgi import KeyMiddleware

    async def whose(request: Request) -> JSONResponse:
        return JSONResponse(told(request.state.latchwork))

    client = AsyncLatchwork(url, root_key, backoff_s=0)
    inner = Starlette(routes=[Route("/{path:path}", whose)])
    guarded = {
        "/": KeyMiddleware(inner, client, **CONDITIONS, **settings),
        "/limited": KeyMiddleware(inner, client, **LIMITED, **settings),
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await guarded[scope["path"]](scope, receive, send)

    return _asgi(app)


def flask(url: str, root_key: str, **settings: Any) -> httpx.AsyncClient:
    """Flask: one view guarded by the decorator, a blueprint as a whole."""
    from flask import Blueprint, Flask, g

    from latchwork.client.flask import KeyGuard

    guard = KeyGuard(Latchwork(url, root_key, backoff_s=0), **settings)
    app = Flask("site")

    @app.get("/")
    @guard.required(**CONDITIONS)
    def whose() -> dict[str, Any]:
        return told(g.latchwork)

    limited = Blueprint("limited", "site")
    guard.protect(limited, **LIMITED)
    limited.add_url_rule("/limited", view_func=lambda: told(g.latchwork))
    app.register_blueprint(limited)
    return _wsgi(app)


def _wsgi(app: Any) -> httpx.AsyncClient:
    import asyncio

    inner = httpx.WSGITransport(app, raise_app_exceptions=False, remote_addr="203.0.113.7")

    class Threaded(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await request.aread()
            plain = httpx.Request(request.method, request.url, headers=request.headers)
            answer = await asyncio.to_thread(inner.handle_request, plain)
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.read())

    return httpx.AsyncClient(transport=Threaded(), base_url="http://site")


def _configured() -> None:
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="only for tests")
        django.setup()


def django_wsgi(url: str, root_key: str, **settings: Any) -> httpx.AsyncClient:
    """Django, synchronous views behind WSGI."""
    _configured()
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpRequest, JsonResponse
    from django.urls import path

    from latchwork.client.django import KeyGuard

    guard = KeyGuard(Latchwork(url, root_key, backoff_s=0), **settings)

    def whose(request: HttpRequest) -> JsonResponse:
        return JsonResponse(told(request.latchwork))

    _route(path("", guard.required(**CONDITIONS)(whose)), path("limited", guard.required(**LIMITED)(whose)))
    return _wsgi(WSGIHandler())


def django_asgi(url: str, root_key: str, **settings: Any) -> httpx.AsyncClient:
    """Django, asynchronous views behind ASGI."""
    _configured()
    from django.core.handlers.asgi import ASGIHandler
    from django.http import HttpRequest, JsonResponse
    from django.urls import path

    from latchwork.client.django import KeyGuard

    guard = KeyGuard(AsyncLatchwork(url, root_key, backoff_s=0), **settings)

    async def whose(request: HttpRequest) -> JsonResponse:
        return JsonResponse(told(request.latchwork))

    _route(path("", guard.required(**CONDITIONS)(whose)), path("limited", guard.required(**LIMITED)(whose)))
    return _asgi(ASGIHandler())


urlpatterns: list[Any] = []


def _route(*patterns: Any) -> None:
    from django.urls import clear_url_caches

    urlpatterns[:] = patterns
    clear_url_caches()


SITES = [fastapi, starlette, flask, django_wsgi, django_asgi]

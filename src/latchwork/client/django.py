"""A decorator for Django's views, synchronous and asynchronous."""

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponse

from latchwork.client.asynchronous import AsyncLatchwork
from latchwork.client.calls import LimitCheck
from latchwork.client.guards import KEY_HEADERS, MEDIA_TYPE, Conditions, Guard, Refusal, Sent, WhenUnavailable
from latchwork.client.synchronous import Latchwork

View = Callable[..., Any]


class KeyGuard:
    """Makes decorators: `@guard.required(permissions="reports.read")`; the verdict is `request.latchwork`.

    Asynchronous views need an `AsyncLatchwork`, others a `Latchwork`. Under `method_decorator` it serves
    class-based views.
    """

    def __init__(
        self,
        client: Latchwork | AsyncLatchwork,
        *,
        when_unavailable: WhenUnavailable,
        key_headers: Sequence[str] = KEY_HEADERS,
    ) -> None:
        self._client = client
        self._guard = Guard(when_unavailable=when_unavailable, key_headers=key_headers)

    def required(
        self,
        *,
        permissions: str | None = None,
        cost: int | None = None,
        ratelimits: Sequence[LimitCheck] = (),
        tags: Sequence[str] = (),
        keyspaces: Sequence[str] = (),
    ) -> Callable[[View], View]:
        """A decorator with these conditions; see `latchwork.client.calls.verify_key`."""
        conditions = Conditions(permissions, cost, ratelimits, tags, keyspaces)

        def decorate(view: View) -> View:
            if iscoroutinefunction(view):
                return self._awaited(view, conditions)
            return self._blocking(view, conditions)

        return decorate

    def _blocking(self, view: View, conditions: Conditions) -> View:
        client, guard = self._client, self._guard
        if not isinstance(client, Latchwork):
            raise TypeError(f"{view.__qualname__} is a synchronous view, which needs a Latchwork")

        @wraps(view)
        def guarded(request: HttpRequest, *arguments: Any, **named: Any) -> Any:
            verdict = guard.check(client, _sent(request), _address(request), conditions)
            if isinstance(verdict, Refusal):
                return _response(verdict)
            request.latchwork = verdict
            return view(request, *arguments, **named)

        return guarded

    def _awaited(self, view: View, conditions: Conditions) -> View:
        client, guard = self._client, self._guard
        if not isinstance(client, AsyncLatchwork):
            raise TypeError(f"{view.__qualname__} is an asynchronous view, which needs an AsyncLatchwork")

        @wraps(view)
        async def guarded(request: HttpRequest, *arguments: Any, **named: Any) -> Any:
            verdict = await guard.acheck(client, _sent(request), _address(request), conditions)
            if isinstance(verdict, Refusal):
                return _response(verdict)
            request.latchwork = verdict
            return await view(request, *arguments, **named)

        return guarded


def _sent(request: HttpRequest) -> Sent:
    def sent(name: str) -> list[str]:
        value = request.headers.get(name)
        return [] if value is None else [value]

    return sent


def _address(request: HttpRequest) -> str | None:
    return request.META.get("REMOTE_ADDR") or None


def _response(refusal: Refusal) -> HttpResponse:
    return HttpResponse(
        refusal.body, status=refusal.status, content_type=MEDIA_TYPE, headers=dict(refusal.headers)
    )

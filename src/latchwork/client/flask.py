"""A decorator for Flask's views, and a guard for all views of an application or blueprint."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Blueprint, Flask, Response, g, make_response, request
from flask.typing import ResponseReturnValue

from latchwork.client.calls import LimitCheck
from latchwork.client.guards import KEY_HEADERS, MEDIA_TYPE, Conditions, Guard, Refusal, WhenUnavailable
from latchwork.client.synchronous import Latchwork

P = ParamSpec("P")
Returned = TypeVar("Returned", bound=ResponseReturnValue)


class KeyGuard:
    """`@guard.required(permissions="reports.read")` guards a view, `guard.protect(app)` all of them.

    The verdict is `flask.g.latchwork`.
    """

    def __init__(
        self,
        client: Latchwork,
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
    ) -> Callable[[Callable[P, Returned]], Callable[P, Returned | Response]]:
        """A decorator with these conditions; see `latchwork.client.calls.verify_key`."""
        conditions = Conditions(permissions, cost, ratelimits, tags, keyspaces)

        def decorate(view: Callable[P, Returned]) -> Callable[P, Returned | Response]:
            @wraps(view)
            def guarded(*arguments: P.args, **named: P.kwargs) -> Returned | Response:
                refused = self._refused(conditions)
                return view(*arguments, **named) if refused is None else refused

            return guarded

        return decorate

    def protect(
        self,
        views: Flask | Blueprint,
        *,
        permissions: str | None = None,
        cost: int | None = None,
        ratelimits: Sequence[LimitCheck] = (),
        tags: Sequence[str] = (),
        keyspaces: Sequence[str] = (),
    ) -> None:
        """Verify the key of every request to an application or a blueprint, before its view."""
        conditions = Conditions(permissions, cost, ratelimits, tags, keyspaces)
        views.before_request(lambda: self._refused(conditions))

    def _refused(self, conditions: Conditions) -> Response | None:
        verdict = self._guard.check(self._client, request.headers.getlist, request.remote_addr, conditions)
        if not isinstance(verdict, Refusal):
            g.latchwork = verdict
            return None
        response = make_response(verdict.body, verdict.status, dict(verdict.headers))
        response.content_type = MEDIA_TYPE
        return response

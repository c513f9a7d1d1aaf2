"""The doors of a platform: the ASGI application, and the protocol that serves it with the fast lane."""

from collections.abc import Callable
from typing import NamedTuple

from latchwork.asgi import Application
from latchwork.compose.addresses import error_pages
from latchwork.compose.platform import Platform
from latchwork.compose.surfaces import FAMILIES, surfaces_of
from latchwork.server.fastlane import FastProtocol, fast_protocol
from latchwork.server.limits import Limits
from latchwork.settings import ServerSettings
from latchwork.surfaces.rpc.procedures import BODY_BYTES
from latchwork.surfaces.rpc.refusals import refusals


class Doors(NamedTuple):
    """Two ways in that give the same answers: `application` under any ASGI server, `protocol` under ours."""

    application: Application
    protocol: type[FastProtocol]


def doors_of(platform: Platform) -> Doors:
    """The doors of an opened platform."""
    surfaces = surfaces_of(platform)
    limits = _limits(platform.settings.server)
    application = Application(
        surfaces.mounts,
        fallback=surfaces.fallback,
        hot=surfaces.hot,
        trusted=surfaces.trusted,
        another_way=surfaces.unhot_headers,
        hot_body_bytes=limits.hot_body_bytes,
    )
    protocol = fast_protocol(
        surfaces.hot,
        render_error=refusals(limits.max_body, error_pages(platform.settings)),
        bound=surfaces.bound,
        limits=limits,
        trusted=surfaces.trusted,
        another_way=surfaces.unhot_headers,
    )
    return Doors(application, protocol)


def _limits(settings: ServerSettings) -> Limits:
    return Limits(
        max_body=_most_bytes(settings.max_body_bytes),
        connections=settings.max_connections,
        head_s=settings.header_deadline_s,
        body_idle_s=settings.body_deadline_s,
        keep_alive_s=settings.keep_alive_s,
    )


def _most_bytes(most: int) -> Callable[[str], int]:
    """How long a body may be, by path: what its procedure reads, and never more than `most`."""
    by_path = {
        procedure.path: min(procedure.body_bytes, most)
        for family in FAMILIES
        for procedure in family.procedures
    }
    otherwise = min(BODY_BYTES, most)
    return lambda path: by_path.get(path, otherwise)

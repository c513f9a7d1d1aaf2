"""Where this server is, as links and error types tell it."""

from latchwork.settings import Settings
from latchwork.surfaces.http.faults import ERROR_PATH

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - names for all addresses


def public_url(settings: Settings) -> str:
    """Where clients reach the server: what the settings say, else where it listens."""
    return settings.public_url or address(settings.host, settings.port)


def portal_url(settings: Settings) -> str:
    """Where the portal's pages are."""
    return settings.portal_url or f"{public_url(settings)}/portal"


def error_pages(settings: Settings) -> str:
    """Where the pages of errors are; a code follows."""
    return f"{public_url(settings)}{ERROR_PATH}"


def address(host: str, port: int) -> str:
    """The URL under which this machine reaches a server bound to `host`."""
    reachable = _EVERYWHERE.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"

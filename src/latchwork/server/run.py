"""Runs the application under uvicorn until it is told to stop."""

import errno
import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from uvicorn import Config, Server
from uvicorn._types import ASGI3Application

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_BACKLOG = 2048
_GRACE_S = 10


class PortInUse(Exception):
    """Another process listens where this one was told to."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        super().__init__(f"{host}:{port} is in use by another process.")


class StartFailed(Exception):
    """The application did not start; the cause is what it raised."""

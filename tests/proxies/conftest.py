"""One Latchwork and one upstream for all; a proxy of each kind between them."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.processes import Running, serving
from tests.proxies.programs import PROGRAMS, TOKEN, proxy
from tests.proxies.upstream import Silent, Upstream, silent, upstream

ROOT_KEY = "lw_root_only_for_the_tests_of_the_proxies"
CLIENT = "127.0.0.5"
"""Where clients come from; every other address is a proxy's, since Envoy names this machine's own."""
_TRUSTED = ",".join(map(str, IPv4Network("0.0.0.0/0").address_exclude(IPv4Network(f"{CLIENT}/32"))))


@dataclass
class Latchwork:
    """A server with an API, and a way to make keys of it."""

    server: Running
    api_id: str

    @property
    def port(self) -> int:
        return int(self.server.ready["url"].rpartition(":")[2])

    def key(self, **wanted: Any) -> dict[str, str]:
        """A new key: `keyId` and `key`."""
        made: dict[str, str] = self.server.post("keys.createKey", {"apiId": self.api_id} | wanted, ROOT_KEY)
        return made


@pytest.fixture(scope="module")
def latchwork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Latchwork]:
    with serving(
        tmp_path_factory.mktemp("latchwork"),
        LATCHWORK_BOOTSTRAP_ROOT_KEY=ROOT_KEY,
        LATCHWORK_FORWARD_AUTH__TOKEN=TOKEN,
        LATCHWORK_TRUSTED_PROXIES=_TRUSTED,
    ) as server:
        yield Latchwork(server, server.post("apis.createApi", {"name": "proxied"}, ROOT_KEY)["apiId"])


@pytest.fixture(scope="module")
def behind() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture(scope="module", params=sorted(PROGRAMS))
def kind(request: pytest.FixtureRequest) -> str:
    """Which proxy."""
    return str(request.param)


@pytest.fixture(scope="module")
def front(
    kind: str, latchwork: Latchwork, behind: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of the proxy before Latchwork and the upstream."""
    directory = tmp_path_factory.mktemp(kind) / "proxy"
    running = proxy(kind, directory, latchwork=latchwork.port, upstream=behind.port, api_id=latchwork.api_id)
    transport = httpx.HTTPTransport(local_address=CLIENT)
    with running as address, httpx.Client(base_url=address, timeout=20, transport=transport) as client:
        yield client


@dataclass
class CutOff:
    """A client of a proxy that does not get an answer, and how often Latchwork's place was asked."""

    client: httpx.Client
    silent: Silent


@pytest.fixture(params=["nobody listens", "nobody answers", "the connection is cut"])
def cut_off(request: pytest.FixtureRequest, kind: str, behind: Upstream, tmp_path: Path) -> Iterator[CutOff]:
    with silent(listens=request.param != "nobody listens", cuts=request.param.endswith("cut")) as place:
        running = proxy(
            kind, tmp_path / "proxy", latchwork=place.port, upstream=behind.port, api_id="api_1234"
        )
        with running as address, httpx.Client(base_url=address, timeout=20) as client:
            yield CutOff(client, place)

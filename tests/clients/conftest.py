"""One server for all clients, and workspaces to be a client of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.processes import Running, latchwork, serving

ROOT_KEY = "lw_root_" + "c" * 40
KEK = "0123456789abcdef" * 4


@dataclass(frozen=True)
class Served:
    """A server and what is needed to be somebody's client."""

    running: Running
    directory: Path

    @property
    def url(self) -> str:
        url: str = self.running.ready["url"]
        return url

    def root_key(self, *permissions: str, quota: int | None = None) -> str:
        """A root key with these permissions, in a workspace of its own that may have a quota a minute."""
        limit = () if quota is None else ("--requests-per-minute", str(quota))
        made = latchwork(self.directory, "workspace", "create", "client", *limit, "--json").json
        return self.root_key_of(made["workspaceId"], *permissions)

    def root_key_of(self, workspace_id: str, *permissions: str) -> str:
        """Another root key of a workspace."""
        asked = [word for permission in permissions for word in ("--permission", permission)]
        return str(
            latchwork(
                self.directory, "root-key", "create", "--workspace", workspace_id, *asked, "--json"
            ).json["key"]
        )


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server as `latchwork serve` starts it."""
    directory = tmp_path_factory.mktemp("clients")
    with serving(directory, LATCHWORK_BOOTSTRAP_ROOT_KEY=ROOT_KEY) as running:
        yield Served(running, directory)


@pytest.fixture(scope="session")
def root_key(served: Served) -> str:
    """A root key that may do everything."""
    return served.root_key("*")

"""Nodes that are started at once on an empty database prepare it as one would."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.processes import Running, serving
from tests.faults.nodes import ROOT_KEY

NODES = 3


@pytest.mark.parametrize("given", [{}, {"LATCHWORK_BOOTSTRAP_ROOT_KEY": ROOT_KEY}], ids=["minted", "given"])
def test_of_nodes_that_start_at_once_one_makes_the_workspace_and_its_root_key(
    tmp_path: Path, empty_postgres_url: str, redis_url: str, given: dict[str, str]
) -> None:
    where = {"LATCHWORK_DATABASE_URL": empty_postgres_url, "LATCHWORK_REDIS_URL": redis_url}
    homes = [tmp_path / str(number) for number in range(NODES)]
    for home in homes:
        home.mkdir()
    with ExitStack() as stack, ThreadPoolExecutor(NODES) as starting:

        def start(home: Path) -> Running:
            return stack.enter_context(serving(home, **where, **given))

        nodes = list(starting.map(start, homes))
        minted = [node.ready["rootKey"] for node in nodes if "rootKey" in node.ready]
        assert len(minted) == (0 if given else 1)
        (root_key,) = minted or [ROOT_KEY]
        made = {node.post("apis.createApi", {"name": "one for all"}, root_key)["apiId"] for node in nodes}
        listed = [node.post("apis.listApis", {}, root_key) for node in nodes]
        assert [{api["id"] for api in apis} for apis in listed] == [made] * NODES
        assert len(nodes[0].post("rootKeys.listKeys", {}, root_key)) == 1
        entries = nodes[0].post("auditLogs.list", {}, root_key)
        assert [entry["event"] for entry in entries].count("workspace.create") == 1

"""The examples name settings that exist, and are what their programs can read."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from latchwork.settings import ForwardAuthSettings, load
from latchwork.settings.tree import declared
from latchwork.surfaces.forward_auth import PATH, document
from latchwork.surfaces.forward_auth.questions import question_of

EXAMPLES = Path(__file__).parents[1] / "examples"
CLUSTER = EXAMPLES / "cluster"
TRAEFIK = EXAMPLES / "forward-auth" / "traefik"
FILES = sorted(path for place in (CLUSTER, TRAEFIK) for path in place.iterdir() if path.name != "README.md")


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_every_setting_of_an_example_exists(file: Path) -> None:
    known = {each.variable for each in declared()}
    assert set(re.findall(r"LATCHWORK_[A-Z0-9_]+", file.read_text())) <= known


def test_the_settings_of_the_compose_file_start_a_node() -> None:
    service = yaml.safe_load((CLUSTER / "compose.yaml").read_text())["services"]["latchwork"]
    given = {
        name: re.sub(r"\$\{\w+:\?\}", "rk_0f3c9a7e5b1d8264f0a1c2e3d4b5a697", value)
        for name, value in service["environment"].items()
    }
    settings = load(given).settings
    assert settings.redis_url is not None and settings.database_url is not None
    assert settings.clickhouse_url is not None and settings.blobs_url == "file:///blobs"


def test_the_manifest_for_kubernetes_has_what_keeps_three_nodes_there() -> None:
    found = {
        each["kind"]: each["spec"] for each in yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text())
    }
    assert set(found) == {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    container = found["Deployment"]["template"]["spec"]["containers"][0]
    paths = {
        probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")
    }
    assert paths == {"startup": "/health/ready", "readiness": "/health/ready", "liveness": "/health/live"}
    assert found["PodDisruptionBudget"]["minAvailable"] < found["Deployment"]["replicas"] == 3


def test_the_files_for_traefik_fit_together() -> None:
    """Traefik itself does not run here: what it is told must at least exist."""
    static = yaml.safe_load((TRAEFIK / "traefik.yml").read_text())
    assert static["providers"]["file"]["filename"] == "dynamic.yml"
    http = yaml.safe_load((TRAEFIK / "dynamic.yml").read_text())["http"]
    for router in http["routers"].values():
        assert set(router["entryPoints"]) <= set(static["entryPoints"])
        assert set(router["middlewares"]) <= set(http["middlewares"])
        assert router["service"] in http["services"]


def test_traefik_asks_a_question_that_can_be_read_and_believes_nothing_from_clients() -> None:
    http = yaml.safe_load((TRAEFIK / "dynamic.yml").read_text())["http"]
    asked = http["middlewares"]["latchwork"]["forwardAuth"]
    address = urlsplit(asked["address"])
    assert address.path == PATH
    assert question_of(address.query.encode()).api_id == "api_1234567890"
    sent = {name.lower() for name in asked["authRequestHeaders"]}
    assert sent == {*(name.lower() for name in ForwardAuthSettings().key_headers), "x-forward-auth-token"}
    answered = document()["paths"][PATH]["get"]["responses"]["200"]["headers"]
    ours = [name for name in answered if name.startswith("X-Latchwork-")]
    for name in [*ours, *(name.replace("-", "_") for name in ours)]:
        assert re.match(asked["authResponseHeadersRegex"], name)
    added, removed = (
        http["middlewares"][name]["headers"]["customRequestHeaders"]["X-Forward-Auth-Token"]
        for name in ("latchwork-token", "latchwork-done")
    )
    assert added and removed == ""
    assert http["routers"]["api"]["middlewares"] == ["latchwork-token", "latchwork", "latchwork-done"]

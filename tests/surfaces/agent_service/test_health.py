"""When the whole is degraded, and when nothing can be served."""

import httpx
import pytest

from latchwork.surfaces.agent_service.health import HealthApplication, Part


async def _answer(application: HealthApplication, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://latchwork") as http:
        return await http.get(path)


@pytest.mark.parametrize("is_ready", [True, False])
@pytest.mark.parametrize("status", ["ok", "failing", "off"])
async def test_a_failing_part_degrades_the_whole_and_only_the_database_stops_it(
    is_ready: bool, status: str
) -> None:
    async def ready() -> bool:
        return is_ready

    part = Part(status, {"secret": "detail"})  # type: ignore[arg-type]
    application = HealthApplication(ready, {"analytics": lambda: part})
    answer = await _answer(application, "/health")
    assert answer.status_code == (200 if is_ready else 503)
    assert answer.json() == {
        "status": "ok" if is_ready and status != "failing" else "degraded",
        "parts": {
            "database": {"status": "ok" if is_ready else "failing"},
            "analytics": {"status": status},
        },
    }
    assert (await _answer(application, "/health/ready")).status_code == (200 if is_ready else 503)
    assert (await _answer(application, "/health/live")).status_code == 200

"""Procedures that ask for something else than a root key, and answers that have no `data`."""

from typing import Any

from jsonschema import Draft202012Validator

from latchwork.surfaces.rpc.admission import Allowance
from tests.surfaces.rpc.plumbing.things import TOKEN, World


async def _show(world: World, body: Any = None, **headers: str) -> Any:
    return await world.client.post("/v2/things.show", json=body or {}, headers=headers)


async def test_who_comes_with_the_credential_is_admitted(world: World) -> None:
    answer = (await _show(world, **{"x-badge": "7"})).json()
    assert answer["asked"] == {"badge": "7", "who": "badge", "name": "nobody"}
    assert set(answer) == {"meta", "asked"}
    assert world.order == ["meter"]


async def test_a_root_key_does_not_do(world: World) -> None:
    answer = await _show(world, authorization=f"Bearer {TOKEN}")
    assert answer.status_code == 400
    assert answer.json()["error"]["type"].endswith("/badge_missing")
    assert world.order == []


async def test_a_missing_credential_comes_before_the_body_and_a_wrong_one_after(world: World) -> None:
    broken = {"name": 7}
    assert (await _show(world, broken)).json()["error"]["type"].endswith("/badge_missing")
    assert (await _show(world, broken, **{"x-badge": "x"})).status_code == 400
    refused = await _show(world, **{"x-badge": "x"})
    assert (refused.status_code, refused.json()["error"]["detail"]) == (401, "Nobody has that badge.")


async def test_those_who_are_admitted_count_against_the_limit(world: World) -> None:
    world.allowance = Allowance(limit=1, remaining=0, reset_s=9, admitted=False)
    assert (await _show(world, **{"x-badge": "7"})).status_code == 429


async def test_the_document_has_the_scheme_and_what_may_be_answered(world: World) -> None:
    document = world.app.openapi()
    operation = document["paths"]["/v2/things.show"]["post"]
    assert operation["security"] == [{"badge": []}]
    assert set(document["components"]["securitySchemes"]) == {"rootKey", "badge"}
    assert set(operation["responses"]) == {"200", "400", "401", "408", "413", "415", "429", "500", "503"}
    assert "badge_missing" in operation["responses"]["400"]["content"]["application/json"]["examples"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    answer = (await _show(world, **{"x-badge": "7"})).json()
    Draft202012Validator({"components": document["components"]} | schema).validate(answer)
    assert not Draft202012Validator({"components": document["components"]} | schema).is_valid(
        {"meta": answer["meta"]}
    )

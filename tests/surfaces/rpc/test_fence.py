"""Every query forgets whose rows it wants, and on PostgreSQL nobody behind the outermost door can tell."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from latchwork.kernel.sql import ALL_WORKSPACES
from tests.surfaces.rpc.conftest import House
from tests.surfaces.rpc.test_authorisation import OPERATIONS, ask, nobodys, outcome, told, world_of

WHOSE = re.compile(r"(?:\w+\.)?(?:for_)?workspace_id = (\$\d+::VARCHAR|\?)")


class Forgetful:
    """Takes the condition from every statement of a unit that is of one workspace."""

    def __init__(self) -> None:
        self.forgot = 0

    def __call__(self, connection: Connection, _cursor: Any, statement: str, values: Any, *_: Any) -> Any:
        driver: Any = connection.connection.driver_connection
        if getattr(driver, "workspace_id", None) == ALL_WORKSPACES:
            return statement, values
        statement, times = WHOSE.subn(r"\1 IS NOT NULL", statement)
        self.forgot += times
        return statement, values


@pytest.fixture
def forgetful() -> Iterator[Forgetful]:
    listener = Forgetful()
    event.listen(Engine, "before_cursor_execute", listener, retval=True)
    yield listener
    event.remove(Engine, "before_cursor_execute", listener)


@pytest.mark.parametrize("house", ["postgres"], indirect=True)
@pytest.mark.parametrize("name", [name for name, each in OPERATIONS.items() if each.missing is not None])
async def test_what_is_anothers_stays_as_unknown_as_what_is_nobodys(
    house: House, name: str, forgetful: Forgetful
) -> None:
    operation = OPERATIONS[name]
    acme, rival = await house.tenant("acme"), await house.tenant("rival")
    theirs = await world_of(rival, "rival")
    await world_of(acme, "acme")
    forgetful.forgot = 0
    foreign = await ask(house, name, f"Bearer {acme.key}", operation.body(theirs))
    unknown = await ask(house, name, f"Bearer {acme.key}", operation.body(nobodys(theirs)))
    assert outcome(foreign) == outcome(unknown) == operation.missing, (foreign.text, unknown.text)
    assert told(foreign, theirs) == told(unknown, nobodys(theirs))


@pytest.mark.parametrize("house", ["postgres"], indirect=True)
async def test_lists_hold_nothing_of_anothers(house: House, forgetful: Forgetful) -> None:
    acme, rival = await house.tenant("acme"), await house.tenant("rival")
    theirs = await world_of(rival, "rival")
    for family in ("apis.listApis", "keys.listKeys", "identities.listIdentities", "rootKeys.listKeys"):
        (listed,) = [await acme.data(family, {})]
        assert not any(id_ in str(listed) for id_ in theirs.values()), family
        assert len(await rival.data(family, {})) >= 1, family
    assert forgetful.forgot > 0


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
async def test_without_a_fence_it_would_show(house: House, forgetful: Forgetful) -> None:
    acme, rival = await house.tenant("acme"), await house.tenant("rival")
    theirs = await rival.data("apis.createApi", {"name": "payments"})
    assert (await acme.data("apis.getApi", theirs))["name"] == "payments"
    assert forgetful.forgot > 0

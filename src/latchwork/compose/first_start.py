"""What a platform must hold before anybody can use it: a workspace, and a root key to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from latchwork.compose.platform import Platform
from latchwork.domains.workspaces import Workspace, operator
from latchwork.kernel.principal import EVERYTHING
from latchwork.kernel.sql import Database, PostgresDatabase

WORKSPACE_NAME = "default"
_TAKE_TURN = "SELECT pg_advisory_lock(hashtext('latchwork.entrance'))"


class Entered(NamedTuple):
    """How people get in after a start. `minted` is a root key made now, which nobody can be told again.

    `is_first` says that there was no root key before; `added` that the one in the settings was new.
    """

    is_first: bool
    minted: str | None = None
    added: bool = False


async def ensure_entrance(platform: Platform) -> Entered:
    """See to it that there is a workspace with a root key, and that the root key of the settings is one.

    With a root key in the settings none is made up; a new one there is added to those that exist. Of nodes that
    are started at once one does it, and the others find it done.
    """
    async with _turn(platform.db):
        return await _ensure(platform)


@asynccontextmanager
async def _turn(db: Database) -> AsyncIterator[None]:
    """Wait for other nodes that see to the same; one that dies leaves its turn with its connection."""
    if not isinstance(db, PostgresDatabase):
        yield
        return
    link = await db.link()
    try:
        await link.driver.execute(_TAKE_TURN)
        yield
    finally:
        await link.drop()


async def _ensure(platform: Platform) -> Entered:
    workspace = await _ensure_workspace(platform)
    who, root_keys = operator(workspace.id), platform.services.root_keys
    is_first = await root_keys.count(workspace.id) == 0
    wanted = platform.settings.bootstrap_root_key
    if wanted is not None:
        return Entered(is_first, added=await root_keys.ensure(who, wanted.reveal()))
    if not is_first:
        return Entered(is_first)
    minted = await root_keys.create(who, permissions=[EVERYTHING], name="first")
    return Entered(is_first, minted.key)


async def _ensure_workspace(platform: Platform) -> Workspace:
    return await platform.workspaces.first() or await platform.workspaces.create(WORKSPACE_NAME)

"""The vault: what a key opens, what a rotation changes, and what an interruption leaves."""

import asyncio
import logging
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update

from latchwork.domains import audit
from latchwork.domains.encryption import (
    EncryptionKeyMissing,
    EncryptionNotSetUp,
    Keyring,
    SecretDamaged,
    Vault,
    rules,
    store,
)
from latchwork.domains.encryption.tables import data_keys
from latchwork.domains.workspaces import Workspaces, operator
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.principal import Principal
from latchwork.kernel.sealing import SealingKey
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database, SqliteDatabase
from tests.domains.credits.flaky import FlakyDatabase

FIRST, SECOND, THIRD = SealingKey.fresh(), SealingKey.fresh(), SealingKey.fresh()
ROOT = Path(__file__).parents[3]
MANY = 250  # three writes of a rotation


def _vault(database: Database, *keys: SealingKey) -> Vault:
    return Vault(database, ManualClock(), Keyring(keys[0], keys[1:]) if keys else None)


async def _tenants(database: Database, count: int) -> list[Principal]:
    workspaces = Workspaces(database, ManualClock())
    return [operator((await workspaces.create(f"acme {number}")).id) for number in range(count)]


async def _sealed(database: Database, vault: Vault, who: Principal, text: str = "secret") -> bytes:
    return await database.write(lambda connection: vault.seal(connection, who, "key_1", text), ALL_WORKSPACES)


async def _opened(database: Database, vault: Vault, who: Principal, sealed: bytes) -> str:
    found = await database.read(
        lambda c: vault.reveal(c, who.workspace_id, {"key_1": sealed}), ALL_WORKSPACES
    )
    return found["key_1"]


async def test_a_secret_is_opened_by_whoever_has_the_key(database: Database) -> None:
    (who,) = await _tenants(database, 1)
    vault = _vault(database, FIRST)
    one, two = await _sealed(database, vault, who, "one"), await _sealed(database, vault, who, "two")
    again = _vault(database, SECOND, FIRST)
    assert [await _opened(database, again, who, sealed) for sealed in (one, two)] == ["one", "two"]
    assert (await vault.usage()).data_keys == {FIRST.id: 1}
    assert await database.read(lambda c: audit.first_break(c, who.workspace_id), ALL_WORKSPACES) is None


async def test_a_secret_opens_for_no_other_subject_and_in_no_other_workspace(database: Database) -> None:
    here, there = await _tenants(database, 2)
    vault = _vault(database, FIRST)
    sealed = await _sealed(database, vault, here)
    await _sealed(database, vault, there)
    for workspace_id, subject_id in ((here.workspace_id, "key_2"), (there.workspace_id, "key_1")):
        moved = {subject_id: sealed}
        with pytest.raises(SecretDamaged):
            await database.read(lambda c, w=workspace_id, m=moved: vault.reveal(c, w, m), ALL_WORKSPACES)  # type: ignore[misc]


async def test_a_data_key_opens_in_no_other_workspace(database: Database) -> None:
    here, there = await _tenants(database, 2)
    vault = _vault(database, FIRST)
    sealed = await _sealed(database, vault, here)
    await _sealed(database, vault, there)

    def swap(connection: Connection) -> None:
        mine = store.find(connection, here.workspace_id)
        assert mine is not None
        theirs = data_keys.c.workspace_id == there.workspace_id
        connection.execute(update(data_keys).where(theirs).values(sealed=mine.sealed))

    await database.write(swap, ALL_WORKSPACES)
    assert await _opened(database, vault, here, sealed) == "secret"
    with pytest.raises(SecretDamaged):
        await _opened(database, vault, there, sealed)


async def test_without_a_key_nothing_is_sealed_or_opened(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    (who,) = await _tenants(database, 1)
    without = _vault(database)
    await without.warn()
    with pytest.raises(EncryptionNotSetUp):
        await _sealed(database, without, who)
    with pytest.raises(EncryptionNotSetUp):
        await without.rotate(None)
    assert caplog.text == ""
    assert (await without.usage()).key_id is None


async def test_a_start_without_the_key_in_use_is_warned_of(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    (who,) = await _tenants(database, 1)
    sealed = await _sealed(database, _vault(database, FIRST), who)
    other = _vault(database, SECOND)
    with caplog.at_level(logging.WARNING):
        await other.warn()
    assert FIRST.id in caplog.text
    for attempt in (_sealed(database, other, who), _opened(database, other, who, sealed)):
        with pytest.raises(EncryptionKeyMissing) as caught:
            await attempt
        assert FIRST.id not in caught.value.detail


async def test_secrets_without_a_data_key_are_damage(database: Database) -> None:
    (who,) = await _tenants(database, 1)
    with pytest.raises(SecretDamaged):
        await _opened(database, _vault(database, FIRST), who, b"")


async def test_a_rotation_reseals_data_keys_and_no_secrets(database: Database) -> None:
    tenants = await _tenants(database, 3)
    vault = _vault(database, FIRST)
    sealed = [await _sealed(database, vault, who, who.workspace_id) for who in tenants]
    done = await vault.rotate(Keyring(SECOND, (FIRST,)))
    assert (done.key_id, done.resealed, done.data_keys) == (SECOND.id, 3, 3)
    assert (await vault.usage()).data_keys == {SECOND.id: 3}
    assert (await vault.rotate(Keyring(SECOND))).resealed == 0
    purged = _vault(database, SECOND)
    for who, secret in zip(tenants, sealed, strict=True):
        assert await _opened(database, purged, who, secret) == who.workspace_id
        holds = partial(audit.first_break, workspace_id=who.workspace_id)
        assert await database.read(holds, who.workspace_id) is None


async def test_a_rotation_without_a_key_that_is_needed_changes_nothing(database: Database) -> None:
    one, two = await _tenants(database, 2)
    vault = _vault(database, FIRST)
    sealed = await _sealed(database, vault, one)
    await _sealed(database, _vault(database, THIRD), two)
    with pytest.raises(EncryptionKeyMissing, match=f"1 data keys are encrypted with {THIRD.id}"):
        await vault.rotate(Keyring(SECOND, (FIRST,)))
    assert (await vault.usage()).data_keys == {FIRST.id: 1, THIRD.id: 1}
    assert await _opened(database, vault, one, sealed) == "secret", "the keyring in use is as it was"


async def test_a_rotation_that_meets_damage_changes_nothing(database: Database) -> None:
    one, two = await _tenants(database, 2)
    vault = _vault(database, FIRST)
    for who in (one, two):
        await _sealed(database, vault, who)
    broken = data_keys.c.workspace_id == two.workspace_id
    await database.write(
        lambda c: c.execute(update(data_keys).where(broken).values(sealed=b"broken")), ALL_WORKSPACES
    )
    with pytest.raises(SecretDamaged, match=f"Nothing was changed.*{two.workspace_id}"):
        await vault.rotate(Keyring(SECOND, (FIRST,)))
    assert (await vault.usage()).data_keys == {FIRST.id: 2}


async def test_two_rotations_at_once_follow_each_other(database: Database) -> None:
    tenants = await _tenants(database, 5)
    vault = _vault(database, FIRST)
    for who in tenants:
        await _sealed(database, vault, who)
    rotations = [vault.rotate(Keyring(key, (FIRST, SECOND, THIRD))) for key in (SECOND, THIRD)]
    done = await asyncio.gather(*rotations)
    assert [each.resealed for each in done] == [5, 5]
    assert (await vault.usage()).data_keys == {THIRD.id: 5}


async def test_secrets_are_sealed_and_opened_while_a_rotation_runs(database: Database) -> None:
    tenants = await _tenants(database, 6)
    vault = _vault(database, FIRST)
    old = [await _sealed(database, vault, who) for who in tenants[:3]]
    rotating = asyncio.ensure_future(vault.rotate(Keyring(SECOND, (FIRST,))))
    opened = [_opened(database, vault, who, sealed) for who, sealed in zip(tenants[:3], old, strict=True)]
    fresh = asyncio.gather(*(_sealed(database, vault, who) for who in tenants))
    assert await asyncio.gather(*opened) == ["secret"] * 3
    sealed = await fresh
    await rotating
    await vault.rotate(Keyring(SECOND))
    for who, secret in zip(tenants, sealed, strict=True):
        assert await _opened(database, vault, who, secret) == "secret"


async def _seeded(database: Database) -> list[str]:
    """As many workspaces as three writes of a rotation concern, each with a data key under the first key."""
    tenants = await _tenants(database, 1)
    row = {"name": "acme", "enabled": True, "created_at_ms": 0}
    ids = [tenants[0].workspace_id, *(f"ws_{number:04}" for number in range(MANY - 1))]

    def seed(connection: Connection) -> None:
        from latchwork.domains.workspaces.tables import workspaces

        connection.execute(workspaces.insert(), [row | {"id": workspace_id} for workspace_id in ids[1:]])
        for workspace_id in ids:
            sealed = rules.sealed_data_key(Keyring(FIRST), workspace_id, SealingKey.fresh())
            store.add(connection, sealed, 0)

    await database.write(seed, ALL_WORKSPACES)
    return ids


@pytest.mark.parametrize("answer_lost", [False, True], ids=["undone", "answer lost"])
@pytest.mark.parametrize("write", [1, 2, 3, 4])
async def test_an_interrupted_rotation_is_finished_by_the_next_one(
    sqlite_path: Path, write: int, answer_lost: bool
) -> None:
    flaky = FlakyDatabase(SqliteDatabase(sqlite_path))
    await flaky.open()
    await _seeded(flaky)
    flaky.fail_at(write, answer_lost=answer_lost)
    with pytest.raises(Unavailable):
        await _vault(flaky, FIRST).rotate(Keyring(SECOND, (FIRST,)))
    after = _vault(flaky, FIRST, SECOND)
    assert sum((await after.usage()).data_keys.values()) == MANY
    await after.rotate(Keyring(SECOND, (FIRST,)))
    assert (await after.usage()).data_keys == {SECOND.id: MANY}
    await flaky.close()


@pytest.mark.parametrize("written", [1, 2])
async def test_a_rotation_that_was_killed_is_finished_by_the_next_one(
    sqlite_path: Path, written: int
) -> None:
    database = SqliteDatabase(sqlite_path)
    await database.open()
    await _seeded(database)
    command = [sys.executable, "-m", "tests.domains.encryption.rotator", str(sqlite_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{SECOND.reveal()}\n{FIRST.reveal()}\n".encode())
        process.stdin.close()
        for _ in range(written):
            assert process.stdout.readline() == b"written\n"
        process.kill()
    between = (await _vault(database, FIRST).usage()).data_keys
    assert between[SECOND.id] >= 100 * written and sum(between.values()) == MANY
    vault = _vault(database, FIRST)
    await vault.rotate(Keyring(SECOND, (FIRST,)))
    await vault.rotate(Keyring(SECOND))
    assert (await vault.usage()).data_keys == {SECOND.id: MANY}
    await database.close()

"""Imports through the verbs of the command line: taken once, gone on with, previewed, undone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from latchwork.compose.control import Refusal, call
from latchwork.compose.platform import Platform, opened
from latchwork.compose.verbs import VERBS
from latchwork.domains import audit
from latchwork.domains.audit.tables import audit_log
from latchwork.domains.identities.tables import identities
from latchwork.domains.imports import Imports, Offered, Run, RunMoved, RunState, Source
from latchwork.domains.imports.tables import import_creations, import_rows
from latchwork.domains.keys import NewKey
from latchwork.domains.keys.tables import keys
from latchwork.domains.migrations import Algorithm, ForeignKey
from latchwork.domains.permissions.tables import permissions, roles
from latchwork.domains.workspaces import OPERATOR_ID, operator
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES
from latchwork.settings import AnalyticsSettings, Secret, Settings
from tests.domains.credits.flaky import FlakyDatabase

Ask = Callable[..., Awaitable[Any]]
EVERYTHING = {
    "name": "n",
    "externalId": "user_1",
    "meta": {"a": 1},
    "roles": ["admin"],
    "permissions": ["read", "write"],
    "credits": {"remaining": 7},
    "ratelimits": [{"name": "requests", "limit": 2, "duration": 60_000, "autoApply": True}],
}


@pytest.fixture(params=["sqlite", "postgres"])
async def platform(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Platform]:
    url = None if request.param == "sqlite" else Secret(request.getfixturevalue("postgres_url"))
    settings = Settings(data_dir=tmp_path, database_url=url, analytics=AnalyticsSettings(enabled=False))
    async with opened(settings, ManualClock(), at_work=False) as platform:
        yield platform


@pytest.fixture
async def ask(platform: Platform) -> Ask:
    """`await ask(verb, **arguments)`, with a workspace `acme` and an API `weather` in it."""

    async def ask(verb: str, **arguments: Any) -> Any:
        return await call(VERBS, platform, verb, arguments)

    await ask("workspace.create", name="acme")
    await ask("api.create", name="weather")
    return ask


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def row(line: int, text: str, **more: Any) -> dict[str, Any]:
    return {"line": line, "key": {"hash": digest(text)} | more}


async def begin(ask: Ask, fingerprint: str = "f", **more: Any) -> dict[str, Any]:
    run: dict[str, Any] = await ask(
        "import.begin", **({"api": "weather", "kind": "csv", "fingerprint": fingerprint} | more)
    )
    return run


async def take(ask: Ask, run: dict[str, Any], *rows: dict[str, Any]) -> dict[str, Any]:
    done: dict[str, Any] = await ask("import.take", run=run["runId"], position=run["rows"], rows=list(rows))
    return done


async def whole(ask: Ask, *rows: dict[str, Any], fingerprint: str = "f", **more: Any) -> dict[str, Any]:
    """A whole import; what it came to, with the results of its rows."""
    done = await take(ask, await begin(ask, fingerprint, **more), *rows)
    return (await ask("import.finish", run=done["runId"])) | {"results": done["results"]}  # type: ignore[no-any-return]


async def undo(ask: Ask, run: dict[str, Any]) -> int:
    removed = 0
    while True:
        done = await ask("import.undo", run=run["runId"])
        removed += int(done["removed"])
        if done["state"] == "undone":
            return removed


async def verdict(ask: Ask, text: str) -> str:
    return str((await ask("key.verify", claim={"key": text}))["code"])


async def refusal(asked: Awaitable[Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await asked
    return caught.value


async def counts(platform: Platform) -> dict[str, int]:
    """How many rows some tables have, but for what belongs to root keys."""

    def question(connection: Connection) -> dict[str, int]:
        found = {}
        for table in (keys, identities, permissions, roles, import_rows, import_creations):
            counted = select(func.count()).select_from(table)
            if "workspace_id" in table.c:
                counted = counted.where(table.c.workspace_id != OPERATOR_ID)
            found[table.name] = connection.execute(counted).scalar_one()
        return found

    return await platform.db.read(question, ALL_WORKSPACES)


async def test_rows_are_taken_with_all_that_belongs_to_them(ask: Ask) -> None:
    done = await whole(ask, row(2, "a", start="ab", **EVERYTHING), row(3, "b"))
    assert (done["state"], done["rows"], done["added"], done["failed"]) == ("done", 2, 2, 0)
    assert [(each["row"], each["line"], each["outcome"]) for each in done["results"]] == [
        (1, 2, "added"),
        (2, 3, "added"),
    ]
    verified = await ask("key.verify", claim={"key": "a"})
    assert (verified["code"], verified["credits"], verified["keyId"]) == (
        "VALID",
        6,
        done["results"][0]["keyId"],
    )
    assert (verified["permissions"], verified["roles"], verified["name"]) == (
        ["read", "write"],
        ["admin"],
        "n",
    )
    assert await verdict(ask, "b") == "VALID"


async def test_a_key_that_was_unknown_is_valid_once_it_is_imported(ask: Ask) -> None:
    assert await verdict(ask, "a") == "NOT_FOUND"
    await whole(ask, row(2, "a"))
    assert await verdict(ask, "a") == "VALID"


async def test_every_row_that_cannot_be_taken_is_told_and_stops_no_other(ask: Ask) -> None:
    rows = [
        row(2, "a"),
        row(3, "b", permissions=["not a slug"]),
        row(4, "c", credits={"remaining": -1}),
        row(5, "d", credits={"remaining": 1, "refill": {"interval": "monthly", "amount": 1}}),
        row(6, "e", ipWhitelist=["nowhere"]),
        row(7, "f", unknown=1),
        row(8, "a", name="again"),
        {"line": 9, "field": "expires", "detail": "It is no moment."},
        {"line": 10, "left": "It was deleted there."},
        {"line": 11, "key": {"hash": "nonsense"}},
        row(12, "g"),
    ]
    done = await whole(ask, *rows)
    assert (done["added"], done["passed"], done["failed"]) == (2, 1, 8)
    failed = [(each["line"], each["field"]) for each in done["results"] if each["outcome"] == "failed"]
    assert failed == [
        (3, "permissions"),
        (4, "credits.remaining"),
        (5, "credits.refill.refillDay"),
        (6, "ipWhitelist"),
        (7, ""),
        (8, "hash"),
        (9, "expires"),
        (11, "hash"),
    ]
    assert all(each["detail"] for each in done["results"] if each["outcome"] == "failed")
    shown = await ask("import.show", run=done["runId"])
    assert [each["line"] for each in shown["failures"]] == [line for line, _ in failed]


async def test_a_hash_that_somebody_has_is_never_taken_from_them(platform: Platform, ask: Ask) -> None:
    mine = await ask("key.create", api="weather", wanted={})
    await ask("api.create", name="other")
    others = await ask("key.create", api="other", wanted={})
    deleted = await ask("key.create", api="weather", wanted={})
    await ask("workspace.create", name="zeta")
    await ask("api.create", name="theirs", workspace="zeta")
    theirs = await ask("key.create", api="theirs", wanted={}, workspace="zeta")
    who = operator((await platform.workspaces.all())[0].id)
    await platform.services.keys.delete(who, deleted["keyId"], permanent=False)
    done = await whole(
        ask, *(row(n, each["key"]) for n, each in enumerate((mine, others, deleted, theirs), 2))
    )
    assert [each["outcome"] for each in done["results"]] == ["present", "failed", "failed", "failed"]
    assert done["results"][0]["keyId"] == mine["keyId"]
    told = [each.get("detail", "") for each in done["results"]]
    assert others["keyId"] in told[1] and deleted["keyId"] in told[2]
    assert told[3] == "A key that is not yours has this hash."
    verified = await ask("key.verify", claim={"key": theirs["key"]}, workspace="zeta")
    assert (verified["code"], verified["keyId"]) == ("VALID", theirs["keyId"])
    assert await undo(ask, done) == 0
    assert await verdict(ask, mine["key"]) == "VALID"


class TestGoingOn:
    async def test_the_same_import_goes_on_where_it_stopped(self, platform: Platform, ask: Ask) -> None:
        first = await begin(ask)
        done = await take(ask, first, row(2, "a"), row(3, "b"))
        again = await begin(ask)
        assert (again["runId"], again["rows"], again["added"]) == (first["runId"], 2, 2)
        await take(ask, done, row(4, "c"))
        finished = await ask("import.finish", run=first["runId"])
        assert (finished["rows"], finished["added"]) == (3, 3)
        assert (await counts(platform))["keys"] == 3

    @pytest.mark.parametrize(
        "other", [{"fingerprint": "g"}, {"kind": "unkey"}, {"api": "second"}, {"workspace": "zeta"}]
    )
    async def test_another_import_is_another_run(self, ask: Ask, other: dict[str, str]) -> None:
        await ask("api.create", name="second")
        await ask("workspace.create", name="zeta")
        await ask("api.create", name="weather", workspace="zeta")
        first = await begin(ask)
        assert (await begin(ask, **other))["runId"] != first["runId"]

    async def test_a_finished_import_begins_anew_and_finds_its_keys(self, ask: Ask) -> None:
        first = await whole(ask, row(2, "a"))
        second = await whole(ask, row(2, "a"))
        assert second["runId"] != first["runId"]
        assert (second["added"], second["present"]) == (0, 1)
        await undo(ask, second)
        assert await verdict(ask, "a") == "VALID"

    async def test_rows_that_were_taken_already_are_refused(self, ask: Ask) -> None:
        run = await begin(ask)
        await take(ask, run, row(2, "a"))
        fault = await refusal(take(ask, run, row(2, "a")))
        assert (fault.status, fault.code) == (409, "unkey/data/import_moved")

    async def test_a_large_portion_is_taken_in_several_units(self, ask: Ask) -> None:
        slugs = [f"p{n}" for n in range(500)]
        done = await whole(ask, *(row(n + 2, f"k{n}", permissions=slugs) for n in range(10)))
        assert done["added"] == 10
        assert [each["row"] for each in done["results"]] == list(range(1, 11))

    @pytest.mark.parametrize("answer_lost", [False, True])
    async def test_whatever_write_fails_beginning_again_takes_every_row_once(
        self, platform: Platform, ask: Ask, answer_lost: bool
    ) -> None:
        who = operator((await platform.workspaces.all())[0].id)
        api_id = (await platform.services.apis.page(who, cursor="", limit=1))[0][0].id
        for write in range(1, 6):
            flaky = FlakyDatabase(platform.db)
            flaky.fail_at(write, answer_lost=answer_lost)
            imports = Imports(flaky, platform.clock)
            run = None
            while run is None:
                with suppress(Unavailable, RunMoved):
                    run = await _carry_out(imports, who, api_id, str(write))
            newest = (await imports.newest(who))[0]
            assert (newest.state, newest.position, newest.added) == (RunState.DONE, 6, 6)
            assert newest.failed == newest.present == 0

    async def test_a_run_whose_api_is_deleted_meanwhile_takes_no_more(
        self, platform: Platform, ask: Ask
    ) -> None:
        run = await begin(ask)
        who = operator((await platform.workspaces.all())[0].id)
        await platform.services.apis.delete(who, run["apiId"])
        fault = await refusal(take(ask, run, row(2, "a")))
        assert (fault.status, fault.code) == (404, "unkey/data/api_not_found")
        assert await undo(ask, run) == 0

    async def test_a_finished_run_takes_no_more(self, ask: Ask) -> None:
        done = await whole(ask, row(2, "a"))
        assert (await refusal(take(ask, done, row(3, "b")))).status == 409
        assert (await refusal(ask("import.finish", run=done["runId"]))).status == 409


class TestPreview:
    async def test_it_tells_everything_and_writes_nothing(self, platform: Platform, ask: Ask) -> None:
        there = await ask(
            "key.create", api="weather", wanted={"permissions": ["read"], "externalId": "user_0"}
        )
        before = await counts(platform)
        rows = [
            row(2, "a", **EVERYTHING),
            row(3, "b", externalId="user_0"),
            row(4, there["key"]),
            row(5, "c", name=""),
            {"line": 6, "left": "It was deleted there."},
        ]
        found = await ask("import.preview", api="weather", rows=rows, position=7)
        assert [(each["row"], each["outcome"]) for each in found["results"]] == [
            (8, "added"),
            (9, "added"),
            (10, "present"),
            (11, "failed"),
            (12, "passed"),
        ]
        assert "keyId" not in found["results"][0]
        assert found["identities"] == ["user_1"]
        assert found["permissions"] == ["write"]
        assert found["roles"] == ["admin"]
        assert await counts(platform) == before
        assert await ask("import.list") == []

    async def test_it_needs_an_api_and_a_migration_that_exist(self, ask: Ask) -> None:
        assert (await refusal(ask("import.preview", api="nowhere", rows=[]))).status == 404
        fault = await refusal(ask("import.preview", api="weather", migration="mig_none", rows=[]))
        assert fault.code == "unkey/data/migration_not_found"


class TestUndo:
    async def test_it_leaves_things_as_they_were(self, platform: Platform, ask: Ask) -> None:
        await ask("key.create", api="weather", wanted={"permissions": ["read"], "externalId": "user_0"})
        before = await counts(platform)
        more = EVERYTHING | {"permissions": ["read", "write"]}
        done = await whole(ask, row(2, "a", **more), row(3, "b", externalId="user_0"), row(4, "c"))
        await verdict(ask, "a")
        assert await undo(ask, done) == 3
        assert [await verdict(ask, text) for text in ("a", "b", "c")] == ["NOT_FOUND"] * 3
        assert await counts(platform) == before
        (listed,) = await ask("import.list")
        assert (listed["state"], listed["added"]) == ("undone", 3)
        assert await undo(ask, done) == 0
        assert (await whole(ask, row(2, "a")))["added"] == 1
        events = await platform.db.read(_events, ALL_WORKSPACES)
        for event in ("import.create", "import.update", "key.delete", "identity.delete", "role.delete"):
            assert event in events
        assert events.count("permission.delete") == 1

    async def test_what_is_in_use_by_now_stays(self, platform: Platform, ask: Ask) -> None:
        done = await whole(ask, row(2, "a", **EVERYTHING))
        kept = {"externalId": "user_1", "permissions": ["write"], "roles": ["admin"]}
        await ask("key.create", api="weather", wanted=kept)
        await undo(ask, done)
        after = await counts(platform)
        assert (after["identities"], after["permissions"], after["roles"]) == (1, 1, 1)

    async def test_keys_that_are_gone_already_are_no_obstacle(self, platform: Platform, ask: Ask) -> None:
        done = await whole(ask, row(2, "a"), row(3, "b"))
        who = operator((await platform.workspaces.all())[0].id)
        await platform.services.keys.delete(who, done["results"][0]["keyId"], permanent=True)
        await platform.services.keys.delete(who, done["results"][1]["keyId"], permanent=False)
        assert await undo(ask, done) == 1
        assert (await counts(platform))["keys"] == 0
        again = await whole(ask, row(2, "a"))
        await platform.services.keys.delete(who, again["results"][0]["keyId"], permanent=True)
        assert await undo(ask, again) == 0

    async def test_many_keys_are_removed_some_at_a_time(self, platform: Platform, ask: Ask) -> None:
        done = await whole(ask, *(row(n + 2, f"k{n}") for n in range(450)))
        steps = [await ask("import.undo", run=done["runId"]) for _ in range(4)]
        assert [step["removed"] for step in steps] == [200, 200, 50, 0]
        assert [step["state"] for step in steps] == ["undoing", "undoing", "undoing", "undone"]

    async def test_a_run_that_is_being_undone_takes_no_more_and_is_not_gone_on_with(self, ask: Ask) -> None:
        run = await begin(ask)
        done = await take(ask, run, row(2, "a"))
        await ask("import.undo", run=run["runId"])
        assert (await refusal(take(ask, done, row(3, "b")))).status == 409
        assert (await begin(ask))["runId"] != run["runId"]


async def test_hashes_of_a_migration_wait_for_their_first_use(ask: Ask, platform: Platform) -> None:
    who = operator((await platform.workspaces.all())[0].id)
    for algorithm, code in ((Algorithm.PREFIXED_API_KEY, "NOT_FOUND"), (Algorithm.SHA256, "VALID")):
        into = (await platform.services.migrations.create(who, algorithm)).id
        text = f"p_short_long{code}"
        hashed = text.rpartition("_")[2] if code == "NOT_FOUND" else text
        await whole(ask, row(2, hashed), migration=into)
        assert await verdict(ask, text) == code
        verified = await ask("key.verify", claim={"key": text, "migrationId": into})
        assert verified["code"] == "VALID"


async def test_runs_are_the_workspaces_own(ask: Ask) -> None:
    done = await whole(ask, row(2, "a"))
    await ask("workspace.create", name="zeta")
    for verb, more in (
        ("import.show", {}),
        ("import.undo", {}),
        ("import.finish", {}),
        ("import.take", {"position": 1, "rows": [row(3, "b")]}),
    ):
        fault = await refusal(ask(verb, run=done["runId"], workspace="zeta", **more))
        assert (fault.status, fault.code) == (404, "unkey/data/import_not_found")
    assert await ask("import.list", workspace="zeta") == []


async def _carry_out(imports: Imports, who: Principal, api_id: str, name: str) -> Run:
    """A whole import of six keys, as the command line does it."""
    run = await imports.begin(who, api_id, None, Source("csv", name))
    while run.position < 6:
        key = ForeignKey(sha256(f"{name} {run.position}".encode()).digest(), NewKey())
        run, _ = await imports.take(who, run.id, run.position, [Offered(run.position + 2, key)])
    return await imports.finish(who, run.id)


def _events(connection: Connection) -> list[str]:
    rows = connection.execute(select(audit_log).order_by(audit_log.c.workspace_id, audit_log.c.seq)).all()
    for workspace_id in {row.workspace_id for row in rows}:
        assert audit.first_break(connection, workspace_id) is None
    return [row.event for row in rows]

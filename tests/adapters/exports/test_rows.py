"""Rows of each product, in the words of the API."""

import csv
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from latchwork.adapters.exports import Budgets, Flawed, Key, Left, Row, Unreadable, rows_of

HASH = sha256(b"a").hexdigest()


def rows(place: Path, kind: str, records: Any, budgets: Budgets | None = None) -> list[Row]:
    """The rows of a file with these records: as JSON, or as CSV where they are lists of cells."""
    path = place / "file"
    if isinstance(records[0], list):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(records)
    else:
        path.write_text(json.dumps(records))
    return list(rows_of(kind, path, budgets or Budgets()))


def key(place: Path, kind: str, record: dict[str, Any], budgets: Budgets | None = None) -> dict[str, Any]:
    (row,) = rows(place, kind, [record], budgets)
    assert isinstance(row, Key), row
    return row.key


def flaw(place: Path, kind: str, record: dict[str, Any]) -> tuple[str, str]:
    (row,) = rows(place, kind, [record])
    assert isinstance(row, Flawed), row
    return row.field, row.detail


class TestPlain:
    def test_every_column_of_csv_is_read(self, tmp_path: Path) -> None:
        columns = {
            "Hash": HASH,
            "start": "prod_2aFx",
            "name": "n",
            "external_id": "user_1",
            "meta": '{"a": [1]}',
            "meta.plan": "pro",
            "roles": "admin; editor",
            "permissions": '["docs.read"]',
            "expires_at": "2030-01-31",
            "enabled": "no",
            "remaining": "7",
            "refill_interval": "monthly",
            "refill_amount": "9",
            "refill_day": "3",
            "ratelimits": "requests=100/60s;tokens=5000/1h",
            "ip_whitelist": "10.0.0.0/8",
        }
        (row,) = rows(tmp_path, "csv", [list(columns), list(columns.values())])
        assert row == Key(
            2,
            {
                "hash": HASH,
                "start": "prod_2aFx",
                "name": "n",
                "externalId": "user_1",
                "meta": {"a": [1], "plan": "pro"},
                "roles": ["admin", "editor"],
                "permissions": ["docs.read"],
                "expires": 1_896_048_000_000,
                "enabled": False,
                "credits": {
                    "remaining": 7,
                    "refill": {"interval": "monthly", "amount": 9, "refillDay": 3},
                },
                "ratelimits": [
                    {"name": "requests", "limit": 100, "duration": 60_000, "autoApply": True},
                    {"name": "tokens", "limit": 5000, "duration": 3_600_000, "autoApply": True},
                ],
                "ipWhitelist": ["10.0.0.0/8"],
            },
        )

    def test_empty_cells_say_nothing(self, tmp_path: Path) -> None:
        (row,) = rows(tmp_path, "csv", [["hash", "name", "credits", "meta.plan"], [HASH, "", "", ""]])
        assert row == Key(2, {"hash": HASH})

    def test_a_text_is_hashed_here_and_goes_no_further(self, tmp_path: Path) -> None:
        text = "prod_2aFxQv7p1M5jZ8cR4kTnYe"
        found = key(tmp_path, "csv", {"key": text})
        assert found == {"hash": sha256(text.encode()).hexdigest(), "start": "prod_2aFx"}
        assert text not in repr(found)

    def test_rows_with_the_hash_of_one_before_are_told(self, tmp_path: Path) -> None:
        found = rows(tmp_path, "csv", [{"key": "a"}, {"hash": HASH.upper()}, {"key": "b"}])
        assert found[1] == Flawed(1, "hash", "It is the key of row 1 again.")
        assert isinstance(found[2], Key)

    def test_a_column_that_nobody_knows_is_told_before_anything_is_read(self, tmp_path: Path) -> None:
        with pytest.raises(Unreadable, match=r"The column 'colour' is not known\. Known are key, hash, "):
            rows(tmp_path, "csv", [["hash", "colour"], [HASH, "red"]])
        found = rows(tmp_path, "csv", [{"hash": HASH}, {"hash": HASH, "colour": "red"}])
        assert isinstance(found[1], Flawed) and found[1].field == "colour"

    def test_broken_rows_stand_among_the_others(self, tmp_path: Path) -> None:
        found = rows(tmp_path, "csv", [["hash", "name"], [HASH], [HASH, "n"]])
        assert found[0] == Flawed(2, "", "It has 1 cells, the header has 2.")
        assert isinstance(found[1], Key)

    @pytest.mark.parametrize(
        ("record", "field"),
        [
            ({}, "hash"),
            ({"hash": "nonsense"}, "hash"),
            ({"hash": HASH, "key": "a"}, "hash"),
            ({"hash": HASH, "name": True}, "name"),
            ({"hash": HASH, "name": [1]}, "name"),
            ({"hash": HASH, "meta": "{"}, "meta"),
            ({"hash": HASH, "meta": [1]}, "meta"),
            ({"hash": HASH, "roles": {"a": 1}}, "roles"),
            ({"hash": HASH, "roles": [1]}, "roles"),
            ({"hash": HASH, "roles": "[1"}, "roles"),
            ({"hash": HASH, "expires": "soon"}, "expires"),
            ({"hash": HASH, "expires": -1}, "expires"),
            ({"hash": HASH, "enabled": "maybe"}, "enabled"),
            ({"hash": HASH, "credits": 1.5}, "credits"),
            ({"hash": HASH, "credits": True}, "credits"),
            ({"hash": HASH, "credits": "1e400"}, "credits"),
            ({"hash": HASH, "credits": float("inf")}, "credits"),
            ({"hash": HASH, "credits": 2**53}, "credits"),
            ({"hash": HASH, "refillInterval": "daily"}, "credits"),
            ({"hash": HASH, "ratelimits": "requests=many"}, "ratelimits"),
        ],
    )
    def test_what_is_wrong_with_a_row_is_told_by_its_field(
        self, tmp_path: Path, record: dict[str, Any], field: str
    ) -> None:
        named, detail = flaw(tmp_path, "csv", record)
        assert named == field
        assert detail.endswith(".")

    def test_numbers_and_moments_are_read_in_all_their_forms(self, tmp_path: Path) -> None:
        for expires in (1_900_000_000_000, "1900000000000", "2030-03-17T17:46:40Z", "2030-03-17 17:46:40"):
            assert key(tmp_path, "csv", {"hash": HASH, "expires": expires})["expires"] == 1_900_000_000_000
        assert key(tmp_path, "csv", {"hash": HASH, "credits": "5.0"})["credits"] == {"remaining": 5}
        assert key(tmp_path, "csv", {"hash": HASH, "name": 5, "enabled": True}) == {
            "hash": HASH,
            "name": "5",
            "enabled": True,
        }


class TestUnkey:
    def test_what_the_list_of_keys_answers_is_read(self, tmp_path: Path) -> None:
        text = "prod_2aFxQv7p1M5jZ8cR4kTnYe"
        record = {
            "keyId": "key_1",
            "start": "prod_2aFx",
            "enabled": True,
            "name": "n",
            "meta": {"a": 1},
            "createdAt": 1,
            "expires": 1_900_000_000_000,
            "permissions": ["p"],
            "roles": ["r"],
            "credits": {
                "remaining": 7,
                "refill": {"interval": "monthly", "amount": 9, "refillDay": 3},
            },
            "identity": {
                "id": "id_1",
                "externalId": "user_1",
                "meta": {"x": 1},
                "ratelimits": [{"name": "all"}],
            },
            "ratelimits": [
                {"id": "rl_1", "name": "requests", "limit": 5, "duration": 1000, "autoApply": True},
                {"id": "rl_2", "name": "tokens", "limit": 5, "duration": 1000, "autoApply": False},
            ],
            "plaintext": text,
        }
        (row,) = rows(tmp_path, "unkey", [record])
        assert isinstance(row, Key)
        assert row.key == {
            "hash": sha256(text.encode()).hexdigest(),
            "start": "prod_2aFx",
            "name": "n",
            "externalId": "user_1",
            "meta": {"a": 1},
            "roles": ["r"],
            "permissions": ["p"],
            "expires": 1_900_000_000_000,
            "enabled": True,
            "credits": record["credits"],
            "ratelimits": [
                {"name": "requests", "limit": 5, "duration": 1000, "autoApply": True},
                {"name": "tokens", "limit": 5, "duration": 1000, "autoApply": False},
            ],
        }
        assert len(row.notes) == 2

    def test_what_the_older_list_answers_is_read(self, tmp_path: Path) -> None:
        found = key(
            tmp_path,
            "unkey",
            {
                "id": "key_1",
                "hash": HASH,
                "ownerId": "user_1",
                "remaining": 5,
                "refill": {"interval": "daily", "amount": 10},
                "ratelimit": {"type": "fast", "limit": 3, "duration": 2000},
            },
        )
        assert found == {
            "hash": HASH,
            "externalId": "user_1",
            "credits": {"remaining": 5, "refill": {"interval": "daily", "amount": 10}},
            "ratelimits": [{"name": "default", "limit": 3, "duration": 2000, "autoApply": True}],
        }

    def test_rows_of_the_table_are_read_from_csv(self, tmp_path: Path) -> None:
        columns = {
            "id": "key_1",
            "hash": "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=",
            "start": "ab",
            "owner_id": "user_1",
            "meta": '{"a":1}',
            "expires": "2030-03-17 17:46:40",
            "enabled": "1",
            "remaining_requests": "5",
            "refill_amount": "10",
            "refill_day": "3",
            "ratelimit_limit": "3",
            "ratelimit_duration": "2000",
            "deleted_at_m": "",
            "for_workspace_id": "",
        }
        (row,) = rows(tmp_path, "unkey", [list(columns), list(columns.values())])
        assert isinstance(row, Key)
        assert row.key["hash"] == HASH
        assert row.key["credits"] == {
            "remaining": 5,
            "refill": {"interval": "monthly", "amount": 10, "refillDay": 3},
        }
        assert row.key["expires"] == 1_900_000_000_000
        assert row.key["ratelimits"][0]["limit"] == 3
        assert row.key["meta"] == {"a": 1}

    @pytest.mark.parametrize(
        ("more", "refill"),
        [
            ({"refillAmount": 4}, {"interval": "daily", "amount": 4}),
            (
                {"refill": {"interval": "monthly", "amount": 4}},
                {"interval": "monthly", "amount": 4, "refillDay": 1},
            ),
            (
                {"refill": {"interval": "daily", "amount": 4, "refillDay": 9}},
                {"interval": "daily", "amount": 4},
            ),
        ],
    )
    def test_refills_become_ours(self, tmp_path: Path, more: dict[str, Any], refill: dict[str, Any]) -> None:
        found = key(tmp_path, "unkey", {"hash": HASH, "remaining": 1} | more)
        assert found["credits"] == {"remaining": 1, "refill": refill}

    def test_without_remaining_a_key_is_unlimited(self, tmp_path: Path) -> None:
        assert key(tmp_path, "unkey", {"hash": HASH, "refillAmount": 5}) == {"hash": HASH}
        assert key(tmp_path, "unkey", {"hash": HASH, "remaining": 5})["credits"] == {"remaining": 5}

    def test_rows_that_are_not_in_use_are_passed_over(self, tmp_path: Path) -> None:
        found = rows(
            tmp_path, "unkey", [{"hash": HASH, "deleted_at_m": 5}, {"hash": HASH, "forWorkspaceId": "ws"}]
        )
        assert [type(row) for row in found] == [Left, Left]

    @pytest.mark.parametrize(
        ("record", "field"),
        [
            ({"start": "ab"}, "hash"),
            ({"hash": HASH, "pending_migration_id": "m"}, "pendingMigrationId"),
            ({"hash": HASH, "ratelimits": {"a": 1}}, "ratelimits"),
            ({"hash": HASH, "ratelimits": [{"name": "a"}]}, "ratelimits"),
        ],
    )
    def test_what_cannot_be_taken_is_told(self, tmp_path: Path, record: dict[str, Any], field: str) -> None:
        assert flaw(tmp_path, "unkey", record)[0] == field


class TestLiteLlm:
    ROW = {
        "token": HASH,
        "key_name": "sk-...abcd",
        "key_alias": "alias",
        "spend": 2.5,
        "expires": "2030-03-17T17:46:40",
        "models": ["gpt-4"],
        "aliases": {},
        "user_id": "user_1",
        "team_id": "team_1",
        "metadata": {"a": 1},
        "tpm_limit": 1000,
        "rpm_limit": 60,
        "blocked": None,
    }

    def test_the_table_of_keys_is_read(self, tmp_path: Path) -> None:
        (row,) = rows(tmp_path, "litellm", [self.ROW])
        assert isinstance(row, Key)
        assert row.key == {
            "hash": HASH,
            "name": "alias",
            "externalId": "user_1",
            "meta": {
                "a": 1,
                "litellm": {"key_name": "sk-...abcd", "team_id": "team_1", "models": ["gpt-4"]},
            },
            "expires": 1_900_000_000_000,
            "enabled": True,
            "ratelimits": [
                {"name": "requests", "limit": 60, "duration": 60_000, "autoApply": True},
                {"name": "tokens", "limit": 1000, "duration": 60_000, "autoApply": False},
            ],
        }
        assert "models are kept in meta.litellm" in row.notes[0]

    def test_it_is_read_from_csv_too(self, tmp_path: Path) -> None:
        columns = {
            "token": HASH,
            "models": '{gpt-4,"gpt 5"}',
            "metadata": "{}",
            "blocked": "t",
            "team_id": "team_1",
            "max_budget": "",
        }
        (row,) = rows(tmp_path, "litellm", [list(columns), list(columns.values())])
        assert isinstance(row, Key)
        assert (row.key["enabled"], row.key["externalId"]) == (False, "team_1")
        assert len(row.notes) == 1

    def test_a_token_that_was_stored_as_it_is_is_hashed(self, tmp_path: Path) -> None:
        assert key(tmp_path, "litellm", {"token": "sk-1"})["hash"] == sha256(b"sk-1").hexdigest()

    def test_budgets_are_not_taken_before_their_worth_is_told(self, tmp_path: Path) -> None:
        assert flaw(tmp_path, "litellm", {"token": HASH, "max_budget": 10})[0] == "max_budget"
        (row,) = rows(tmp_path, "litellm", [{"token": HASH, "max_budget": 10}], Budgets(left_out=True))
        assert isinstance(row, Key)
        assert "credits" not in row.key and "without limit" in row.notes[0]

    @pytest.mark.parametrize(
        ("more", "credits"),
        [
            ({"spend": 2.5}, {"remaining": 7500}),
            ({"spend": 99}, {"remaining": 0}),
            (
                {"budget_duration": "1d"},
                {"remaining": 10_000, "refill": {"interval": "daily", "amount": 10_000}},
            ),
            (
                {"budget_duration": "30d", "budget_reset_at": "2030-01-17T00:00:00Z"},
                {"remaining": 10_000, "refill": {"interval": "monthly", "amount": 10_000, "refillDay": 17}},
            ),
            (
                {"budget_duration": "1mo"},
                {"remaining": 10_000, "refill": {"interval": "monthly", "amount": 10_000, "refillDay": 1}},
            ),
            ({"max_budget": 0, "budget_duration": "1d"}, {"remaining": 0}),
        ],
    )
    def test_budgets_become_credits(
        self, tmp_path: Path, more: dict[str, Any], credits: dict[str, Any]
    ) -> None:
        record = {"token": HASH, "max_budget": 10.0} | more
        assert key(tmp_path, "litellm", record, Budgets(1000))["credits"] == credits

    def test_a_budget_that_returns_otherwise_is_told(self, tmp_path: Path) -> None:
        record = {"token": HASH, "max_budget": 10, "budget_duration": "7d"}
        (row,) = rows(tmp_path, "litellm", [record], Budgets(1))
        assert isinstance(row, Key)
        assert "every 7d" in row.notes[0]

    @pytest.mark.parametrize(
        ("record", "field"),
        [({}, "token"), ({"token": "short"}, "token"), ({"token": HASH, "max_budget": -1}, "max_budget")],
    )
    def test_what_cannot_be_taken_is_told(self, tmp_path: Path, record: dict[str, Any], field: str) -> None:
        assert flaw(tmp_path, "litellm", record)[0] == field

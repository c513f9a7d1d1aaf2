"""What may be handed on, and when a replaced key ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.domains.root_keys import rules
from latchwork.kernel import urns
from latchwork.kernel.faults import BadRequest

APIS = {"ks_1": "api_1"}
OWN = "unkey:v1:ws_1:"


def beyond(held: list[str], wanted: list[str]) -> list[str]:
    return rules.beyond(wanted, urns.expanded(held, "ws_1", APIS), "ws_1", APIS)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (["*"], ["*", "anything", f"{OWN}**#*", f"{OWN}keyspaces/*#read"]),
        ([f"{OWN}**#*"], ["*", "api.*.read_key", f"{OWN}**#*"]),
        (["api.*.read_key"], ["api.*.read_key", "api.api_1.read_key", f"{OWN}keyspaces/*/keys/*#read"]),
        (["api.*.read_key"], [f"{OWN}keyspaces/ks_1/keys/key_1#read_key"]),
        (
            ["api.api_1.read_key"],
            [f"{OWN}keyspaces/ks_1/keys/*#read", f"{OWN}keyspaces/ks_1/keys/key_1#read"],
        ),
        ([f"{OWN}keyspaces/*/keys/key_1#read"], [f"{OWN}keyspaces/ks_1/keys/key_1#read"]),
        ([f"{OWN}keyspaces/*/keys/*#read"], ["api.*.read_key", "api.api_7.read_key"]),
        (["documents.read"], ["documents.read"]),
        ([], []),
    ],
)
def test_what_is_held_may_be_handed_on_also_in_part(held: list[str], wanted: list[str]) -> None:
    assert beyond(held, wanted) == []


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ([], "*"),
        (["api.*.read_key"], "*"),
        (["api.*.read_key"], "api.*.read_api"),
        (["api.api_1.read_key"], "api.*.read_key"),
        (["api.api_1.read_key"], "api.api_2.read_key"),
        (["api.api_1.read_key"], f"{OWN}keyspaces/*/keys/*#read"),
        (["api.*.read_key"], f"{OWN}keyspaces/*/keys/*#write"),
        (["api.*.update_key"], f"{OWN}keyspaces/*/keys/*#write"),  # create and delete are missing
        (["api.*.read_key"], f"{OWN}**#read"),
        (["api.*.read_key"], f"{OWN}keyspaces/*/keys/*#frobnicate"),  # means nothing, so it is not held
        (["api.*.read_key"], f"{OWN}keyspaces/ks_unknown/keys/*#read"),
        (["*"], "unkey:v1:ws_2:keyspaces/*#read"),
        (["unkey:v1:ws_2:**#*"], "unkey:v1:ws_2:**#*"),
        (["a.*.c"], "a.c"),
        (["a.*.c"], "abc"),
        (["a.*."], "a.b."),
    ],
)
def test_what_goes_beyond_is_told(held: list[str], wanted: str) -> None:
    assert beyond(held, [*held, wanted] if "ws_2" not in "".join(held) else [wanted])[-1:] == [wanted]


@given(st.sets(st.sampled_from(["*", f"{OWN}**#read", f"{OWN}keyspaces/*/keys/*#write", "api.*.read_key"])))
def test_whatever_is_held_may_be_handed_on(held: set[str]) -> None:
    assert beyond(sorted(held), sorted(held)) == []


def test_a_malformed_urn_is_named() -> None:
    with pytest.raises(BadRequest) as refused:
        rules.checked(["api.*.read_key", "unkey:v1:ws_1:keyspaces/**#*"])
    assert "'unkey:v1:ws_1:keyspaces/**#*'" in refused.value.detail
    assert rules.checked(["b", "a", "b"]) == ("b", "a")


NOW = 1_800_000_000_001
MINUTE = 60_000


@pytest.mark.parametrize(
    ("expires", "grace", "ends"),
    [
        (None, 0, NOW),
        (None, None, None),
        (5, None, 5),
        (None, 1, 1_800_000_060_000),
        (None, MINUTE - 1, 1_800_000_060_000),
        (None, MINUTE, 1_800_000_120_000),
        (NOW + 5, MINUTE, NOW + 5),  # a grace never lengthens
        (NOW - 5, 0, NOW - 5),
    ],
)
def test_when_a_replaced_key_ends(expires: int | None, grace: int | None, ends: int | None) -> None:
    assert rules.old_expiry(expires, grace, NOW) == ends


def test_never_lasts_longest() -> None:
    assert rules.lasts_as_long(None, None) and rules.lasts_as_long(None, 5) and rules.lasts_as_long(5, 5)
    assert not rules.lasts_as_long(5, None) and not rules.lasts_as_long(4, 5)

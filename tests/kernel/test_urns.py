"""Permissions in the URN form: what they mean, and that they mean it in one workspace only."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.kernel import urns
from latchwork.kernel.principal import Principal

APIS = {"ks_1": "api_1", "ks_2": "api_2"}


def principal(*permissions: str, workspace_id: str = "ws_1") -> Principal:
    held = urns.expanded(permissions, workspace_id, APIS)
    return Principal(workspace_id, "key_root", None, held, "192.0.2.1", "test", "req_1")


@pytest.mark.parametrize(
    ("urn", "granted", "refused"),
    [
        ("keyspaces/*/keys/*#read_key", ["api.*.read_key", "api.api_1.read_key"], ["api.*.read_api"]),
        (
            "keyspaces/ks_1/keys/*#write",
            ["api.api_1.create_key"],
            ["api.*.create_key", "api.api_2.create_key"],
        ),
        ("keyspaces/ks_1#read", ["api.api_1.read_api", "api.api_1.read_analytics"], ["api.api_1.read_key"]),
        ("keyspaces/ks_1/**#read", ["api.api_1.read_key"], ["api.api_1.read_api", "api.api_1.verify_key"]),
        ("keyspaces/ks_9/keys/*#read_key", [], ["api.ks_9.read_key", "api.*.read_key"]),
        (
            "keyspaces/*/keys/*#write",
            ["api.*.update_key"],
            ["api.*.delete_key", "api.*.decrypt_key", "api.*.encrypt_key"],
        ),
        ("keyspaces/*/keys/*#verify_key", ["api.*.verify_key"], ["api.*.read_key"]),
        (
            "projects/*/identities/*#delete",
            ["identity.*.delete_identity"],
            ["identity.*.read_identity", "identity.*.update_identity"],
        ),
        ("projects/*/identities/id_1#read", ["identity.id_1.read_identity"], ["identity.*.read_identity"]),
        ("projects/p_1/identities/*#read", [], ["identity.*.read_identity"]),
        ("ratelimits/namespaces/*#limit", ["ratelimit.*.limit"], ["ratelimit.*.read_namespace"]),
        (
            "ratelimits/namespaces/rlns_1/overrides/*#write",
            ["ratelimit.rlns_1.set_override"],
            ["ratelimit.*.set_override"],
        ),
        (
            "ratelimits/**#read",
            ["ratelimit.*.read_override", "ratelimit.*.read_namespace"],
            ["ratelimit.*.limit"],
        ),
        ("rbac/permissions/*#write", ["rbac.*.add_permission_to_key"], ["rbac.*.create_role"]),
        ("rbac/roles/*#write", ["rbac.*.add_permission_to_role"], ["rbac.*.create_permission"]),
        (
            "rootKeys/*#write",
            ["workspace.*.create_root_key", "workspace.key_1.update_root_key"],
            ["workspace.*.read_root_key"],
        ),
        ("rootKeys/key_1#write", ["workspace.key_1.update_root_key"], ["workspace.key_2.update_root_key"]),
        ("auditLogs/*#read", ["workspace.*.read_audit_log"], ["workspace.*.read_limits"]),
        ("keyspaces/ks_1#create_key", ["api.api_1.create_key"], ["api.api_1.read_key"]),
        ("projects/*/rbac/roles/*#write", ["rbac.*.create_role"], ["rbac.*.delete_role"]),
        ("projects/*/rbac/permissions/*#delete", ["rbac.*.delete_permission"], ["rbac.*.create_role"]),
        ("projects/**#read", ["portal.*.read_portal", "identity.*.read_identity"], ["api.*.read_api"]),
        ("limits#write", ["workspace.*.update_limits"], ["workspace.*.read_limits"]),
        (
            "projects/*/portals/*/sessions/*#write",
            ["portal.*.create_portal_session"],
            ["portal.*.create_portal"],
        ),
        ("**#read", ["api.*.read_key", "workspace.*.read_usage"], ["api.*.create_key", "anything.*.read_it"]),
        ("**#*", ["api.*.create_key", "anything.at.all"], []),
    ],
)
def test_what_a_urn_means(urn: str, granted: list[str], refused: list[str]) -> None:
    who = principal(f"unkey:v1:ws_1:{urn}")
    for permission in granted:
        assert who.may(*permission.split(".")), permission
    for permission in refused:
        assert not who.may(*permission.split(".")), permission


def test_a_urn_may_be_about_one_part_of_a_thing() -> None:
    who = principal(
        "unkey:v1:ws_1:keyspaces/ks_1/keys/key_7#read", "unkey:v1:ws_1:keyspaces/*/keys/key_8#read"
    )
    assert who.may("api", "api_1", "read_key", "key_7")
    assert who.may("api", "api_2", "read_key", "key_8")
    assert not who.may("api", "api_2", "read_key", "key_7")
    assert not who.may("api", "api_1", "read_key", "key_9")
    assert not who.may("api", "api_1", "update_key", "key_7")
    assert not who.may("api", "api_1", "read_key")


@pytest.mark.parametrize(
    "text",
    [
        "unkey:v1:ws_1:keyspaces/*",
        "unkey:v1:ws_1:keyspaces/*#",
        "unkey:v1:ws_1:#read",
        "unkey:v1::keyspaces/*#read",
        "unkey:v2:ws_1:keyspaces/*#read",
        "unkey:v1:*:keyspaces/*#read",
        "unkey:v1:ws_1:keyspaces/ks_*#read",
        "unkey:v1:ws_1:keyspaces/**/keys#read",
        "unkey:v1:ws_1:keyspaces//keys#read",
        "unkey:v1:ws_1:/keyspaces#read",
        "unkey:v1:ws_1:keyspaces/#read",
        "unkey:v1:ws_1:keyspaces/***#read",
        "unkey:v1:ws_1:keyspaces/*#*",
        "unkey:v1:ws_1:keyspaces/**#*",
        "unkey:v1:ws_1:keyspaces/*#_read",
        "unkey:v1:ws_1:keyspaces/*#read_",
        "unkey:v1:ws_1:keyspaces/*#re:ad",
        "unkey:v1:ws_1:keyspaces/*#re/ad",
        "unkey:v1:ws_1:keyspaces/*#re*",
        "unkey:v1:ws_1:keyspaces/*#read#read",
        "unkey:v1:ws_1:keyspaces/*#read\n",
        "unkey:",
    ],
)
def test_what_is_no_urn_means_nothing(text: str) -> None:
    with pytest.raises(urns.BadUrn):
        urns.parse(text)
    assert urns.expanded([text], "ws_1", APIS) == {text}


def test_tuples_stay_literal() -> None:
    tuples = ["api.*.read_*", "api.**.read_key", "*.*.*", "api.api_1.*", "keyspaces/*/keys/*#read"]
    assert urns.expanded(tuples, "ws_1", APIS) == set(tuples)
    assert not principal(*tuples).may("api", "api_1", "read_key")


def test_only_the_keyspaces_that_urns_name_are_looked_up() -> None:
    held = [
        "unkey:v1:ws_1:keyspaces/ks_1/keys/*#read",
        "unkey:v1:ws_1:keyspaces/*/keys/*#read",
        "unkey:v1:ws_1:keyspaces/**#read",
        "unkey:v1:ws_2:keyspaces/ks_2#read",
        "unkey:v1:ws_1:keyspaces#read",
        "unkey:v1:ws_1:keyspaces/ks*#read",
        "api.*.read_key",
    ]
    assert urns.keyspaces_of(held, "ws_1") == {"ks_1"}


PLACES = {
    ("api", "read_api"): "keyspaces/{id}",
    ("api", "update_key"): "keyspaces/{id}/keys/{part}",
    ("api", "verify_key"): "keyspaces/{id}/keys/{part}",
    ("ratelimit", "set_override"): "ratelimits/namespaces/{id}/overrides/{part}",
    ("ratelimit", "limit"): "ratelimits/namespaces/{id}",
    ("identity", "read_identity"): "projects/*/identities/{id}",
    ("portal", "delete_portal"): "projects/*/portals/{id}",
    ("workspace", "update_limits"): "limits",
}
WORDS = {"read_api": "read", "update_key": "write", "set_override": "write", "read_identity": "read"} | {
    "delete_portal": "delete",
    "update_limits": "write",
}
IDS = ["ks_1", "ks_2", "key_1", "key_2"]
WORDS_OF_PATHS = "keyspaces keys projects identities ratelimits namespaces overrides rbac roles limits"
SEGMENT = st.sampled_from(["*", *WORDS_OF_PATHS.split(), *IDS])
PATH = st.one_of(
    st.lists(SEGMENT, min_size=1, max_size=5),
    st.sampled_from(sorted(set(PLACES.values()))).flatmap(
        lambda place: st.tuples(
            *(
                st.sampled_from(["*", *IDS] if part.startswith("{") else [part, part, "*"])
                for part in place.split("/")
            )
        ).map(list)
    ),
)
ACTION = st.sampled_from(["read", "write", "delete", *{action for _, action in PLACES}])
DEPTH = st.integers(0, 5)


def _naive(pattern: list[str], path: list[str]) -> bool:
    """The definition: `*` is one segment, a trailing `**` all that lies below."""
    if pattern[-1] == "**":
        head = pattern[:-1]
        return len(path) > len(head) and _naive([*head, *path[len(head) :]], path)
    return len(pattern) == len(path) and all(p in ("*", s) for p, s in zip(pattern, path, strict=True))


@given(PATH, DEPTH, ACTION)
def test_a_urn_grants_what_its_definition_says(path: list[str], depth: int, action: str) -> None:
    pattern = [*path[:depth], "**"] if depth < len(path) else path
    who = principal(f"unkey:v1:ws_1:{'/'.join(pattern)}#{action}")
    for ((resource, wanted), place), id_, part in product(PLACES.items(), [*IDS, "*"], [*IDS, "*"]):
        asked = place.replace("{id}", id_).replace("{part}", part).split("/")
        expected = action in (wanted, WORDS.get(wanted)) and _naive(pattern, asked)
        resource_id = id_
        if resource == "api" and id_ != "*":
            if id_ not in APIS:
                continue
            resource_id = APIS[id_]
        granted = who.may(resource, resource_id, wanted, None if part == "*" else part)
        assert granted == expected, (resource, resource_id, wanted, part)


@given(
    st.text("abcABC019_-:/#*.", max_size=30),
    st.lists(SEGMENT | st.just("**"), min_size=1, max_size=4),
    st.sampled_from(["read", "write", "*", "read_key", "verify_key"]),
)
def test_a_urn_never_crosses_workspaces(workspace: str, path: list[str], action: str) -> None:
    text = f"unkey:v1:{workspace}:{'/'.join(path)}#{action}"
    for own in ("ws_1", "WS_1", "ws_11", "ws", ""):
        meant = urns.expanded([text], own, APIS) - {text}
        if workspace != own:
            assert meant == set()
            assert not principal(text, workspace_id=own).may("api", "api_1", "read_key")


@given(st.sets(st.text(max_size=20)))
def test_without_urns_nothing_is_added(permissions: set[str]) -> None:
    plain = {each for each in permissions if not urns.is_urn(each)}
    assert urns.expanded(plain, "ws_1", APIS) == plain

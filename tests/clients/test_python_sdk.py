"""PyPI's `unkey.py`, unchanged but for the address: every method that is about what is served here."""

import inspect
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from unkey.py import Unkey, errors, models

from tests.clients.conftest import Served

HOUR_MS = 3_600_000
FAMILIES = (
    "analytics",
    "apis",
    "identities",
    "keys",
    "permissions",
    "portal",
    "ratelimit",
    "root_keys",
    "workspace",
)
ANOTHER_PRODUCT = {"get_gateway_requests", "get_runtime_logs"}
SESSIONS = {"get_verifications", "list_keys", "reroll_key"}
"""Methods of `portal` that take a cookie; the client refuses to send one, so they are tried without it."""


@pytest.fixture
def sdk(served: Served, root_key: str) -> Iterator[Unkey]:
    with client(served, root_key) as made:
        yield made


def client(served: Served, root_key: str) -> Unkey:
    """The client as its users make it, without repeating what failed."""
    return Unkey(root_key=root_key, server_url=served.url, retry_config=None)


@pytest.fixture
def api_id(sdk: Unkey) -> str:
    return sdk.apis.create_api(name="payments").data.api_id


@pytest.fixture
def key(sdk: Unkey, api_id: str) -> Any:
    return sdk.keys.create_key(api_id=api_id, prefix="pay").data


def test_every_method_of_what_is_served_is_called_here() -> None:
    source = Path(__file__).read_text()
    sdk = Unkey(root_key="none")
    for family in FAMILIES:
        methods = [
            name
            for name, _ in inspect.getmembers(getattr(sdk, family), inspect.ismethod)
            if not name.startswith("_") and not name.endswith("_async") and name not in ANOTHER_PRODUCT
        ]
        methods = [m for m in methods if m not in ("do_request", "dynamic_import") and "." not in m]
        called = [m for m in methods if f"sdk.{family}.{m}(" in source]
        wanted = [m for m in methods if not (family == "portal" and m in SESSIONS)]
        wanted = [m for m in wanted if hasattr(getattr(sdk, family), m + "_async")]
        assert set(wanted) <= set(called), family


# What goes well


def test_apis(sdk: Unkey) -> None:
    api_id = sdk.apis.create_api(name="payments").data.api_id
    assert sdk.apis.get_api(api_id=api_id).data.name == "payments"
    ids = {sdk.keys.create_key(api_id=api_id, external_id="user_1").data.key_id for _ in range(3)}
    page = sdk.apis.list_keys(api_id=api_id, limit=2)
    assert page is not None and page.result.pagination.has_more
    listed = [each.key_id for each in page.result.data]
    following = page.next()
    assert following is not None
    listed += [each.key_id for each in following.result.data]
    assert (sorted(listed), following.next()) == (sorted(ids), None)
    of_user = sdk.apis.list_keys(api_id=api_id, external_id="user_1")
    assert of_user is not None and len(of_user.result.data) == 3
    sdk.apis.delete_api(api_id=api_id)
    with pytest.raises(errors.NotFoundErrorResponse):
        sdk.apis.get_api(api_id=api_id)


def test_a_key_from_its_creation_to_its_end(sdk: Unkey, api_id: str) -> None:
    expires = int(time.time() * 1000) + HOUR_MS
    made = sdk.keys.create_key(
        api_id=api_id,
        prefix="prod",
        name="a name",
        external_id="user_2",
        meta={"plan": "pro"},
        permissions=["documents.read"],
        expires=expires,
        credits={
            "remaining": 10,
            "refill": {"interval": models.KeyCreditsRefillInterval.MONTHLY, "amount": 10, "refill_day": 15},
        },
        ratelimits=loose([{"name": "requests", "limit": 5, "duration": 60_000, "auto_apply": True}]),
    ).data
    shown = sdk.keys.get_key(key_id=made.key_id).data
    assert made.key.startswith("prod_") and made.key.startswith(shown.start)
    assert (shown.name, shown.meta, shown.expires, shown.enabled) == (
        "a name",
        {"plan": "pro"},
        expires,
        True,
    )
    assert shown.credits is not None and shown.credits.remaining == 10
    assert shown.credits.refill is not None and shown.credits.refill.refill_day == 15
    assert shown.identity is not None and shown.identity.external_id == "user_2"
    assert shown.ratelimits is not None and shown.ratelimits[0].limit == 5
    assert sdk.keys.whoami(key=made.key).data.key_id == made.key_id

    verified = sdk.keys.verify_key(key=made.key, tags=["path=/v1"], permissions="documents.read").data
    assert (verified.valid, verified.code, verified.credits) == (True, "VALID", 9)
    assert verified.ratelimits is not None and verified.ratelimits[0].remaining == 4

    sdk.keys.update_key(key_id=made.key_id, name=None, meta={"plan": "free"}, enabled=False)
    verified = sdk.keys.verify_key(key=made.key).data
    assert (verified.code, verified.name, verified.meta) == ("DISABLED", None, {"plan": "free"})
    sdk.keys.update_key(key_id=made.key_id, enabled=True, credits=None)
    assert sdk.keys.verify_key(key=made.key).data.credits is None

    sdk.keys.delete_key(key_id=made.key_id)
    assert sdk.keys.verify_key(key=made.key).data.code == "NOT_FOUND"


def test_credits(sdk: Unkey, key: Any) -> None:
    operation = models.Operation
    assert sdk.keys.update_credits(key_id=key.key_id, operation=operation.SET, value=2).data.remaining == 2
    assert (
        sdk.keys.update_credits(key_id=key.key_id, operation=operation.INCREMENT, value=3).data.remaining == 5
    )
    assert (
        sdk.keys.update_credits(key_id=key.key_id, operation=operation.DECREMENT, value=9).data.remaining == 0
    )
    assert sdk.keys.verify_key(key=key.key).data.code == "USAGE_EXCEEDED"
    assert sdk.keys.verify_key(key=key.key, credits={"cost": 0}).data.valid
    assert (
        sdk.keys.update_credits(key_id=key.key_id, operation=operation.SET, value=None).data.remaining is None
    )
    assert sdk.keys.verify_key(key=key.key).data.valid


def test_limits_within_a_verification(sdk: Unkey, key: Any) -> None:
    once: Any = [{"name": "once", "limit": 1, "duration": 60_000}]
    assert sdk.keys.verify_key(key=key.key, ratelimits=once).data.valid
    refused = sdk.keys.verify_key(key=key.key, ratelimits=once).data
    assert refused.code == "RATE_LIMITED"
    assert refused.ratelimits is not None and refused.ratelimits[0].exceeded


def test_a_key_is_verified_within_its_keyspace_only(sdk: Unkey, key: Any) -> None:
    keyspace_id = sdk.keys.verify_key(key=key.key).data.keyspace_id
    assert keyspace_id is not None
    assert sdk.keys.verify_key(key=key.key, keyspaces=[keyspace_id]).data.valid
    assert sdk.keys.verify_key(key=key.key, keyspaces=["ks_another"]).data.code == "NOT_FOUND"


def test_a_reroll(sdk: Unkey, key: Any) -> None:
    rerolled = sdk.keys.reroll_key(key_id=key.key_id, expiration=0).data
    assert rerolled.key.startswith("pay_") and rerolled.key_id != key.key_id
    assert sdk.keys.verify_key(key=rerolled.key).data.valid
    assert sdk.keys.verify_key(key=key.key).data.code == "EXPIRED"
    again = sdk.keys.reroll_key(key_id=rerolled.key_id, expiration=HOUR_MS).data
    assert sdk.keys.verify_key(key=rerolled.key).data.valid and sdk.keys.verify_key(key=again.key).data.valid


def test_permissions_and_roles_of_a_key(sdk: Unkey, key: Any) -> None:
    id_, slug = key.key_id, unique("documents")
    added = sdk.keys.add_permissions(key_id=id_, permissions=[slug]).data
    assert [each.slug for each in added] == [slug]
    assert sdk.keys.verify_key(key=key.key, permissions=slug).data.valid
    assert (
        sdk.keys.set_permissions(key_id=id_, permissions=[slug + ".a", slug + ".b"]).data[0].slug
        == slug + ".a"
    )
    left = sdk.keys.remove_permissions(key_id=id_, permissions=[slug + ".a"]).data
    assert [each.slug for each in left] == [slug + ".b"]
    role = unique("editor")
    sdk.permissions.create_role(name=role, permissions=[slug + ".edit"])
    assert sdk.keys.add_roles(key_id=id_, roles=[role]).data[0].name == role
    assert sdk.keys.verify_key(key=key.key, permissions=f"{slug}.edit AND {slug}.b").data.valid
    assert [each.name for each in sdk.keys.set_roles(key_id=id_, roles=[role]).data] == [role]
    assert sdk.keys.remove_roles(key_id=id_, roles=[role]).data == []
    assert (
        sdk.keys.verify_key(key=key.key, permissions=f"{slug}.edit").data.code == "INSUFFICIENT_PERMISSIONS"
    )


def test_permissions_and_roles(sdk: Unkey) -> None:
    slug, role = unique("invoices"), unique("accountant")
    made = sdk.permissions.create_permission(name="Invoices", slug=slug, description="Read invoices").data
    assert sdk.permissions.get_permission(permission=slug).data.id == made.permission_id
    changed = sdk.permissions.update_permission(permission=slug, name="All invoices", description=None).data
    assert (changed.name, changed.description) == ("All invoices", None)
    page = sdk.permissions.list_permissions(search=slug)
    assert page is not None and [each.slug for each in page.result.data] == [slug] and page.next() is None
    made_role = sdk.permissions.create_role(name=role, description="Does books", permissions=[slug]).data
    held = sdk.permissions.get_role(role=role).data.permissions
    assert held is not None and [each.slug for each in held] == [slug]
    roles = sdk.permissions.list_roles(search=role)
    assert roles is not None and roles.result.data[0].id == made_role.role_id and roles.next() is None
    assert sdk.permissions.update_role(role=role, description="Keeps books").data.description == "Keeps books"
    now = sdk.permissions.set_role_permissions(
        request=loose({"role_id": made_role.role_id, "permissions": []})
    ).data
    assert now == []
    sdk.permissions.delete_role(role=role)
    sdk.permissions.delete_permission(permission=slug)
    with pytest.raises(errors.NotFoundErrorResponse):
        sdk.permissions.get_permission(permission=slug)


def test_identities(sdk: Unkey, api_id: str) -> None:
    external_id = unique("user")
    limits: Any = [{"name": "requests", "limit": 1, "duration": 60_000, "auto_apply": True}]
    made = sdk.identities.create_identity(
        external_id=external_id, meta={"plan": "pro"}, ratelimits=limits
    ).data
    shown = sdk.identities.get_identity(identity=external_id).data
    assert (shown.id, shown.meta) == (made.identity_id, {"plan": "pro"})
    keys = [sdk.keys.create_key(api_id=api_id, external_id=external_id).data.key for _ in range(2)]
    assert [sdk.keys.verify_key(key=text).data.code for text in keys] == ["VALID", "RATE_LIMITED"]
    changed = sdk.identities.update_identity(identity=external_id, meta={}, ratelimits=[]).data
    assert (changed.meta or {}, changed.ratelimits or []) == ({}, [])
    assert sdk.keys.verify_key(key=keys[1]).data.valid
    page = sdk.identities.list_identities(search=external_id)
    assert (
        page is not None
        and [each.id for each in page.result.data] == [made.identity_id]
        and page.next() is None
    )
    sdk.identities.delete_identity(identity=external_id)
    assert sdk.keys.verify_key(key=keys[0]).data.identity is None


def test_rate_limits_and_overrides(sdk: Unkey) -> None:
    namespace = unique("emails")
    asked: Any = {"namespace": namespace, "identifier": "user_1", "limit": 1, "duration": 60_000}
    first = sdk.ratelimit.limit(**asked).data
    assert (first.success, first.remaining, first.limit) == (True, 0, 1)
    assert not sdk.ratelimit.limit(**asked).data.success
    many = sdk.ratelimit.multi_limit(request=[asked, asked | {"identifier": "user_2"}]).data
    assert (many.passed, [each.passed for each in many.limits]) == (False, [False, True])
    made = sdk.ratelimit.set_override(namespace=namespace, identifier="user_*", limit=9, duration=60_000).data
    assert (
        sdk.ratelimit.get_override(namespace=namespace, identifier="user_1").data.override_id
        == made.override_id
    )
    assert sdk.ratelimit.limit(**asked).data.override_id == made.override_id
    page = sdk.ratelimit.list_overrides(namespace=namespace)
    assert page is not None and page.result.data[0].limit == 9 and page.next() is None
    sdk.ratelimit.delete_override(namespace=namespace, identifier="user_*")
    with pytest.raises(errors.NotFoundErrorResponse):
        sdk.ratelimit.get_override(namespace=namespace, identifier="user_1")


def test_keys_that_move_in(sdk: Unkey, served: Served, root_key: str, api_id: str) -> None:
    migration_id = post(served, root_key, "migrations.createMigration", {"algorithm": "sha256"})[
        "migrationId"
    ]
    text = unique("old_key")
    digest = b64encode(sha256(text.encode()).digest()).decode()
    moved = sdk.keys.migrate_keys(
        migration_id=migration_id, api_id=api_id, keys=loose([{"hash": digest, "name": "old"}])
    ).data
    assert ([each.hash for each in moved.migrated], moved.failed) == ([digest], [])
    again = sdk.keys.migrate_keys(
        migration_id=migration_id, api_id=api_id, keys=loose([{"hash": digest}])
    ).data
    assert (again.migrated, again.failed) == ([], [digest])
    assert sdk.keys.verify_key(key=text, migration_id=migration_id).data.key_id == moved.migrated[0].key_id


def test_root_keys(sdk: Unkey, served: Served) -> None:
    made = sdk.root_keys.create_key(permissions=["api.*.read_api"], name="reader").data
    with client(served, made.key) as reader, pytest.raises(errors.ForbiddenErrorResponse):
        reader.apis.create_api(name="not allowed")
    page = sdk.root_keys.list_keys()
    assert page is not None and made.key_id in {each.key_id for each in page.result.data}
    sdk.root_keys.update_key(key_id=made.key_id, permissions=["api.*.create_api"])
    with client(served, made.key) as writer:
        assert writer.apis.create_api(name="allowed").data.api_id
    rerolled = sdk.root_keys.reroll_key(key_id=made.key_id, expiration=0).data
    sdk.root_keys.delete_key(key_id=rerolled.key_id)
    with client(served, rerolled.key) as gone, pytest.raises(errors.UnauthorizedErrorResponse):
        gone.apis.create_api(name="not allowed")


def test_the_workspace(sdk: Unkey, key: Any) -> None:
    sdk.keys.verify_key(key=key.key)
    assert sdk.workspace.get_limits().data.api_requests_count_max_per_minute.limit is None
    assert sdk.workspace.get_usage().data.totals.api.verifications >= 1


def test_analytics(sdk: Unkey, key: Any) -> None:
    sdk.keys.verify_key(key=key.key, tags=["a"])
    sdk.ratelimit.limit(namespace="counted", identifier="a", limit=1, duration=1000)
    counted = sdk.analytics.get_verifications(
        query=f"SELECT outcome, count() AS n FROM key_verifications_v1 WHERE key_id = '{key.key_id}' GROUP BY outcome"
    ).data
    assert counted == [{"outcome": "VALID", "n": 1}]
    limited = sdk.analytics.get_ratelimits(
        query="SELECT count() AS n FROM ratelimits_v1 WHERE identifier = 'a'"
    ).data
    assert limited[0]["n"] >= 1


def test_portals(sdk: Unkey, key: Any) -> None:
    keyspace_id = sdk.keys.verify_key(key=key.key).data.keyspace_id
    slug = unique("portal").replace("_", "-").replace(".", "-")
    made = sdk.portal.create_portal(
        request=loose({"slug": slug, "display_name": "Keys", "keyspace_id": keyspace_id})
    ).data
    assert sdk.portal.get_portal(request=loose({"portal": slug})).data.id == made.portal_id
    assert sdk.portal.update_portal(portal=slug, display_name="My keys").data.display_name == "My keys"
    session = sdk.portal.create_session(
        portal=slug, external_id="user_9", scopes=[models.Scope.KEYS_READ]
    ).result.data
    token = sdk.portal.exchange_code(code=session.url.partition("code=")[2]).result.data
    assert token.access_token.startswith("pat_") and token.expires_at > time.time() * 1000
    listed = sdk.portal.list_sessions(portal=slug)
    assert listed is not None and listed.data[0].external_id == "user_9"
    assert sdk.portal.revoke_session(portal=slug, external_id="user_9").data.sessions_revoked == 1
    sdk.portal.delete_portal(portal=slug)
    with pytest.raises(errors.NotFoundErrorResponse):
        sdk.portal.get_portal(request=loose({"portal": slug}))


# What does not

CALLS: dict[str, Callable[[Unkey], object]] = {
    "apis.create_api": lambda sdk: sdk.apis.create_api(name="never"),
    "apis.get_api": lambda sdk: sdk.apis.get_api(api_id="api_unknown"),
    "apis.list_keys": lambda sdk: sdk.apis.list_keys(api_id="api_unknown"),
    "apis.delete_api": lambda sdk: sdk.apis.delete_api(api_id="api_unknown"),
    "keys.create_key": lambda sdk: sdk.keys.create_key(api_id="api_unknown"),
    "keys.get_key": lambda sdk: sdk.keys.get_key(key_id="key_unknown"),
    "keys.whoami": lambda sdk: sdk.keys.whoami(key="unknown"),
    "keys.verify_key": lambda sdk: sdk.keys.verify_key(key="unknown"),
    "keys.update_key": lambda sdk: sdk.keys.update_key(key_id="key_unknown", enabled=False),
    "keys.delete_key": lambda sdk: sdk.keys.delete_key(key_id="key_unknown"),
    "keys.update_credits": lambda sdk: sdk.keys.update_credits(
        key_id="key_unknown", operation=models.Operation.SET, value=1
    ),
    "keys.reroll_key": lambda sdk: sdk.keys.reroll_key(key_id="key_unknown", expiration=0),
    "keys.migrate_keys": lambda sdk: sdk.keys.migrate_keys(
        migration_id="none", api_id="api_unknown", keys=loose([{"hash": "00" * 32}])
    ),
    "keys.add_permissions": lambda sdk: sdk.keys.add_permissions(key_id="key_unknown", permissions=["a"]),
    "keys.set_permissions": lambda sdk: sdk.keys.set_permissions(key_id="key_unknown", permissions=["a"]),
    "keys.remove_permissions": lambda sdk: sdk.keys.remove_permissions(
        key_id="key_unknown", permissions=["a"]
    ),
    "keys.add_roles": lambda sdk: sdk.keys.add_roles(key_id="key_unknown", roles=["a"]),
    "keys.set_roles": lambda sdk: sdk.keys.set_roles(key_id="key_unknown", roles=["a"]),
    "keys.remove_roles": lambda sdk: sdk.keys.remove_roles(key_id="key_unknown", roles=["a"]),
    "identities.create_identity": lambda sdk: sdk.identities.create_identity(external_id="never"),
    "identities.get_identity": lambda sdk: sdk.identities.get_identity(identity="id_unknown"),
    "identities.list_identities": lambda sdk: sdk.identities.list_identities(),
    "identities.update_identity": lambda sdk: sdk.identities.update_identity(identity="id_unknown", meta={}),
    "identities.delete_identity": lambda sdk: sdk.identities.delete_identity(identity="id_unknown"),
    "permissions.create_permission": lambda sdk: sdk.permissions.create_permission(name="n", slug="never"),
    "permissions.get_permission": lambda sdk: sdk.permissions.get_permission(permission="unknown"),
    "permissions.list_permissions": lambda sdk: sdk.permissions.list_permissions(),
    "permissions.update_permission": lambda sdk: sdk.permissions.update_permission(
        permission="unknown", name="n"
    ),
    "permissions.delete_permission": lambda sdk: sdk.permissions.delete_permission(permission="unknown"),
    "permissions.create_role": lambda sdk: sdk.permissions.create_role(name="never"),
    "permissions.get_role": lambda sdk: sdk.permissions.get_role(role="unknown"),
    "permissions.list_roles": lambda sdk: sdk.permissions.list_roles(),
    "permissions.update_role": lambda sdk: sdk.permissions.update_role(role="unknown", name="n"),
    "permissions.delete_role": lambda sdk: sdk.permissions.delete_role(role="unknown"),
    "permissions.set_role_permissions": lambda sdk: sdk.permissions.set_role_permissions(
        request=loose({"role_id": "role_unknown", "permissions": []})
    ),
    "ratelimit.limit": lambda sdk: sdk.ratelimit.limit(
        namespace="unknown", identifier="a", limit=1, duration=1000
    ),
    "ratelimit.multi_limit": lambda sdk: sdk.ratelimit.multi_limit(
        request=loose([{"namespace": "unknown", "identifier": "a", "limit": 1, "duration": 1000}])
    ),
    "ratelimit.set_override": lambda sdk: sdk.ratelimit.set_override(
        namespace="unknown", identifier="a", limit=1, duration=1000
    ),
    "ratelimit.get_override": lambda sdk: sdk.ratelimit.get_override(namespace="unknown", identifier="a"),
    "ratelimit.list_overrides": lambda sdk: sdk.ratelimit.list_overrides(namespace="unknown"),
    "ratelimit.delete_override": lambda sdk: sdk.ratelimit.delete_override(
        namespace="unknown", identifier="a"
    ),
    "root_keys.list_keys": lambda sdk: sdk.root_keys.list_keys(),
    "root_keys.update_key": lambda sdk: sdk.root_keys.update_key(key_id="key_unknown", enabled=False),
    "root_keys.reroll_key": lambda sdk: sdk.root_keys.reroll_key(key_id="key_unknown", expiration=0),
    "root_keys.delete_key": lambda sdk: sdk.root_keys.delete_key(key_id="key_unknown"),
    "workspace.get_limits": lambda sdk: sdk.workspace.get_limits(),
    "workspace.get_usage": lambda sdk: sdk.workspace.get_usage(),
    "analytics.get_verifications": lambda sdk: sdk.analytics.get_verifications(
        query="SELECT 1 FROM key_verifications_v1"
    ),
    "analytics.get_ratelimits": lambda sdk: sdk.analytics.get_ratelimits(query="SELECT 1 FROM ratelimits_v1"),
    "portal.create_session": lambda sdk: sdk.portal.create_session(
        portal="unknown", external_id="a", scopes=[models.Scope.KEYS_READ]
    ),
    "portal.get_portal": lambda sdk: sdk.portal.get_portal(request=loose({"portal": "unknown"})),
    "portal.update_portal": lambda sdk: sdk.portal.update_portal(portal="unknown", enabled=False),
    "portal.delete_portal": lambda sdk: sdk.portal.delete_portal(portal="unknown"),
    "portal.list_sessions": lambda sdk: sdk.portal.list_sessions(portal="unknown"),
    "portal.revoke_session": lambda sdk: sdk.portal.revoke_session(portal="unknown", external_id="a"),
}
UNFOUND = sorted(
    name
    for name in CALLS
    if not name.endswith((".create_api", ".create_identity", ".create_permission", ".create_role"))
    and name.partition(".")[2]
    not in ("list_identities", "list_permissions", "list_roles", "get_limits", "get_usage")
    and name not in ("keys.verify_key", "ratelimit.limit", "ratelimit.multi_limit", "root_keys.list_keys")
    and not name.startswith("analytics.")
    and name not in ("permissions.delete_role",)  # the client has no type for it
)
MASKED = {
    "apis.list_keys": errors.NotFoundErrorResponse,
    "keys.create_key": errors.NotFoundErrorResponse,
    "keys.whoami": errors.NotFoundErrorResponse,
    "portal.create_session": errors.NotFoundErrorResponse,
}
"""What is told instead of a lack of permission, so that nobody learns what exists."""
BY_ID_FIRST = (
    "keys.",
    "ratelimit.set",
    "ratelimit.get",
    "ratelimit.list",
    "ratelimit.delete",
    "identities.get",
    "root_keys.",
    "portal.",
)
"""Where what does not exist is told before what is not allowed."""


@pytest.mark.parametrize("name", CALLS)
def test_an_unknown_root_key_is_told_as_such(served: Served, name: str) -> None:
    with (
        client(served, "lw_root_" + "x" * 40) as stranger,
        pytest.raises(errors.UnauthorizedErrorResponse) as caught,
    ):
        CALLS[name](stranger)
    assert caught.value.data.error.status == 401


@pytest.mark.parametrize("name", UNFOUND)
def test_what_does_not_exist_is_told_as_such(sdk: Unkey, name: str) -> None:
    with pytest.raises(errors.NotFoundErrorResponse) as caught:
        CALLS[name](sdk)
    assert caught.value.data.error.status == 404 and caught.value.data.meta.request_id.startswith("req_")


@pytest.fixture(scope="module")
def powerless(served: Served) -> str:
    return served.root_key("nothing.*.nothing")


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in CALLS
        if name not in ("keys.verify_key", "identities.list_identities", "root_keys.list_keys")
    ],
)
def test_a_lack_of_permission_is_told_as_such_or_masked(served: Served, powerless: str, name: str) -> None:
    wanted: Any = MASKED.get(name, errors.ForbiddenErrorResponse)
    if name.startswith(BY_ID_FIRST) and name in UNFOUND:
        wanted = (errors.NotFoundErrorResponse, errors.ForbiddenErrorResponse)
    with client(served, powerless) as sdk, pytest.raises(wanted):
        CALLS[name](sdk)


@pytest.fixture(scope="module")
def without_quota(served: Served) -> str:
    return served.root_key("*", quota=0)


@pytest.mark.parametrize("name", CALLS)
def test_a_used_up_quota_is_told_as_such(served: Served, without_quota: str, name: str) -> None:
    with client(served, without_quota) as sdk, pytest.raises(errors.TooManyRequestsErrorResponse) as caught:
        CALLS[name](sdk)
    assert caught.value.data.error.status == 429
    assert int(caught.value.headers["retry-after"]) >= 1


def test_conflicts_are_told_as_such(sdk: Unkey, key: Any) -> None:
    slug, role, external_id = unique("slug"), unique("role"), unique("user")
    sdk.permissions.create_permission(name="n", slug=slug)
    sdk.permissions.create_role(name=role)
    sdk.identities.create_identity(external_id=external_id)
    keyspace_id = sdk.keys.verify_key(key=key.key).data.keyspace_id
    portal: Any = {"slug": unique("p").replace(".", "-"), "display_name": "Keys", "keyspace_id": keyspace_id}
    sdk.portal.create_portal(request=portal)
    for again in (
        lambda: sdk.permissions.create_permission(name="n", slug=slug.upper()),
        lambda: sdk.permissions.create_role(name=role),
        lambda: sdk.identities.create_identity(external_id=external_id),
        lambda: sdk.portal.create_portal(request=portal),
    ):
        with pytest.raises(errors.ConflictErrorResponse):
            again()


def test_bad_input_is_told_field_by_field(sdk: Unkey) -> None:
    with pytest.raises(errors.BadRequestErrorResponse) as caught:
        sdk.apis.create_api(name="x")
    assert caught.value.data.error.errors[0].location == "/properties/name/minLength"
    with pytest.raises(errors.BadRequestErrorResponse):
        sdk.analytics.get_verifications(query="DROP TABLE key_verifications_v1")


def test_a_protected_api_is_told_as_such(sdk: Unkey, served: Served, root_key: str, api_id: str) -> None:
    post(served, root_key, "apis.updateApi", {"apiId": api_id, "deleteProtection": True})
    with pytest.raises(errors.PreconditionFailedErrorResponse):
        sdk.apis.delete_api(api_id=api_id)


def test_a_deleted_namespace_is_told_as_gone(sdk: Unkey, served: Served, root_key: str) -> None:
    namespace = unique("gone")
    sdk.ratelimit.limit(namespace=namespace, identifier="a", limit=1, duration=1000)
    post(served, root_key, "ratelimit.deleteNamespace", {"namespace": namespace})
    with pytest.raises(errors.GoneErrorResponse):
        sdk.ratelimit.limit(namespace=namespace, identifier="a", limit=1, duration=1000)


def loose(value: Any) -> Any:
    """Plain members, as the client takes them beside its own models."""
    return value


def post(served: Served, root_key: str, procedure: str, body: dict[str, Any]) -> Any:
    """A procedure that the client does not know."""
    return served.running.post(procedure, body, root_key)


def unique(name: str) -> str:
    """A name that no other test has."""
    return f"{name}.{time.monotonic_ns()}"

"""Nothing that opens a door stands in any file: databases, their logs, what is shared, what waits, what is logged."""

from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

from tests.cli.processes import Running, serving
from tests.engines.postgres import Postgres
from tests.engines.redis import Redis

_DEBUG = {"LATCHWORK_LOG__LEVEL": "debug"}
_ENOUGH = 100


def _made(server: Running, root_key: str) -> list[str]:
    """The text of many keys of every kind, each of which has been used, wrongly too."""
    api_id = server.post("apis.createApi", {"name": "payments"}, root_key)["apiId"]
    wanted = {"apiId": api_id, "externalId": "user_1", "credits": {"remaining": 9}}
    texts = [server.post("keys.createKey", wanted, root_key)["key"] for _ in range(_ENOUGH)]
    for text in texts:
        server.post("keys.verifyKey", {"key": text}, root_key)
        server.post("keys.verifyKey", {"key": f"{text}x", "tags": ["a"]}, root_key)
    limit = {"name": "calls", "limit": 5, "duration": 60_000}
    server.post("keys.verifyKey", {"key": texts[0], "ratelimits": [limit]}, root_key)
    replaced = server.post("keys.whoami", {"key": texts[1]}, root_key)["keyId"]
    texts.append(server.post("keys.rerollKey", {"keyId": replaced, "expiration": 0}, root_key)["key"])
    other = server.post("rootKeys.createKey", {"permissions": ["api.*.read_api"]}, root_key)["key"]
    server.post("apis.listApis", {}, other)
    keyspace = server.post("apis.getApi", {"apiId": api_id}, root_key)["keyspaceId"]
    portal = {"slug": "keys", "displayName": "Keys", "keyspaceId": keyspace}
    server.post("portal.createPortal", portal, root_key)
    session = {"portal": "keys", "externalId": "user_1", "scopes": ["keys:read"]}
    code = server.post("portal.createSession", session, root_key)["url"].partition("?code=")[2]
    token = server.post("portal.exchangeCode", {"code": code}, root_key)["accessToken"]
    server.post("portal.listKeys", {}, token)
    return [*texts, root_key, other, code, token]


def _found(directories: Iterable[Path], secrets: Iterable[str]) -> list[str]:
    """The files in which one of the secrets stands, as it is or in part or in another form."""
    forms = [
        form
        for secret in secrets
        for form in (
            secret.encode(),
            secret[-20:].encode(),
            b64encode(secret.encode())[:-4],
            secret.encode().hex().encode(),
        )
    ]
    files = [file for directory in directories for file in directory.rglob("*") if file.is_file()]
    assert files
    return [str(file) for file in files if any(form in file.read_bytes() for form in forms)]


def test_no_key_stands_in_a_file_of_a_server_by_itself(tmp_path: Path) -> None:
    with serving(tmp_path, **_DEBUG) as server:
        secrets = _made(server, server.ready["rootKey"])
        assert _found([tmp_path], secrets) == []
    assert _found([tmp_path], secrets) == []
    assert _found([tmp_path], ["user_1"]), "what is no secret is found"


def test_no_key_stands_in_a_file_of_what_nodes_share(
    tmp_path: Path, postgres: Postgres, postgres_url: str, redis: Redis, redis_url: str
) -> None:
    shared = {"LATCHWORK_DATABASE_URL": postgres_url, "LATCHWORK_REDIS_URL": redis_url}
    with serving(tmp_path, **_DEBUG, **shared) as server:
        secrets = _made(server, server.ready["rootKey"])
        assert redis.command("SAVE") == "OK"
        assert redis.command("DBSIZE") != "0"
    assert _found([tmp_path, postgres.data, redis.home], secrets) == []
    assert _found([postgres.data], ["user_1"])


def test_a_key_of_the_environment_stands_in_no_file_either(tmp_path: Path) -> None:
    secret = "lw_root_" + "d" * 40
    with serving(tmp_path, LATCHWORK_BOOTSTRAP_ROOT_KEY=secret, **_DEBUG) as server:
        server.post("apis.createApi", {"name": "payments"}, secret)
    assert _found([tmp_path], [secret]) == []

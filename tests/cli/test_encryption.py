"""Encryption keys from the command line: making, changing and telling of them."""

import stat
from pathlib import Path
from typing import Any

import pytest

from latchwork.kernel.sealing import SealingKey
from tests.cli.processes import Running, latchwork, serving

FILE = "LATCHWORK_ENCRYPTION__KEY_FILE"
KEY = "LATCHWORK_ENCRYPTION__KEY"
OLD_KEYS = "LATCHWORK_ENCRYPTION__OLD_KEYS"


def _first(file: Path) -> SealingKey:
    return SealingKey.of_text(file.read_text().splitlines()[0])


def _recoverable(server: Running, root_key: str) -> dict[str, Any]:
    api_id = server.post("apis.createApi", {"name": "weather"}, root_key)["apiId"]
    server.post("apis.updateApi", {"apiId": api_id, "storeEncryptedKeys": True}, root_key)
    made: dict[str, Any] = server.post("keys.createKey", {"apiId": api_id, "recoverable": True}, root_key)
    return made


def _text(server: Running, made: dict[str, Any], root_key: str) -> Any:
    return server.post("keys.getKey", {"keyId": made["keyId"], "decrypt": True}, root_key)["plaintext"]


def test_a_key_is_printed_and_nothing_else(tmp_path: Path) -> None:
    printed = latchwork(tmp_path, "encryption", "generate-key")
    assert printed.out == SealingKey.of_text(printed.out).reveal() + "\n"
    made = latchwork(tmp_path, "encryption", "generate-key", "--json").json
    assert SealingKey.of_text(made["key"]).id == made["keyId"]
    assert list(tmp_path.iterdir()) == []


def test_a_key_in_a_file_is_for_its_owner_and_stands_above_the_older_ones(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    told = latchwork(tmp_path, "encryption", "generate-key", "--file", "keys").out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first = _first(file)
    assert first.id in told and first.reveal() not in told
    again = latchwork(tmp_path, "encryption", "generate-key", "--file", "keys", "--json").json
    assert again["keyId"] == _first(file).id != first.id
    assert file.read_text().splitlines()[1] == first.reveal()
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    ended = latchwork(tmp_path, "encryption", "generate-key", "--file", "nowhere/keys", "--json")
    assert (ended.code, ended.error["code"]) == (1, "cli/encryption_key")
    assert "nowhere/keys" in ended.error["detail"]


def test_a_running_server_takes_a_new_key_without_a_pause(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    latchwork(tmp_path, "encryption", "generate-key", "--file", "keys")
    old = _first(file)
    with serving(tmp_path, **{FILE: "keys"}) as server:
        root_key = server.ready["rootKey"]
        made = _recoverable(server, root_key)
        latchwork(tmp_path, "encryption", "generate-key", "--file", "keys")
        new = _first(file)
        done = latchwork(tmp_path, "encryption", "rotate", "--json", **{FILE: "keys"}).json
        assert done == {"keyId": new.id, "rotated": 1, "dataKeys": 1}
        file.write_text(new.reveal())
        assert latchwork(tmp_path, "encryption", "rotate", "--json", **{FILE: "keys"}).json["rotated"] == 0
        told = latchwork(tmp_path, "encryption", "status", **{FILE: "keys"}).out
        assert told.splitlines() == [f"Encrypting with {new.id}.", f"{new.id}\t1\tgiven"]
        assert _text(server, made, root_key) == made["key"]
    log = (tmp_path / "stderr.txt").read_text()
    assert not [key for key in (old.reveal(), new.reveal(), made["key"]) if key in log]


def test_a_key_is_made_recoverable_where_that_is_set_up(tmp_path: Path) -> None:
    latchwork(tmp_path, "workspace", "create", "acme")
    latchwork(tmp_path, "api", "create", "weather")
    refused = latchwork(tmp_path, "key", "create", "--api", "weather", "--recoverable", "--json")
    assert (refused.code, refused.error["status"]) == (1, 412)


def test_without_a_server_the_keys_of_the_environment_are_changed(tmp_path: Path) -> None:
    old, new = SealingKey.fresh(), SealingKey.fresh()
    with serving(tmp_path, **{KEY: old.reveal()}) as server:
        root_key = server.ready["rootKey"]
        made = _recoverable(server, root_key)
    wrong = latchwork(tmp_path, "encryption", "rotate", "--json", **{KEY: new.reveal()})
    assert (wrong.code, wrong.error["status"]) == (1, 412)
    assert wrong.error["detail"].startswith("Nothing was changed") and old.id in wrong.error["detail"]
    none = latchwork(tmp_path, "encryption", "rotate", "--json")
    assert (none.code, none.error["status"]) == (1, 412)
    missing = latchwork(tmp_path, "encryption", "status")
    assert missing.out.splitlines() == ["Encrypting with no key.", f"{old.id}\t1\tmissing"]
    both = {KEY: new.reveal(), OLD_KEYS: old.reveal()}
    with serving(tmp_path, **{KEY: new.reveal()}):
        assert old.id in (tmp_path / "stderr.txt").read_text()
    done = latchwork(tmp_path, "encryption", "rotate", **both)
    assert done.out == f"1 data keys are encrypted with {new.id}; 1 were not before.\n"
    with serving(tmp_path, **{KEY: new.reveal()}) as server:
        assert _text(server, made, root_key) == made["key"]


@pytest.mark.parametrize("content", ["", "nonsense"])
def test_a_file_without_a_key_stops_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys").write_text(content)
    ended = latchwork(tmp_path, "serve", "--port", "0", "--json", **{FILE: "keys"})
    assert (ended.code, ended.error["code"]) == (1, "cli/encryption_key")

"""Where the operator's encryption keys come from."""

from pathlib import Path

import pytest

from latchwork.compose.encryption import keyring_of
from latchwork.domains.encryption import EncryptionKeyUnusable
from latchwork.kernel.sealing import SealingKey
from latchwork.settings import EncryptionSettings, Secret

NEW, OLD = SealingKey.fresh(), SealingKey.fresh()


def _ids(settings: EncryptionSettings) -> list[str]:
    keyring = keyring_of(settings)
    assert keyring is not None
    return [keyring.current.id, *(key.id for key in keyring.older)]


def test_without_settings_there_is_no_key() -> None:
    assert keyring_of(EncryptionSettings()) is None


def test_keys_come_from_the_settings_themselves() -> None:
    settings = EncryptionSettings(key=Secret(NEW.reveal()), old_keys=(Secret(OLD.reveal()),))
    assert _ids(settings) == [NEW.id, OLD.id]


def test_keys_come_from_the_lines_of_a_file_each_time_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# the operator's\n\n  {OLD.reveal()}\n")
    settings = EncryptionSettings(key_file=file)
    assert _ids(settings) == [OLD.id]
    file.write_text(f"{NEW.reveal()}\n{OLD.reveal_bytes().hex()}\n")
    assert _ids(settings) == [NEW.id, OLD.id]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: no such file or directory."),
        (b"\xff\xfe", "is not text."),
        (b"# nothing\n\n", "holds no key."),
        (f"{NEW.reveal()}\nhunter2hunter2\n".encode(), "is not a key: it must be 32 bytes, not 10."),
    ],
    ids=["missing", "not text", "empty", "not a key"],
)
def test_a_file_that_cannot_be_used_is_told_of_without_what_is_in_it(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(EncryptionKeyUnusable) as caught:
        keyring_of(EncryptionSettings(key_file=file))
    assert caught.value.detail.endswith(said)
    assert str(file) in caught.value.detail
    assert "hunter2" not in caught.value.detail

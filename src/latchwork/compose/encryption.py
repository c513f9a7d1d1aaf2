"""The operator's encryption keys, from the settings or from the file that they name."""

from collections.abc import Iterable

from latchwork.domains.encryption import EncryptionKeyUnusable, Keyring
from latchwork.kernel.sealing import SealingKey
from latchwork.settings import EncryptionSettings


def keyring_of(settings: EncryptionSettings) -> Keyring | None:
    """The keys as they are now, `None` without any; raises `EncryptionKeyUnusable`."""
    if settings.key_file is not None:
        return _in_file(settings)
    if settings.key is None:
        return None
    texts = [settings.key.reveal(), *(key.reveal() for key in settings.old_keys)]
    return _ring(SealingKey.of_text(text) for text in texts)


def _in_file(settings: EncryptionSettings) -> Keyring:
    file = settings.key_file
    assert file is not None
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise EncryptionKeyUnusable(f"The encryption key file {file} cannot be read: {reason}.") from error
    except UnicodeDecodeError as error:
        raise EncryptionKeyUnusable(f"The encryption key file {file} is not text.") from error
    keys = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            keys.append(_key(line, f"Line {number} of the encryption key file {file}"))
    if not keys:
        raise EncryptionKeyUnusable(f"The encryption key file {file} holds no key.")
    return _ring(keys)


def _key(text: str, where: str) -> SealingKey:
    try:
        return SealingKey.of_text(text)
    except ValueError as reason:  # which says nothing of the key itself
        raise EncryptionKeyUnusable(f"{where} is not a key: it {reason}.") from None


def _ring(keys: Iterable[SealingKey]) -> Keyring:
    current, *older = keys
    return Keyring(current, tuple(older))

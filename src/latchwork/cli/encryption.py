"""`latchwork encryption`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from latchwork.cli.failures import Failure
from latchwork.cli.options import Asked, everywhere, sheet, without_data

if TYPE_CHECKING:
    from latchwork.kernel.sealing import SealingKey


@click.group()
def encryption() -> None:
    """The key that recoverable keys are encrypted with."""


@encryption.command("generate-key")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="Write it there instead.")
@without_data
def generate_key(asked: Asked, file: Path | None) -> None:
    """Print a new encryption key.

    With --file it becomes the first line of that file, the one in use; the keys that were there stay below
    it, so that they still decrypt. Nothing else is changed: `latchwork encryption rotate` does that.
    """
    from latchwork.kernel.sealing import SealingKey

    key = SealingKey.fresh()
    if file is None:
        asked.show({"keyId": key.id, "key": key.reveal()}, lambda: click.echo(key.reveal()))
        return
    _put_first(key, file)
    asked.show({"keyId": key.id, "file": str(file)}, lambda: _tell_kept(key, file))


@encryption.command()
@everywhere
def rotate(asked: Asked) -> None:
    """Encrypt with the key that the settings give now.

    Re-encrypts what the keys are encrypted with, not the keys themselves, with the server stopped or
    running; a running server reads LATCHWORK_ENCRYPTION__KEY_FILE again. What is missing or wrong is told
    before anything is changed, and what was interrupted is finished by doing it again.
    """
    done = asked.perform("encryption.rotate")
    text = (
        f"{done['dataKeys']} data keys are encrypted with {done['keyId']}; {done['rotated']} were not before."
    )
    asked.show(done, lambda: click.echo(text))


@encryption.command()
@everywhere
def status(asked: Asked) -> None:
    """Tell which key is in use, and which are still needed."""
    found = asked.perform("encryption.status")

    def for_people() -> None:
        click.echo(f"Encrypting with {found['keyId'] or 'no key'}.")
        missing = set(found["missing"])
        rows = [
            (key_id, str(count), "missing" if key_id in missing else "given")
            for key_id, count in found["dataKeys"].items()
        ]
        sheet(rows, ("key", "data keys", "in the settings"))

    asked.show(found, for_people)


def _put_first(key: "SealingKey", file: Path) -> None:
    """Replace the file in one step, readable by its owner only."""
    import os
    import tempfile

    try:
        before = file.read_bytes() if file.exists() else b""
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # made with mode 0600
        with os.fdopen(descriptor, "wb") as fresh:
            fresh.write(key.reveal().encode() + b"\n" + before)
            fresh.flush()
            os.fsync(fresh.fileno())
        Path(name).replace(file)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Failure("cli/encryption_key", f"The key cannot be written to {file}: {reason}.") from error


def _tell_kept(key: "SealingKey", file: Path) -> None:
    click.echo(
        f"Wrote {key.id} to {file}. Keep a copy elsewhere: what it encrypts cannot be read without it."
    )

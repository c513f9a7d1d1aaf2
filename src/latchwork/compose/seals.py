"""The seals of the audit log, in a file of the data directory: one line of JSON each."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec

from latchwork.domains.audit import Seal

KEPT = 100
"""Seals of each workspace that outlive a rewriting of the file."""

_REWRITTEN_AT = 10 * KEPT  # seals of one workspace


class SealFile:
    """The port `Seals` on the file `path`. A line that cannot be read, such as the last after a crash, is none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[Seal]:
        """What is kept, the oldest first."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        return [seal for line in lines if (seal := _read(line)) is not None]

    def keep(self, seals: Sequence[Seal]) -> None:
        """Add some, durably."""
        kept = self.all()
        if len(kept) < _REWRITTEN_AT:
            self._write(self._path, b"".join(map(_line, seals)), os.O_APPEND)
            return
        by_workspace: dict[str, list[Seal]] = defaultdict(list)
        for seal in (*kept, *seals):
            by_workspace[seal.workspace_id].append(seal)
        latest = [seal for of_one in by_workspace.values() for seal in of_one[-KEPT:]]
        beside = self._path.with_suffix(".new")
        self._write(beside, b"".join(map(_line, latest)), os.O_TRUNC)
        beside.replace(self._path)

    @staticmethod
    def _write(path: Path, lines: bytes, mode: int) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | mode, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(lines)
            file.flush()
            os.fsync(descriptor)


def _line(seal: Seal) -> bytes:
    return msgspec.json.encode(asdict(seal)) + b"\n"


def _read(line: bytes) -> Seal | None:
    try:
        return msgspec.json.decode(line, type=Seal)
    except msgspec.DecodeError:
        return None

"""Migrations: keys that were issued elsewhere, taken over by their hashes.

Nobody has to be sent a new key: a hash of the whole key verifies at once, and a key of which only a part was
hashed is recognised by that part at its first use, and known by its whole text from then on.
"""

from latchwork.domains.migrations.faults import KeyAlreadyExists, MalformedKey, MigrationNotFound
from latchwork.domains.migrations.queue import KeyQueue
from latchwork.domains.migrations.records import Algorithm, ForeignKey, Migrated, Migration, Offer
from latchwork.domains.migrations.rules import digest_of_hash
from latchwork.domains.migrations.rules import start_of as shown_of
from latchwork.domains.migrations.service import Migrations

__all__ = [
    "Algorithm",
    "ForeignKey",
    "KeyAlreadyExists",
    "KeyQueue",
    "MalformedKey",
    "Migrated",
    "Migration",
    "MigrationNotFound",
    "Migrations",
    "Offer",
    "digest_of_hash",
    "shown_of",
]

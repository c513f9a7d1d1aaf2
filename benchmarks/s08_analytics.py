"""S8: ten million verifications over 30 days: how fast they are stored, how small, how fast a chart is drawn.

The events go the way that a server's go, in its own classes: columns, spooled batches, DuckDB. 5,000 keys of
which some are used much more than others, in ten keyspaces; a third of the events carry one of 50 sets of
tags. Nothing is asked twice of the same open database; the database is opened anew before the questions.
"""

import os
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.harness import cores, scratch
from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.domains.analytics import VerificationsQuestion
from latchwork.domains.analytics.batches import Draft, read
from latchwork.domains.analytics.records import Row
from latchwork.kernel.ids import new_id, new_request_id

BATCH = 245_760
EVENTS = 41 * BATCH
SLICE = 960
KEYS = 5_000
KEYSPACES = 10
DAY_MS = 86_400_000
END_MS = 1_767_225_600_000
START_MS = END_MS - 30 * DAY_MS
ROUNDS = 5


@dataclass(eq=False, slots=True)
class Subject:
    workspace_id: str
    keyspace_id: str
    key_id: str
    identity_id: str
    external_id: str


class Work:
    """What the events are made of, drawn once; a batch is made of them quickly."""

    def __init__(self) -> None:
        drawn = random.Random(8)
        workspace = new_id("ws")
        self.keyspaces = [new_id("ks") for _ in range(KEYSPACES)]
        self.subjects = [
            Subject(
                workspace, self.keyspaces[n * KEYSPACES // KEYS], new_id("key"), new_id("id"), f"user_{n}"
            )
            for n in range(KEYS)
        ]
        self.tags = [[f"path=/v1/{n}", f"region={n % 3}"] for n in range(50)]
        self._keys = [self.subjects[int(KEYS * drawn.random() ** 2)] for _ in range(99_991)]
        self._outcomes = drawn.choices(("VALID", "RATE_LIMITED", "EXPIRED"), (90, 8, 2), k=9_973)
        self._tagged = [drawn.choice(self.tags) if drawn.random() < 0.33 else [] for _ in range(9_967)]
        self._latencies = [drawn.randint(8, 80) for _ in range(997)]

    def rows(self, first: int, count: int) -> list[Row]:
        """The events from number `first` on."""
        step = (END_MS - START_MS) / EVENTS
        return [
            (
                START_MS + int(n * step),
                new_request_id(),
                self._keys[n % 99_991],
                self._outcomes[n % 9_973],
                self._tagged[n % 9_967],
                0,
                self._latencies[n % 997],
            )
            for n in range(first, first + count)
        ]

    def question(self, **changes: object) -> VerificationsQuestion:
        """An hourly chart over all 30 days of the keyspace that is used most."""
        asked: dict[str, object] = {
            "workspace_id": self.subjects[0].workspace_id,
            "keyspace_id": self.keyspaces[0],
            "start_ms": START_MS,
            "end_ms": END_MS,
            "group_by": frozenset({"hour"}),
        }
        return VerificationsQuestion(**(asked | changes))  # type: ignore[arg-type]


def run() -> Iterator[Figure]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        with scratch("events") as folder:
            yield from _measured(folder / "analytics.duckdb")
    finally:
        os.sched_setaffinity(0, allowed)


def _measured(path: Path) -> Iterator[Figure]:
    work = Work()
    store = DuckDbAnalytics(path)
    store.open()
    encoding_s, storing_s, storing_wall_s = _stored(work, store)
    store.close()
    yield Figure(
        "S8",
        "events stored in a second, in batches",
        EVENTS / storing_wall_s,
        "least",
        200_000,
        "",
        {"to_columns_us": encoding_s / EVENTS * 1e6, "store_us": storing_s / EVENTS * 1e6},
    )
    yield Figure("S8", "bytes of an event on disk", path.stat().st_size / EVENTS, "most", 20, "B")
    store.open()
    for what, question in {
        "one keyspace": work.question(),
        "one key": work.question(key_ids=(work.subjects[0].key_id,)),
        "one tag": work.question(tags=(work.tags[0][0],)),
    }.items():
        times = [_asked_ms(store, question) for _ in range(ROUNDS)]
        title = f"hourly chart over 30 days of {what}"
        yield Figure("S8", title, statistics.median(times), "most", 100, "ms", {"worst": max(times)})
    store.close()


def _stored(work: Work, store: DuckDbAnalytics) -> tuple[float, float, float]:
    """Processor seconds to make columns and to store them, and seconds of the clock for the latter."""
    encoding_s = storing_s = storing_wall_s = 0.0
    for first in range(0, EVENTS, BATCH):
        slices = [work.rows(at, SLICE) for at in range(first, first + BATCH, SLICE)]
        draft = Draft()
        began = time.process_time()
        frames = [draft.frame(rows, []) for rows in slices]
        encoding_s += time.process_time() - began
        began, began_wall = time.process_time(), time.monotonic()
        store.ingest(read(draft.name, b"".join(frames)))
        storing_s += time.process_time() - began
        storing_wall_s += time.monotonic() - began_wall
    return encoding_s, storing_s, storing_wall_s


def _asked_ms(store: DuckDbAnalytics, question: VerificationsQuestion) -> float:
    began = time.monotonic()
    found = store.count(question, 60)
    assert len(found) == 720
    return (time.monotonic() - began) * 1000

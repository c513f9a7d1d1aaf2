"""What DuckDB remembers of batches, and for how long."""

from pathlib import Path

from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.domains.analytics.batches import Draft, read
from tests.domains.analytics.recordings import question, verification


def test_only_the_names_of_batches_that_may_come_again_are_kept_for_good(tmp_path: Path) -> None:
    store = DuckDbAnalytics(tmp_path / "analytics.duckdb")
    store.open()
    batches = [read(name, Draft().frame([verification()], [])) for name in ("b_1", "b_2")]
    for batch in batches:
        store.ingest(batch)
    store.forget(["b_2"])
    for batch in batches:
        store.ingest(batch)
    assert store.count(question(), 10.0)[0].total == 3
    store.close()

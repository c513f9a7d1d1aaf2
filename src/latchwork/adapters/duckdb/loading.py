"""Loading a batch: shared things first, then the events, then what is kept of them by hour and by key."""

from typing import TYPE_CHECKING

from latchwork.adapters.duckdb.arrow import arrow
from latchwork.domains.analytics import Batch

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SPACES = """
INSERT INTO spaces
SELECT nextval('numbers'), workspace_id, space_id
FROM (SELECT workspace_id, key_space_id AS space_id FROM new_subjects
      UNION SELECT workspace_id, namespace_id FROM new_namespaces) AS new
ANTI JOIN spaces USING (workspace_id, space_id)
"""
_SUBJECTS = """
INSERT INTO subjects
SELECT nextval('numbers'), spaces.number, key_id, identity_id, external_id
FROM (SELECT DISTINCT workspace_id, key_space_id AS space_id, key_id, identity_id, external_id FROM new_subjects) AS new
JOIN spaces USING (workspace_id, space_id)
ANTI JOIN subjects ON subjects.key_id = new.key_id AND subjects.identity_id = new.identity_id
  AND subjects.external_id = new.external_id AND subjects.space = spaces.number
"""
_KNOWN_SUBJECTS = """
CREATE TEMP TABLE known_subjects AS
SELECT new.number AS local, subjects.number, subjects.space
FROM new_subjects AS new
JOIN spaces ON spaces.workspace_id = new.workspace_id AND spaces.space_id = new.key_space_id
JOIN subjects ON subjects.key_id = new.key_id AND subjects.identity_id = new.identity_id
  AND subjects.external_id = new.external_id AND subjects.space = spaces.number
"""
_TAGS = "SELECT number AS local, from_json(tags, '[\"VARCHAR\"]') AS tags FROM new_tagsets"
_TAGSETS = f"""
INSERT INTO tagsets
SELECT nextval('numbers'), tags FROM (SELECT DISTINCT tags FROM ({_TAGS})) AS new
ANTI JOIN tagsets USING (tags)
"""  # noqa: S608
_KNOWN_TAGSETS = f"""
CREATE TEMP TABLE known_tagsets AS
SELECT local, tagsets.number FROM ({_TAGS}) AS new JOIN tagsets USING (tags)
"""  # noqa: S608
# Numbers are looked up in lists, not joined: of a join DuckDB, which cannot know how many events there are,
# would put the events on the wrong side.
_SPACE = "(SELECT list(space ORDER BY local) FROM known_subjects)[subject + 1]"
_OUTCOME = "(SELECT list(outcome ORDER BY number) FROM outcomes)[outcome + 1]"
_VERIFICATIONS = f"""
INSERT INTO verifications
SELECT time, {_SPACE}, (SELECT list(number ORDER BY local) FROM known_subjects)[subject + 1], {_OUTCOME},
  (SELECT list(number ORDER BY local) FROM known_tagsets)[tags + 1],
  spent_credits, least(latency_us, 2147483647), request_id
FROM new_verifications
"""  # noqa: S608
_HOURS = f"""
MERGE INTO hours USING (
  SELECT time - time % 3600000 AS time, {_SPACE} AS space, {_OUTCOME} AS outcome, count(*) AS verifications,
    sum(spent_credits)::BIGINT AS spent_credits
  FROM new_verifications GROUP BY ALL) AS new
ON hours.time = new.time AND hours.space = new.space AND hours.outcome = new.outcome
WHEN MATCHED THEN UPDATE SET verifications = hours.verifications + new.verifications,
  spent_credits = hours.spent_credits + new.spent_credits
WHEN NOT MATCHED THEN INSERT
"""  # noqa: S608
_KNOWN_NAMESPACES = """
CREATE TEMP TABLE known_namespaces AS
SELECT new.number AS local, spaces.number
FROM new_namespaces AS new
JOIN spaces ON spaces.workspace_id = new.workspace_id AND spaces.space_id = new.namespace_id
"""
_LIMITS = """
INSERT INTO limits
SELECT time, (SELECT list(number ORDER BY local) FROM known_namespaces)[namespace + 1], identifier, passed <> 0,
  least(latency_us, 2147483647), override_id, "limit", remaining, reset_at, tokens, request_id
FROM new_limits
"""
_STEPS = {
    "verifications": (
        _SUBJECTS,
        _KNOWN_SUBJECTS,
        _TAGSETS,
        _KNOWN_TAGSETS,
        _VERIFICATIONS,
        _HOURS,
        "DROP TABLE known_subjects",
        "DROP TABLE known_tagsets",
    ),
    "limits": (_KNOWN_NAMESPACES, _LIMITS, "DROP TABLE known_namespaces"),
}


def load(connection: "DuckDBPyConnection", batch: Batch) -> None:
    """Store everything in `batch`, within the transaction of the connection."""
    for name, table in batch.tables.items():
        connection.register(f"new_{name}", arrow(name, table))
    connection.execute(_SPACES)
    for name, steps in _STEPS.items():
        if batch.tables[name].rows:
            for step in steps:
                connection.execute(step)
    for name in batch.tables:
        connection.unregister(f"new_{name}")

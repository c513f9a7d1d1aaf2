"""The second half of 0016: policies by which a transaction sees and writes the rows of one workspace, or of all.

Nodes of the version before say nothing and would see nothing. Texts for searches stay without; see 0017.
"""

from sqlalchemy import Connection, bindparam, text

_SAID = "current_setting('latchwork.workspace_id', true)"
# Written as a case so that the setting is read once a row, and that the planner, which cannot know how many rows
# pass, takes half of them rather than one in thousands.
_SHOWN = f"CASE {_SAID} WHEN '*' THEN true WHEN {{}} THEN true ELSE {{}} END"
_OWN = _SHOWN.format("workspace_id", "false")
_OPERATORS = "workspace_id = 'ws_operator'"  # whose keys are root keys, each of them for a workspace
_OF_ROOT_KEYS = _SHOWN.format(
    "workspace_id", f"{_OPERATORS} AND EXISTS (SELECT FROM keys WHERE keys.id = key_id)"
)
_POLICIES = dict.fromkeys(
    (
        "apis",
        "audit_heads",
        "audit_log",
        "audit_terms",
        "credit_balances",
        "credit_holds",
        "data_keys",
        "identities",
        "import_rows",
        "import_runs",
        "job_failures",
        "jobs",
        "key_migrations",
        "key_permissions",
        "key_roles",
        "keyspaces",
        "limit_rules",
        "namespaces",
        "outbox",
        "overrides",
        "permissions",
        "portal_sessions",
        "portals",
        "recoverable_keys",
        "role_permissions",
        "roles",
    ),
    _OWN,
) | {
    "workspaces": _SHOWN.format("id", "false"),
    "credit_journal": f"coalesce({_SAID} = '*', false)",  # its rows are of several workspaces each
    "keys": _SHOWN.format("workspace_id", f"coalesce(for_workspace_id = {_SAID}, false)"),
    "key_counts": f"CASE {_SAID} WHEN '*' THEN true ELSE EXISTS"
    " (SELECT FROM keyspaces WHERE keyspaces.id = keyspace_id) END",
    "key_uses": _OF_ROOT_KEYS,
    "root_permissions": f"CASE {_SAID} WHEN '*' THEN true ELSE EXISTS"
    " (SELECT FROM keys WHERE keys.id = key_id) END",
    "import_creations": f"CASE {_SAID} WHEN '*' THEN true ELSE EXISTS"
    " (SELECT FROM import_runs WHERE import_runs.id = run_id) END",
}
# Every workspace's units make the keyspace of root keys, or find it made.
_OPERATORS_TOO = f"{_SAID} <> '' AND {_OPERATORS}"
_MORE = {
    "keyspaces": (
        f"CREATE POLICY of_operator ON keyspaces FOR SELECT USING ({_OPERATORS_TOO})",
        f"CREATE POLICY for_operator ON keyspaces FOR INSERT WITH CHECK ({_OPERATORS_TOO})",
    )
}
_LEFT = text(
    "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    " AND relname IN :tables AND NOT relforcerowsecurity ORDER BY relname"
).bindparams(bindparam("tables", list(_POLICIES), expanding=True))


def left(connection: Connection) -> list[str]:
    """The tables that have no fence yet."""
    if connection.dialect.name != "postgresql":
        return []
    return list(connection.scalars(_LEFT))


def finish(connection: Connection, table: str) -> None:
    """Fence a table in; whoever uses it waits meanwhile."""
    connection.execute(text(f"CREATE POLICY of_workspace ON {table} USING ({_POLICIES[table]})"))
    for statement in _MORE.get(table, ()):
        connection.execute(text(statement))
    connection.execute(text(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"))

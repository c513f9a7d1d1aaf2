"""Alembic's scripts, one step a file; the same steps run on SQLite and PostgreSQL."""

"""Where Alembic meets the connection it was handed; there is no offline mode."""

from alembic import context

from latchwork.kernel.sql.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

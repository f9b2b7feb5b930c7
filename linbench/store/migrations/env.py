"""Runs a migration on the connection that `linbench.store.database` passes."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
context.run_migrations()

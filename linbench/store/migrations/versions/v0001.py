"""The first schema: the tables as defined in the code, until a release freezes them here."""

from alembic import op

from linbench.store.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Raise NotImplementedError: stored data is never dropped."""
    raise NotImplementedError("the first schema has no predecessor")

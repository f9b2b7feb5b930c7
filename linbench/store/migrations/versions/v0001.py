"""The first schema: the tables as the code has them, until a release freezes them here."""

from alembic import op

from linbench.store.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Refuse: nothing stored is ever dropped."""
    raise NotImplementedError("the first schema has nothing before it")

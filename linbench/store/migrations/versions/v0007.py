"""Keep the work of a row: useful and algorithmic operations, and the fewest bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add three columns to measurements, of which rows that stand have none."""
    op.add_column("measurements", sa.Column("useful_flops", sa.Float))
    op.add_column("measurements", sa.Column("algorithmic_flops", sa.Float))
    op.add_column("measurements", sa.Column("fewest_bytes", sa.BigInteger))


def downgrade() -> None:
    """Refuse: nothing stored is ever dropped."""
    raise NotImplementedError("the work of rows would be lost")

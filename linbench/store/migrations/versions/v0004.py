"""Keep what runs of different days are compared by: the anchor's time in a row, and runs with a name."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add measurements.anchor_median_s, of which rows that stand have none, and the table baselines."""
    op.add_column("measurements", sa.Column("anchor_median_s", sa.Float))
    op.create_table(
        "baselines",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("run", sa.String(64), sa.ForeignKey("runs.id", ondelete="RESTRICT"), nullable=False),
    )


def downgrade() -> None:
    """Refuse: nothing stored is ever dropped."""
    raise NotImplementedError("the anchor's times and the names of runs would be lost")

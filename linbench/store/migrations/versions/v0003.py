"""Keep what a row was measured under: parts of memory, kernels, telemetry, and more of each sample."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add columns to measurements and samples; rows that stand have no value in them."""
    parts = ("output_bytes", "saved_bytes", "workspace_bytes", "state_bytes", "reserved_bytes")
    for column in (
        *(sa.Column(name, sa.Float) for name in ("cpu_median_s", "kernels_median_s")),
        *(sa.Column(name, sa.BigInteger) for name in parts),
        sa.Column("deterministic", sa.Boolean),
        sa.Column("kernels", sa.JSON, nullable=False, server_default="[]"),
        *(
            sa.Column(name, sa.JSON, nullable=False, server_default="{}")
            for name in ("approximation", "telemetry")
        ),
    ):
        op.add_column("measurements", column)
    for name in ("cpu_s", "switches", "kernels_s"):
        op.add_column("samples", sa.Column(name, sa.LargeBinary))


def downgrade() -> None:
    """Refuse: nothing stored is ever dropped."""
    raise NotImplementedError("what the rows were measured under would be lost")

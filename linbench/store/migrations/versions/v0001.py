"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables runs, measurements and samples."""
    op.create_table(
        "runs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32)),
        sa.Column("environment", sa.JSON, nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
    )
    op.create_table(
        "measurements",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run", sa.String(64), sa.ForeignKey("runs.id", ondelete="RESTRICT"), nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("implementation", sa.Text, nullable=False),
        sa.Column("case_id", sa.String(12), nullable=False),
        *(sa.Column(axis, sa.Integer, nullable=False) for axis in ("B", "T", "H", "K", "V")),
        *(sa.Column(name, sa.String(16), nullable=False) for name in ("dtype", "mode", "device")),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("timer", sa.String(32)),
        *(sa.Column(name, sa.Float) for name in ("median_s", "ci_low_s", "ci_high_s")),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("processes", sa.JSON, nullable=False),
        sa.Column("first_call_s", sa.Float),
        sa.Column("peak_bytes", sa.BigInteger),
        sa.Column("extra_bytes", sa.BigInteger),
        sa.Column("memory_meter", sa.String(16)),
        sa.Column("errors", sa.JSON, nullable=False),
        sa.Column("flags", sa.JSON, nullable=False),
        sa.Column("measured_at", sa.String(32), nullable=False),
    )
    op.create_index("measurements_by_run", "measurements", ["run"])
    op.create_index("measurements_by_case", "measurements", ["implementation", "case_id"])
    op.create_table(
        "samples",
        sa.Column(
            "measurement",
            sa.Integer,
            sa.ForeignKey("measurements.id", ondelete="RESTRICT"),
            primary_key=True,
        ),
        sa.Column("samples_s", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Refuse: nothing stored is ever dropped."""
    raise NotImplementedError("the first schema has nothing before it")

"""Keep what came from outside apart: where an imported run came from, and what pytest-benchmark timed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add runs.imported_from and the tables pytest_sessions and pytest_benchmarks."""
    op.add_column("runs", sa.Column("imported_from", sa.Text))
    op.create_table(
        "pytest_sessions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("imported_from", sa.Text),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("machine_info", sa.JSON, nullable=False),
        sa.Column("commit_info", sa.JSON, nullable=False),
    )
    op.create_table(
        "pytest_benchmarks",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column(
            "session", sa.String(64), sa.ForeignKey("pytest_sessions.id", ondelete="RESTRICT"), nullable=False
        ),
        sa.Column("fullname", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("group", sa.Text),
        sa.Column("param", sa.Text),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("extra_info", sa.JSON, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("stats", sa.JSON, nullable=False),
        sa.Column("samples_s", sa.LargeBinary),
    )
    op.create_index("pytest_benchmarks_by_session", "pytest_benchmarks", ["session"])


def downgrade() -> None:
    """Refuse: nothing stored is ever dropped."""
    raise NotImplementedError("what was imported would be lost")

"""Keep profiles: where the time and the memory of a call went, apart from every run."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table profiles."""
    op.create_table(
        "profiles",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("operator", "implementation")),
        sa.Column("case_id", sa.String(12), nullable=False),
        sa.Column("case", sa.JSON, nullable=False),
        *(sa.Column(name, sa.String(16), nullable=False) for name in ("tool", "status")),
        sa.Column("reason", sa.Text),
        sa.Column("breakdown", sa.JSON),
        *(sa.Column(name, sa.JSON, nullable=False) for name in ("memory", "artifacts", "environment")),
        sa.Column("profiled_at", sa.String(32), nullable=False),
    )
    op.create_index("profiles_by_implementation", "profiles", ["implementation"])


def downgrade() -> None:
    """Refuse: nothing stored is ever dropped."""
    raise NotImplementedError("the profiles would be lost")

"""Number the runs in the order in which they were begun: a clock can be set back."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add runs.number; SQLite knows the order of the rows there are, elsewhere it is by created_at."""
    op.add_column("runs", sa.Column("number", sa.Integer, nullable=False, server_default="0"))
    sqlite = op.get_bind().dialect.name == "sqlite"
    order = "{0}.rowid" if sqlite else "({0}.created_at, {0}.id)"
    op.execute(
        "UPDATE runs SET number = (SELECT count(*) FROM runs AS earlier "
        f"WHERE {order.format('earlier')} <= {order.format('runs')})"
    )
    op.create_index("runs_by_number", "runs", ["number"])


def downgrade() -> None:
    """Refuse: nothing stored is ever dropped."""
    raise NotImplementedError("the order of the runs would be lost")

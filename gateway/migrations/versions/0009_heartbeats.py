"""When the schedulers of clients have asked for their jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")


def upgrade() -> None:
    """Create the table; a client that isn't in it hasn't been heard of since."""
    op.create_table(
        "client_heartbeats",
        sa.Column("project_id", TEXT, nullable=False),
        sa.Column("client_id", TEXT, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "client_id"),
        sa.ForeignKeyConstraint(
            ["project_id", "client_id"], ["clients.project_id", "clients.id"], ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("client_heartbeats")

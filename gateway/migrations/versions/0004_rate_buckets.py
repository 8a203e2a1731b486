"""The buckets of points that rate limits are charged to."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")


def upgrade() -> None:
    """Create the table; a bucket that isn't in it is full."""
    op.create_table(
        "rate_buckets",
        sa.Column("project_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("leased", sa.BigInteger, nullable=False),
        sa.Column("refilled_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "user_id"),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("rate_buckets")

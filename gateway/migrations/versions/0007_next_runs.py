"""The next run of each job, and the time zone of each client."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")

COLUMNS = ("due_at", "due_basis", "due_zone", "due_version")


def upgrade() -> None:
    """Add the columns; gateways fill them while they serve, also those of an older one's writes."""
    op.add_column("jobs", sa.Column("due_at", sa.BigInteger, nullable=True))
    op.add_column("jobs", sa.Column("due_basis", TEXT, nullable=True))
    op.add_column("jobs", sa.Column("due_zone", TEXT, nullable=True))
    op.add_column("jobs", sa.Column("due_version", sa.BigInteger, nullable=True))
    op.add_column("clients", sa.Column("time_zone", TEXT, nullable=True))
    op.create_index("ix_jobs_due", "jobs", ["project_id", "due_at", "id"])


def downgrade() -> None:
    """Drop the columns."""
    op.drop_index("ix_jobs_due", "jobs")
    op.drop_column("clients", "time_zone")
    for name in reversed(COLUMNS):
        op.drop_column("jobs", name)

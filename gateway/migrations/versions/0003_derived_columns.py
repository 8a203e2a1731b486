"""Columns that are derived of others: the time of the calendar, and folded names."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
serves_older = False
"""The gateway before it writes rows without these columns' values, which would never be filled."""

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")

NO_TIME = -62_135_596_801
TABLES = ("actions", "backups", "clients", "jobs", "sessions")
TIME_INDEXES: Mapping[str, Sequence[str]] = {
    "ix_backups_time": (),
    "ix_backups_job": ("job_id",),
    "ix_backups_client": ("client_id",),
    "ix_backups_hostname": ("hostname",),
}


def upgrade() -> None:
    """Add the columns, which revision 0005 fills, and sort by time of the calendar."""
    default = sa.text(str(NO_TIME))
    op.add_column(
        "backups", sa.Column("calendar_time", sa.BigInteger, nullable=False, server_default=default)
    )
    for table in TABLES:
        op.add_column(table, sa.Column("folded", TEXT, nullable=True))
    for name in TIME_INDEXES:
        op.drop_index(name, "backups")
    for name, column in TIME_INDEXES.items():
        op.create_index(name, "backups", ["project_id", *column, "calendar_time", "id"])


def downgrade() -> None:
    """Drop the columns, and sort by the contract's time."""
    for name in TIME_INDEXES:
        op.drop_index(name, "backups")
    op.drop_column("backups", "calendar_time")
    for table in TABLES:
        op.drop_column(table, "folded")
    for name, column in TIME_INDEXES.items():
        op.create_index(name, "backups", ["project_id", *column, "sort_time", "id"])

"""Indexes of lists that are filtered by restorability, and of the order of series."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ORDER = ["project_id", "hostname", "backup_name", "id"]
NULLS_FIRST = {"hostname": "NULLS FIRST", "backup_name": "NULLS FIRST"}


def upgrade() -> None:
    """Create the indexes: of existing tables, `db upgrade` builds them while others write."""
    verdict = ["project_id", "restorability", "backup_name", "sort_time", "id"]
    op.create_index("ix_backups_verdict", "backups", verdict)
    op.create_index("ix_series_order", "series", ORDER, postgresql_ops=NULLS_FIRST)
    op.drop_index("ix_series_name", "series")


def downgrade() -> None:
    """Drop them, and let the other one be built again."""
    op.create_index("ix_series_name", "series", ORDER)
    op.drop_index("ix_series_order", "series")
    op.drop_index("ix_backups_verdict", "backups")

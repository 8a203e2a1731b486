"""The source that a project is mirrored from, which keeps everybody else from writing to it."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")


def upgrade() -> None:
    """Add the column; until now, no project was mirrored."""
    op.add_column("revisions", sa.Column("mirror", TEXT, nullable=True))


def downgrade() -> None:
    """Drop the column; every project may be written to."""
    op.drop_column("revisions", "mirror")

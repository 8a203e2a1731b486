"""The revision of each project's catalogue."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")


def upgrade() -> None:
    """Create the table, and begin with a revision that no other database has."""
    table = op.create_table(
        "revisions",
        sa.Column("project_id", TEXT, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project_id"),
    )
    op.bulk_insert(table, [{"project_id": "", "revision": secrets.randbits(62)}])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("revisions")

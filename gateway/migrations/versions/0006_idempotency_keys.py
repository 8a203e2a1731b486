"""Idempotency keys: what the writes that were sent with one have returned."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")


def upgrade() -> None:
    """Create the table; the gateway before neither reads nor writes it."""
    op.create_table(
        "idempotency_keys",
        sa.Column("project_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("field", sa.Integer, nullable=False),
        sa.Column("request", TEXT, nullable=False),
        sa.Column("result", sa.JSON, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "user_id", "key", "field"),
    )
    op.create_index("ix_idempotency_keys_time", "idempotency_keys", ["created_at"])
    op.create_index("ix_idempotency_keys_project", "idempotency_keys", ["project_id", "created_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("idempotency_keys")

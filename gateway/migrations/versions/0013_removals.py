"""Removals that ride on no backup: those of `admin` and `restore` actions that ran."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")
NO_TIME = -62_135_596_801


class JSONText(sa.types.UserDefinedType[str]):
    """A JSON document that is kept as text."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Return the name of the type."""
        return "JSON"


def upgrade() -> None:
    """Add the table and the column; what ran before isn't known, and runs again."""
    op.create_table(
        "removals",
        sa.Column("project_id", TEXT, primary_key=True),
        sa.Column("series", TEXT, primary_key=True),
        sa.Column("ended_at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("job_id", TEXT, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("policy", JSONText(), nullable=False),
        sa.Column("own_came_first", sa.Boolean, nullable=True),
    )
    op.add_column(
        "series",
        sa.Column(
            "removals_time", sa.BigInteger, nullable=False, server_default=sa.text(str(NO_TIME))
        ),
    )


def downgrade() -> None:
    """Drop both."""
    op.drop_column("series", "removals_time")
    op.drop_table("removals")

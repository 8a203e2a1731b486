"""The change log, and the position of each project in it."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")


class JSONText(sa.types.UserDefinedType[str]):
    """A JSON document that is kept as text."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Return the name of the type."""
        return "JSON"


def upgrade() -> None:
    """Create the log, and add the columns; the gateway before renews revisions without them."""
    op.create_table(
        "change_log",
        sa.Column("project_id", TEXT, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("changes", JSONText(), nullable=True),
    )
    op.add_column(
        "revisions",
        sa.Column("position", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
    op.add_column("revisions", sa.Column("logged_revision", sa.BigInteger, nullable=True))
    # The beginning for what all projects see: every feed would have to begin anew at its first
    # change. Those of a single project do so once.
    at = str(time.time_ns() // 1000)
    op.execute(
        "INSERT INTO change_log (project_id, position, revision, changed_at, changes) "
        f"SELECT project_id, 0, revision, {at}, '[]' FROM revisions WHERE project_id = ''"
    )
    op.execute("UPDATE revisions SET logged_revision = revision WHERE project_id = ''")


def downgrade() -> None:
    """Drop the log and the columns."""
    op.drop_column("revisions", "logged_revision")
    op.drop_column("revisions", "position")
    op.drop_table("change_log")

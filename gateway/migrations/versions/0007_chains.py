"""Chains of backups: series, and what is derived of each backup's place in them.

Rows are derived by `db upgrade` after the last revision, and by gateways while they serve.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")
UNDERIVED = "derived_version IS NULL OR derived_version <> version"


class JSONText(sa.types.UserDefinedType[str]):
    """A JSON document that is kept as text."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Return the name of the type."""
        return "JSON"


COLUMNS: Mapping[str, tuple[Any, str | None]] = {
    # The type, and the default of a column that is never null.
    "series": (TEXT, None),
    "policy": (JSONText(), None),
    "chain_time": (sa.BigInteger, None),
    "chain_level": (sa.BigInteger, None),
    "level_source": (TEXT, None),
    "restorability": (TEXT, "'UNKNOWN'"),
    "restorability_reason": (TEXT, "'NOT_DERIVED'"),
    "chain_state": (JSONText(), None),
    "derived_version": (sa.Integer, None),
}
NAMES = ("media", "storage", "target", "container", "engine", "hostname", "backup_name", "resource")


def upgrade() -> None:
    """Add the columns and the tables; a gateway of the revision before needs none of them."""
    for name, (kind, default) in COLUMNS.items():
        server_default = None if default is None else sa.text(default)
        op.add_column(
            "backups",
            sa.Column(name, kind, nullable=default is None, server_default=server_default),
        )
    series = ["project_id", "series", "chain_time", "calendar_time", "id"]
    op.create_index("ix_backups_series", "backups", series)
    restorability = ["project_id", "restorability", "calendar_time", "id"]
    op.create_index("ix_backups_restorability", "backups", restorability)
    op.create_index(
        "ix_backups_underived",
        "backups",
        ["project_id", "id"],
        sqlite_where=sa.text(UNDERIVED),
        postgresql_where=sa.text(UNDERIVED),
    )
    _create_tables()


def _create_tables() -> None:
    op.create_table(
        "series",
        sa.Column("project_id", TEXT, primary_key=True),
        sa.Column("id", TEXT, primary_key=True),
        *(sa.Column(name, TEXT, nullable=name != "media") for name in NAMES),
        sa.Column("newest_time", sa.BigInteger, nullable=False),
        sa.Column("restorability", TEXT, nullable=False, server_default=sa.text("'UNKNOWN'")),
        sa.Column("is_told", sa.Boolean, nullable=False),
        sa.Column("removed_time", sa.BigInteger, nullable=False),
        sa.Column("forgotten_time", sa.BigInteger, nullable=False),
        sa.Column("is_stale", sa.Boolean, nullable=False),
    )
    op.create_index("ix_series_name", "series", ["project_id", "hostname", "backup_name", "id"])
    op.create_index("ix_series_newest", "series", ["project_id", "newest_time", "id"])
    op.create_index(
        "ix_series_stale",
        "series",
        ["project_id", "id"],
        sqlite_where=sa.text("is_stale"),
        postgresql_where=sa.text("is_stale"),
    )
    op.create_table(
        "forgotten_backups",
        sa.Column("project_id", TEXT, primary_key=True),
        sa.Column("series", TEXT, primary_key=True),
        sa.Column("calendar_time", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("policy", JSONText(), nullable=True),
        sa.Column("chain_state", JSONText(), nullable=True),
    )
    op.create_table(
        "restores",
        sa.Column("project_id", TEXT, primary_key=True),
        sa.Column("job_id", TEXT, primary_key=True),
        sa.Column("series", TEXT, nullable=False),
        sa.Column("backup_id", TEXT, nullable=False),
        sa.Column("is_test", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "job_id"], ["jobs.project_id", "jobs.id"], ondelete="CASCADE"
        ),
    )
    op.create_index("ix_restores_series", "restores", ["project_id", "series", "job_id"])


def downgrade() -> None:
    """Drop all of it."""
    op.drop_table("restores")
    op.drop_table("forgotten_backups")
    op.drop_table("series")
    for name in ("ix_backups_underived", "ix_backups_restorability", "ix_backups_series"):
        op.drop_index(name, "backups")
    for name in COLUMNS:
        op.drop_column("backups", name)

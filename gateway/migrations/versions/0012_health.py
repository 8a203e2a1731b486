"""Health: faults of schedules, mutes, recovery objectives, and the hosts to back up."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")

ITEMS = {"job_id": "jobs", "client_id": "clients", "series_id": "series", "session_id": "sessions"}


def upgrade() -> None:
    """Add the column and the tables; a gateway of the revision before needs none of them."""
    # Jobs without a next run, which may have a fault: gateways look at them while they serve.
    op.execute(
        "UPDATE jobs SET due_version = NULL WHERE due_at IS NULL AND due_version IS NOT NULL "
        "AND (status IS NULL OR status IN ('scheduled', 'running') OR event = 'start')"
    )
    op.add_column("jobs", sa.Column("due_fault", TEXT, nullable=True))
    op.create_table(
        "health_mutes",
        sa.Column("project_id", TEXT, primary_key=True),
        sa.Column("id", TEXT, primary_key=True),
        *(sa.Column(name, TEXT, nullable=True) for name in ITEMS),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("user_name", TEXT, nullable=False),
        sa.Column("muted_at", sa.BigInteger, nullable=False),
        sa.Column("muted_until", sa.BigInteger, nullable=True),
        *(_of(table, name) for name, table in ITEMS.items()),
    )
    for name in ITEMS:
        kind = name.removesuffix("_id")
        _one(f"ix_health_mutes_{kind}", "health_mutes", ["project_id", name], f"{name} IS NOT NULL")
    op.create_table(
        "recovery_objectives",
        sa.Column("project_id", TEXT, primary_key=True),
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("client_id", TEXT, nullable=True),
        sa.Column("series_id", TEXT, nullable=True),
        sa.Column("max_age", sa.BigInteger, nullable=False),
        _of("clients", "client_id"),
        _of("series", "series_id"),
    )
    table = "recovery_objectives"
    for kind in ("client", "series"):
        name = f"{kind}_id"
        _one(f"ix_{table}_{kind}", table, ["project_id", name], f"{name} IS NOT NULL")
    _one(f"ix_{table}_project", table, ["project_id"], "client_id IS NULL AND series_id IS NULL")
    op.create_table(
        "expected_hosts",
        sa.Column("project_id", TEXT, primary_key=True),
        sa.Column("hostname", TEXT, primary_key=True),
    )


def _of(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["project_id", column], [f"{table}.project_id", f"{table}.id"], ondelete="CASCADE"
    )


def _one(name: str, table: str, columns: list[str], where: str) -> None:
    condition: Any = sa.text(where)
    op.create_index(
        name, table, columns, unique=True, sqlite_where=condition, postgresql_where=condition
    )


def downgrade() -> None:
    """Drop all of it."""
    op.drop_table("expected_hosts")
    op.drop_table("recovery_objectives")
    op.drop_table("health_mutes")
    op.drop_column("jobs", "due_fault")

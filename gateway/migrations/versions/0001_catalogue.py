"""The catalogue: clients, jobs, actions, backups and sessions."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Types are written out here, not imported: a migration must stay what it was.

# Compared byte by byte on both databases.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")
# `json`, not `jsonb`, on PostgreSQL: documents are passed through as they were sent.
DOCUMENT = sa.JSON()
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create every table."""
    _backups()
    _jobs()
    _actions()
    _job_actions()
    _clients()
    _sessions()


def downgrade() -> None:
    """Drop every table."""
    for table in ("job_actions", "sessions", "clients", "actions", "jobs", "backups"):
        op.drop_table(table)


def _text(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, TEXT, nullable=null)


def _document(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, DOCUMENT, nullable=null)


def _number(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=null)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _key(*columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("project_id", *columns)


def _changes() -> tuple[sa.Column[Any], ...]:
    """Return the columns of a row's version and times."""
    return (
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
    )


def _backups() -> None:
    op.create_table(
        "backups",
        _text("project_id"),
        _text("id"),
        _text("user_id"),
        _text("user_name", null=True),
        _text("status"),
        _document("backup_metadata"),
        _text("job_id", null=True),
        _text("client_id", null=True),
        _text("backup_uuid", null=True),
        _text("backup_name"),
        _text("hostname", null=True),
        _text("container", null=True),
        _text("action", null=True),
        _text("mode", null=True),
        _text("storage", null=True),
        _text("engine", null=True),
        _number("level", null=True),
        _number("max_level", null=True),
        _number("compressed_size", null=True),
        _number("uncompressed_size", null=True),
        _number("time_stamp", null=True),
        _number("sort_time"),
        *_changes(),
        _key("id"),
    )
    for name, column in {
        "ix_backups_name": ("backup_name",),
        "ix_backups_time": (),
        "ix_backups_job": ("job_id",),
        "ix_backups_client": ("client_id",),
        "ix_backups_hostname": ("hostname",),
    }.items():
        op.create_index(name, "backups", ["project_id", *column, "sort_time", "id"])


def _jobs() -> None:
    op.create_table(
        "jobs",
        _text("project_id"),
        _text("id"),
        _text("user_id"),
        _text("description"),
        _text("client_id", null=True),
        _text("session_id", null=True),
        _number("session_tag"),
        _document("job_schedule"),
        _document("user_credentials", null=True),
        _text("trust_id", null=True),
        _text("status", null=True),
        _text("result", null=True),
        _text("event", null=True),
        _text("schedule_interval", null=True),
        _text("schedule_date", null=True),
        _text("schedule_start_date", null=True),
        _text("schedule_end_date", null=True),
        _text("schedule_year", null=True),
        _text("schedule_month", null=True),
        _text("schedule_day", null=True),
        _text("schedule_week", null=True),
        _text("schedule_day_of_week", null=True),
        _text("schedule_hour", null=True),
        _text("schedule_minute", null=True),
        _text("schedule_second", null=True),
        _number("time_created", null=True),
        _number("time_started", null=True),
        _number("time_ended", null=True),
        _number("current_pid", null=True),
        *_changes(),
        _key("id"),
    )
    for name, column in {
        "ix_jobs_description": (),
        "ix_jobs_client": ("client_id",),
        "ix_jobs_session": ("session_id",),
    }.items():
        op.create_index(name, "jobs", ["project_id", *column, "description", "id"])


def _actions() -> None:
    op.create_table(
        "actions",
        _text("project_id"),
        _text("id"),
        _text("user_id"),
        _document("freezer_action"),
        _number("max_retries"),
        _number("max_retries_interval"),
        _flag("mandatory"),
        _text("action", null=True),
        _text("mode", null=True),
        _text("storage", null=True),
        _text("engine", null=True),
        _text("backup_name", null=True),
        _text("container", null=True),
        _text("path_to_backup", null=True),
        _number("timeout", null=True),
        _number("priority", null=True),
        *_changes(),
        _key("id"),
    )


def _job_actions() -> None:
    op.create_table(
        "job_actions",
        _text("project_id"),
        _text("job_id"),
        sa.Column("position", sa.Integer, nullable=False),
        _text("action_id"),
        _key("job_id", "position"),
        sa.ForeignKeyConstraint(
            ["project_id", "job_id"], ["jobs.project_id", "jobs.id"], ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "action_id"], ["actions.project_id", "actions.id"], ondelete="CASCADE"
        ),
    )
    op.create_index("ix_job_actions_action", "job_actions", ["project_id", "action_id", "job_id"])


def _clients() -> None:
    op.create_table(
        "clients",
        _text("project_id"),
        _text("id"),
        _text("uuid"),
        _text("user_id"),
        _text("hostname", null=True),
        _text("description", null=True),
        _flag("is_central"),
        _document("supported_actions"),
        _document("supported_modes"),
        _document("supported_storages"),
        _document("supported_engines"),
        *_changes(),
        _key("id"),
    )
    op.create_index("ix_clients_hostname", "clients", ["project_id", "hostname", "id"])
    # Every project sees the central clients: they are few, and looked up without a project.
    op.create_index(
        "ix_clients_central",
        "clients",
        ["id"],
        unique=True,
        sqlite_where=sa.text("is_central"),
        postgresql_where=sa.text("is_central"),
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        _text("project_id"),
        _text("id"),
        _text("user_id"),
        _text("description"),
        _number("hold_off"),
        _number("session_tag"),
        _document("schedule"),
        _document("job_states"),
        _text("status", null=True),
        _text("result", null=True),
        _number("time_start", null=True),
        _number("time_end", null=True),
        _number("time_started", null=True),
        _number("time_ended", null=True),
        *_changes(),
        _key("id"),
    )
    op.create_index("ix_sessions_description", "sessions", ["project_id", "description", "id"])

"""The tables of the catalogue: the only place where a column is declared."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import configure_mappers
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlmodel import Field, SQLModel

from gateway.catalogue.column_types import (
    TEXT,
    bigint,
    counter,
    document,
    folded,
    new_id,
    partial_index,
    text,
    timestamp,
    word,
)
from gateway.catalogue.vocabularies import BackupStatus, SessionStatus

Row = TypeVar("Row", bound=SQLModel)

ID_BYTES = 255
NAME_BYTES = 512
JOB_NAME_CHARACTERS = 255
"""The limit of a job's name in its column; the documented dialect's is shorter."""
INT64 = 2**63
INT32 = 2**31
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""The epoch seconds that a calendar of the years 1 to 9999 has, from the first to the last."""
NOT_YET = -1
"""The epoch seconds that v2 writes for a time yet to come."""
NO_TIME = FIRST_SECOND - 1
"""The `calendar_time` of a backup without: before all others, as null sorts."""
UNKNOWN, NOT_DERIVED = "UNKNOWN", "NOT_DERIVED"
"""The verdict on a backup that has not been derived, and its reason."""
UNDERIVED = "derived_version IS NULL OR derived_version <> version"
"""The predicate of backups that are to be derived: an older gateway wrote them last."""


class Backup(SQLModel, table=True):
    """A backup that an agent wrote: its metadata, and the columns projected from it."""

    __tablename__ = "backups"
    __table_args__ = (
        sa.Index("ix_backups_name", "project_id", "backup_name", "sort_time", "id"),
        sa.Index("ix_backups_time", "project_id", "calendar_time", "id"),
        sa.Index("ix_backups_job", "project_id", "job_id", "calendar_time", "id"),
        sa.Index("ix_backups_client", "project_id", "client_id", "calendar_time", "id"),
        sa.Index("ix_backups_hostname", "project_id", "hostname", "calendar_time", "id"),
        sa.Index("ix_backups_series", "project_id", "series", "chain_time", "calendar_time", "id"),
        sa.Index("ix_backups_restorability", "project_id", "restorability", "calendar_time", "id"),
        sa.Index(
            "ix_backups_verdict", "project_id", "restorability", "backup_name", "sort_time", "id"
        ),
        sa.Index(
            "ix_backups_underived",
            "project_id",
            "id",
            sqlite_where=sa.text(UNDERIVED),
            postgresql_where=sa.text(UNDERIVED),
        ),
    )

    project_id: str = text(ID_BYTES, primary_key=True)
    id: str = text(ID_BYTES, primary_key=True, default_factory=new_id)
    user_id: str = text(ID_BYTES)
    user_name: str | None = text(NAME_BYTES, default=None)
    status: str = text(NAME_BYTES, default=BackupStatus.AVAILABLE)
    backup_metadata: str = document()

    job_id: str | None = text(ID_BYTES, default=None)
    client_id: str | None = text(ID_BYTES, default=None)
    backup_uuid: str | None = text(ID_BYTES, default=None)
    backup_name: str = text(NAME_BYTES)
    hostname: str | None = text(NAME_BYTES, default=None)
    container: str | None = text(NAME_BYTES, default=None)
    action: str | None = text(NAME_BYTES, default=None)
    mode: str | None = text(NAME_BYTES, default=None)
    storage: str | None = text(NAME_BYTES, default=None)
    engine: str | None = text(NAME_BYTES, default=None)
    level: int | None = bigint(default=None)
    max_level: int | None = bigint(default=None)
    compressed_size: int | None = bigint(default=None)
    uncompressed_size: int | None = bigint(default=None)
    time_stamp: int | None = bigint(default=None)
    # time_stamp, or 0 for an absent one: the contract's sort key, which must not be null.
    sort_time: int = bigint(default=0)

    version: int = 0
    created_at: datetime = timestamp()
    updated_at: datetime = timestamp()

    # time_stamp, or NO_TIME for one that no calendar has: what those sort by who are shown times.
    calendar_time: int = Field(
        sa_type=sa.BigInteger,
        default=NO_TIME,
        sa_column_kwargs={"server_default": sa.text(str(NO_TIME))},
    )
    folded: str | None = folded()

    # What `gateway/chains/` derives of the backups of the same series.
    series: str | None = text(ID_BYTES, default=None)
    policy: str | None = document(default=None, nullable=True)
    chain_time: int | None = bigint(default=None)
    chain_level: int | None = bigint(default=None)
    level_source: str | None = text(NAME_BYTES, default=None)
    restorability: str = word(UNKNOWN)
    restorability_reason: str = word(NOT_DERIVED)
    # What its series is after it, as the rules continue from it.
    chain_state: str | None = document(default=None, nullable=True)
    # The version of the row that these were derived of; another one, and none, is to be derived.
    derived_version: int | None = None


class Job(SQLModel, table=True):
    """A list of actions, with the client and the schedule it runs on."""

    __tablename__ = "jobs"
    __table_args__ = (
        sa.Index("ix_jobs_description", "project_id", "description", "id"),
        sa.Index("ix_jobs_client", "project_id", "client_id", "description", "id"),
        sa.Index("ix_jobs_session", "project_id", "session_id", "description", "id"),
        sa.Index("ix_jobs_due", "project_id", "due_at", "id"),
        sa.Index("ix_jobs_failures", "project_id", "failures_in_a_row", "id"),
    )

    project_id: str = text(ID_BYTES, primary_key=True)
    id: str = text(ID_BYTES, primary_key=True, default_factory=new_id)
    user_id: str = text(ID_BYTES)
    # Of at most four bytes each.
    description: str = text(JOB_NAME_CHARACTERS * 4, default="")
    client_id: str | None = text(ID_BYTES, default=None)
    session_id: str | None = text(ID_BYTES, default=None)
    session_tag: int = bigint(default=0)
    job_schedule: str = document()
    # The Keystone trust by which a central client works for the project, and its trustor.
    user_credentials: str | None = document(default=None, nullable=True)
    trust_id: str | None = text(ID_BYTES, default=None)

    status: str | None = text(NAME_BYTES, default=None)
    result: str | None = text(NAME_BYTES, default=None)
    event: str | None = text(NAME_BYTES, default=None)
    schedule_interval: str | None = text(NAME_BYTES, default=None)
    schedule_date: str | None = text(NAME_BYTES, default=None)
    schedule_start_date: str | None = text(NAME_BYTES, default=None)
    schedule_end_date: str | None = text(NAME_BYTES, default=None)
    schedule_year: str | None = text(NAME_BYTES, default=None)
    schedule_month: str | None = text(NAME_BYTES, default=None)
    schedule_day: str | None = text(NAME_BYTES, default=None)
    schedule_week: str | None = text(NAME_BYTES, default=None)
    schedule_day_of_week: str | None = text(NAME_BYTES, default=None)
    schedule_hour: str | None = text(NAME_BYTES, default=None)
    schedule_minute: str | None = text(NAME_BYTES, default=None)
    schedule_second: str | None = text(NAME_BYTES, default=None)
    time_created: int | None = bigint(default=None)
    time_started: int | None = bigint(default=None)
    time_ended: int | None = bigint(default=None)
    current_pid: int | None = bigint(default=None)

    version: int = 0
    created_at: datetime = timestamp()
    updated_at: datetime = timestamp()

    folded: str | None = folded()

    # The next run, in whole seconds since 1970, and what it is worked out from: see `due`.
    due_at: int | None = bigint(default=None)
    due_basis: str | None = text(NAME_BYTES, default=None)
    # The host's time zone that it is worked out in; null for none that is known.
    due_zone: str | None = text(NAME_BYTES, default=None)
    # The version of the job that these are of: another gateway's writes leave them behind.
    due_version: int | None = bigint(default=None)
    # Written by the database itself, as the job's runs are: see `catalogue/history.py`.
    last_run_start: int | None = bigint(default=None)
    last_success_start: int | None = bigint(default=None)
    failures_in_a_row: int = counter()
    failing_since: int | None = bigint(default=None)
    # What is wrong with the schedule of a job that a scheduler is to run: worked out with `due_at`.
    due_fault: str | None = text(NAME_BYTES, default=None)


class Action(SQLModel, table=True):
    """A task for an agent: a backup, a restore, a clean-up, a command."""

    __tablename__ = "actions"

    project_id: str = text(ID_BYTES, primary_key=True)
    id: str = text(ID_BYTES, primary_key=True, default_factory=new_id)
    user_id: str = text(ID_BYTES)
    freezer_action: str = document()
    max_retries: int = bigint(default=5)
    max_retries_interval: int = bigint(default=6)
    mandatory: bool = False

    action: str | None = text(NAME_BYTES, default=None)
    mode: str | None = text(NAME_BYTES, default=None)
    storage: str | None = text(NAME_BYTES, default=None)
    engine: str | None = text(NAME_BYTES, default=None)
    backup_name: str | None = text(NAME_BYTES, default=None)
    container: str | None = text(NAME_BYTES, default=None)
    # Without a limit: paths may be longer than an index takes, and are never sorted by.
    path_to_backup: str | None = Field(sa_type=TEXT, default=None)
    timeout: int | None = bigint(default=None)
    priority: int | None = bigint(default=None)

    version: int = 0
    created_at: datetime = timestamp()
    updated_at: datetime = timestamp()

    folded: str | None = folded()


class JobAction(SQLModel, table=True):
    """The position of an action in a job's list."""

    __tablename__ = "job_actions"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["project_id", "job_id"], ["jobs.project_id", "jobs.id"], ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "action_id"], ["actions.project_id", "actions.id"], ondelete="CASCADE"
        ),
        sa.Index("ix_job_actions_action", "project_id", "action_id", "job_id"),
    )

    project_id: str = text(ID_BYTES, primary_key=True)
    job_id: str = text(ID_BYTES, primary_key=True)
    position: int = Field(primary_key=True)
    action_id: str = text(ID_BYTES)


class Client(SQLModel, table=True):
    """A host that runs the scheduler and its agent."""

    __tablename__ = "clients"
    __table_args__ = (
        sa.Index("ix_clients_hostname", "project_id", "hostname", "id"),
        partial_index("ix_clients_central", "id", where="is_central", unique=True),
    )

    project_id: str = text(ID_BYTES, primary_key=True)
    id: str = text(ID_BYTES, primary_key=True)
    uuid: str = text(ID_BYTES, default_factory=new_id)
    user_id: str = text(ID_BYTES)
    hostname: str | None = text(NAME_BYTES, default=None)
    description: str | None = text(NAME_BYTES, default=None)
    is_central: bool = False
    supported_actions: str = document()
    supported_modes: str = document()
    supported_storages: str = document()
    supported_engines: str = document()

    version: int = 0
    created_at: datetime = timestamp()
    updated_at: datetime = timestamp()

    folded: str | None = folded()
    # The name of the host's time zone, as `Europe/Berlin`.
    time_zone: str | None = text(NAME_BYTES, default=None)


class Session(SQLModel, table=True):
    """A group of jobs on several hosts that start together."""

    __tablename__ = "sessions"
    __table_args__ = (sa.Index("ix_sessions_description", "project_id", "description", "id"),)

    project_id: str = text(ID_BYTES, primary_key=True)
    id: str = text(ID_BYTES, primary_key=True, default_factory=new_id)
    user_id: str = text(ID_BYTES)
    description: str = text(NAME_BYTES, default="")
    hold_off: int = bigint(default=30)
    session_tag: int = bigint(default=0)
    schedule: str = document()
    # Per job of the current run: {job_id: {"status", "result", "time_started", "time_ended"}}.
    job_states: str = document(default="{}")
    status: str | None = text(NAME_BYTES, default=SessionStatus.ACTIVE)
    result: str | None = text(NAME_BYTES, default=None)
    time_start: int | None = bigint(default=None)
    time_end: int | None = bigint(default=None)
    time_started: int | None = bigint(default=None)
    time_ended: int | None = bigint(default=None)

    version: int = 0
    created_at: datetime = timestamp()
    updated_at: datetime = timestamp()

    folded: str | None = folded()


def columns(table: type[SQLModel]) -> ReadOnlyColumnCollection[str, sa.Column[Any]]:
    """Return a table's columns, for building statements: `columns(Backup).time_stamp > 0`."""
    return source(table).c


def source(table: type[SQLModel]) -> sa.Table:
    """Return SQLAlchemy's table of a table class, to select from."""
    declared: sa.Table = sa.inspect(table).local_table
    return declared


def new_row(table: type[Row], values: Mapping[str, Any]) -> Row:
    """Return a row of these values of columns, and of the defaults of others.

    As SQLAlchemy makes the rows that it loads. A model's constructor tells a session of each value;
    that takes ten times as long, and there are no sessions.
    """
    make, fixed, made = _maker(table)
    row: Row = make()
    vars(row).update(fixed, **{name: default() for name, default in made if name not in values})
    vars(row).update(values)
    return row


def set_columns(row: SQLModel, values: Mapping[str, Any]) -> None:
    """Set these columns of a row that is in no session, as none is: see `new_row`."""
    vars(row).update(values)


@cache
def _maker(table: type[Row]) -> tuple[Callable[[], Row], Mapping[str, Any], Sequence[Any]]:
    """Return what makes an empty row, its defaults, and by name what makes the other defaults."""
    configure_mappers()
    fields = table.model_fields
    made = {name: one.default_factory for name, one in fields.items() if one.default_factory}
    fixed = {name: one.default for name, one in fields.items() if not one.is_required()}
    fixed = {name: fixed[name] for name in fixed.keys() - made.keys()}
    return sa.inspect(table).class_manager.new_instance, fixed, tuple(made.items())


def default_of(table: type[SQLModel], column: str) -> Any:
    """Return the default of a column, for drafts and inputs. Raises KeyError for no column."""
    return table.model_fields[column].default


def null_as_default(
    table: type[SQLModel], values: Mapping[str, Any], *names: str
) -> dict[str, Any]:
    """Return the values of these columns, those that are given; None becomes the default.

    Raises KeyError for no column.
    """
    return {
        name: default_of(table, name) if values[name] is None else values[name]
        for name in names
        if name in values
    }


def max_bytes_of(table: type[SQLModel], column: str) -> int | None:
    """Return the limit of a column of short text, in bytes of UTF-8; None for other columns.

    Raises KeyError for no column.
    """
    limit: int | None = columns(table)[column].info.get("max_bytes")
    return limit

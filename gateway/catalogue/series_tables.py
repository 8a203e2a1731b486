"""The tables of series of backups, beside the columns that `tables` declares of each backup."""

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gateway.catalogue.column_types import (
    bigint,
    bigint_or,
    document,
    partial_index,
    text,
    word,
)
from gateway.catalogue.tables import ID_BYTES, NAME_BYTES, NO_TIME, UNKNOWN


class Series(SQLModel, table=True):
    """A series of backups: those of one thing in one place, which one restore chooses from."""

    __tablename__ = "series"
    __table_args__ = (
        sa.Index(
            "ix_series_order",
            *("project_id", "hostname", "backup_name", "id"),
            # As lists sort; in SQLite, nulls come first anyway.
            postgresql_ops={"hostname": "NULLS FIRST", "backup_name": "NULLS FIRST"},
        ),
        sa.Index("ix_series_newest", "project_id", "newest_time", "id"),
        partial_index("ix_series_stale", "project_id", "id", where="is_stale"),
    )

    project_id: str = text(ID_BYTES, primary_key=True)
    id: str = text(ID_BYTES, primary_key=True)
    media: str = text(NAME_BYTES)
    storage: str | None = text(NAME_BYTES, default=None)
    # The server of an ssh storage.
    target: str | None = text(NAME_BYTES, default=None)
    container: str | None = text(NAME_BYTES, default=None)
    engine: str | None = text(NAME_BYTES, default=None)
    hostname: str | None = text(NAME_BYTES, default=None)
    backup_name: str | None = text(NAME_BYTES, default=None)
    # The instance, image or volume that it is of.
    resource: str | None = text(NAME_BYTES, default=None)

    newest_time: int = bigint()
    # The verdict on its newest backup.
    restorability: str = word(UNKNOWN)
    # True if its agent tells levels.
    is_told: bool = False
    # Chains whose full backup is of this time, or before, have been removed by a retention.
    removed_time: int = bigint(default=NO_TIME)
    # The newest time of a backup that was deleted from the catalogue, or `NO_TIME`.
    forgotten_time: int = bigint(default=NO_TIME)
    # True until all its backups have been derived from the first on.
    is_stale: bool = False
    # The time at which the newest of its `removals` had ended, or `NO_TIME`.
    removals_time: int = bigint_or(NO_TIME)


class ForgottenBackup(SQLModel, table=True):
    """A backup that was deleted from the catalogue, whose data others of its chain may need."""

    __tablename__ = "forgotten_backups"

    project_id: str = text(ID_BYTES, primary_key=True)
    series: str = text(ID_BYTES, primary_key=True)
    calendar_time: int = Field(sa_type=sa.BigInteger, primary_key=True)
    status: str = text(NAME_BYTES)
    policy: str | None = document(default=None, nullable=True)
    chain_state: str | None = document(default=None, nullable=True)


class Removal(SQLModel, table=True):
    """A removal of old chains that rode on no backup: of an `admin` or `restore` action that ran.

    Between these times its job has run, by the clock of its host.
    """

    __tablename__ = "removals"

    project_id: str = text(ID_BYTES, primary_key=True)
    series: str = text(ID_BYTES, primary_key=True)
    ended_at: int = Field(sa_type=sa.BigInteger, primary_key=True)
    job_id: str = text(ID_BYTES, primary_key=True)
    # That of the action in its job.
    position: int = Field(primary_key=True)
    began_at: int = bigint()
    policy: str = document()
    # True if its job makes its own backups of the series before it, false if after; null: unknown.
    own_came_first: bool | None = None


class Restore(SQLModel, table=True):
    """A job that restores a series; v2 knows nothing of it."""

    __tablename__ = "restores"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["project_id", "job_id"], ["jobs.project_id", "jobs.id"], ondelete="CASCADE"
        ),
        sa.Index("ix_restores_series", "project_id", "series", "job_id"),
    )

    project_id: str = text(ID_BYTES, primary_key=True)
    job_id: str = text(ID_BYTES, primary_key=True)
    series: str = text(ID_BYTES)
    backup_id: str = text(ID_BYTES)
    # True for a restore that is made to see if it succeeds.
    is_test: bool = False

"""The tables of what a project says of its health: mutes, objectives, and hosts to back up."""

import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.catalogue.column_types import bigint, new_id, partial_index, text
from gateway.catalogue.tables import ID_BYTES, NAME_BYTES

REASON_BYTES = 1024


def _of(table: str, column: str) -> sa.ForeignKeyConstraint:
    """Return the constraint by which a row goes with the item that it is about."""
    return sa.ForeignKeyConstraint(
        ["project_id", column], [f"{table}.project_id", f"{table}.id"], ondelete="CASCADE"
    )


def _one(name: str, column: str) -> sa.Index:
    """Return the index by which there is one row for each item."""
    return partial_index(name, "project_id", column, where=f"{column} IS NOT NULL", unique=True)


class HealthMute(SQLModel, table=True):
    """A bad health that is known: of one job, client, series or session, the others being null."""

    __tablename__ = "health_mutes"
    __table_args__ = (
        _of("jobs", "job_id"),
        _of("clients", "client_id"),
        _of("series", "series_id"),
        _of("sessions", "session_id"),
        _one("ix_health_mutes_job", "job_id"),
        _one("ix_health_mutes_client", "client_id"),
        _one("ix_health_mutes_series", "series_id"),
        _one("ix_health_mutes_session", "session_id"),
    )

    project_id: str = text(ID_BYTES, primary_key=True)
    id: str = text(ID_BYTES, primary_key=True, default_factory=new_id)
    job_id: str | None = text(ID_BYTES, default=None)
    client_id: str | None = text(ID_BYTES, default=None)
    series_id: str | None = text(ID_BYTES, default=None)
    session_id: str | None = text(ID_BYTES, default=None)
    reason: str = text(REASON_BYTES)
    user_id: str = text(ID_BYTES)
    user_name: str = text(NAME_BYTES)
    muted_at: int = bigint()
    """Epoch seconds, as the end is."""
    muted_until: int | None = bigint(default=None)
    """Null for a mute without an end."""


class RecoveryObjective(SQLModel, table=True):
    """The age that a newest restore point may have: of a client, of a series, or of all.

    Both ids are null in the row of the whole project.
    """

    __tablename__ = "recovery_objectives"
    __table_args__ = (
        _of("clients", "client_id"),
        _of("series", "series_id"),
        _one("ix_recovery_objectives_client", "client_id"),
        _one("ix_recovery_objectives_series", "series_id"),
        partial_index(
            "ix_recovery_objectives_project",
            "project_id",
            where="client_id IS NULL AND series_id IS NULL",
            unique=True,
        ),
    )

    project_id: str = text(ID_BYTES, primary_key=True)
    id: str = text(ID_BYTES, primary_key=True, default_factory=new_id)
    client_id: str | None = text(ID_BYTES, default=None)
    series_id: str | None = text(ID_BYTES, default=None)
    max_age: int = bigint()
    """Seconds."""


class ExpectedHost(SQLModel, table=True):
    """A host that should be backed up."""

    __tablename__ = "expected_hosts"

    project_id: str = text(ID_BYTES, primary_key=True)
    hostname: str = text(NAME_BYTES, primary_key=True)

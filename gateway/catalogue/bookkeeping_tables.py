"""The tables of the gateway's own books: revisions, changes, rate limits, keys, settings."""

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gateway.catalogue.column_types import bigint, bigint_or, document, text
from gateway.catalogue.tables import ID_BYTES, NAME_BYTES


class Revision(SQLModel, table=True):
    """The revision of a project's catalogue: a random number that changes with every write."""

    __tablename__ = "revisions"

    project_id: str = text(ID_BYTES, primary_key=True)
    revision: int = bigint()
    mirror: str | None = text(NAME_BYTES, default=None)
    """The name of the source that the project is mirrored from: nobody else may write to it."""
    position: int = bigint_or(0)
    """The number of transactions so far: that of the last one's entry in the change log."""
    logged_revision: int | None = bigint(default=None)
    """The revision of that entry; another one than `revision` after an older gateway's write."""


class ChangeLogEntry(SQLModel, table=True):
    """The changes of one transaction: see `gateway/changes/`."""

    __tablename__ = "change_log"

    project_id: str = text(ID_BYTES, primary_key=True)
    position: int = Field(sa_type=sa.BigInteger, primary_key=True)
    revision: int = bigint()
    """The project's revision after it, by which a cursor is known again."""
    changed_at: int = bigint()
    """The time of the transaction, in microseconds since 1970."""
    changes: str | None = document(default=None, nullable=True)
    """A list of kind, operation, id, version, and the project of an item that all projects see;
    null: more than an entry holds, or than is known."""


class RateBucket(SQLModel, table=True):
    """The points that a project, or a user of it, has left: see `gateway/rates/`."""

    __tablename__ = "rate_buckets"

    project_id: str = text(ID_BYTES, primary_key=True)
    user_id: str = text(ID_BYTES, primary_key=True)
    """Empty for the bucket of the whole project."""
    tokens: int = bigint()
    """The millionths of points that are left for other leases."""
    leased: int = bigint()
    """The millionths of the last lease, for the statement that leased them to return."""
    refilled_at: int = bigint()
    """The time of the last lease, in microseconds since 1970."""


class IdempotencyKey(SQLModel, table=True):
    """The result of a write with an idempotency key: see `gateway/idempotency.py`."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        sa.Index("ix_idempotency_keys_time", "created_at"),
        sa.Index("ix_idempotency_keys_project", "project_id", "created_at"),
    )

    project_id: str = text(ID_BYTES, primary_key=True)
    user_id: str = text(ID_BYTES, primary_key=True)
    key: str = text(ID_BYTES, primary_key=True)
    field: int = Field(primary_key=True)
    """The place of the mutation in its operation; 0 in REST."""
    request: str = text(ID_BYTES)
    """The hash of the request."""
    result: str | None = document(default=None, nullable=True)
    """The JSON that stands for the result; null only inside of the transaction."""
    created_at: int = bigint()
    """The time of the write, in microseconds since 1970."""


class ProjectSettings(SQLModel, table=True):
    """The settings that a project has made for itself; freezer knows of none."""

    __tablename__ = "project_settings"

    project_id: str = text(ID_BYTES, primary_key=True)
    time_zone: str | None = text(NAME_BYTES, default=None)
    """The time zone of hosts whose clients have none set."""

"""The tables that keep the gateway's own books: revisions of projects, and rate limits."""

from sqlmodel import SQLModel

from gateway.catalogue.tables import ID_BYTES, bigint, text


class Revision(SQLModel, table=True):
    """The revision of a project's catalogue: a random number that changes with every write."""

    __tablename__ = "revisions"

    project_id: str = text(ID_BYTES, primary_key=True)
    revision: int = bigint()


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

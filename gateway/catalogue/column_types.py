"""Column types: how a value of each kind is stored on both databases, and compared."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlmodel import Field


class JSONText(sa.types.UserDefinedType[str]):
    """A JSON document that travels as text: never decoded on reading, never encoded on writing.

    `json` rather than `jsonb` on PostgreSQL: documents are passed through as they were sent, with
    their keys in order, and cost half as much to fetch.
    """

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Return the name of the type, which both databases have."""
        return "JSON"


class UTCDateTime(sa.TypeDecorator[datetime]):
    """An aware datetime in UTC, also on SQLite, which keeps no time zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """The type of the values, which TypeDecorator doesn't report by itself."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Return the time in UTC, to be stored."""
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Return a stored time as an aware one; SQLite's have no time zone, and are UTC."""
        return value and value.replace(tzinfo=value.tzinfo or UTC)


def new_id() -> str:
    """Return a new id: 32 hexadecimal characters, as OpenStack's services write them."""
    return uuid4().hex


def now() -> datetime:
    """Return the current time, aware and in UTC."""
    return datetime.now(UTC)


# Compared byte by byte, so that both databases sort alike and cursors survive a new collation.
TEXT = sa.String(collation="C").with_variant(sa.String(collation="BINARY"), "sqlite")


def text(max_bytes: int, **column: Any) -> Any:
    """Return a column of short text, at most `max_bytes` long in UTF-8; `checks` enforces it."""
    default = {"default": column.pop("default")} if "default" in column else {}
    info = {"max_bytes": max_bytes}
    return Field(sa_type=TEXT, sa_column_kwargs={"info": info}, **default, **column)


def document(**column: Any) -> Any:
    """Return a column of an open JSON document, stored as text."""
    return Field(sa_type=JSONText, **column)


def bigint(**column: Any) -> Any:
    """Return a column of 64-bit integers."""
    return Field(sa_type=sa.BigInteger, **column)


def bigint_or(default: int) -> Any:
    """Return a column of 64-bit integers, with a default where an older gateway writes the row."""
    server = {"server_default": sa.text(str(default))}
    return Field(sa_type=sa.BigInteger, default=default, sa_column_kwargs=server)


def counter() -> Any:
    """Return a column of a number that begins at 0."""
    return Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})


def partial_index(name: str, *names: str, where: str, unique: bool = False) -> sa.Index:
    """Return an index of the rows for which a predicate holds."""
    condition = sa.text(where)
    return sa.Index(name, *names, unique=unique, sqlite_where=condition, postgresql_where=condition)


def word(default: str) -> Any:
    """Return a column of a word, with the same default where an older gateway writes the row."""
    server = {"server_default": sa.text(f"'{default}'")}
    return Field(sa_type=TEXT, default=default, sa_column_kwargs=server)


def folded() -> Any:
    """Return the column of a row's names without their case; see `derivations`."""
    return Field(sa_type=TEXT, default=None)


def timestamp(**column: Any) -> Any:
    """Return a column of a point in time, by default the time of writing."""
    return Field(sa_type=UTCDateTime, default_factory=now, **column)

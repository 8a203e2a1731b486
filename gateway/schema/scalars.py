"""The scalars of the schema, and the column types that convert to them."""

import re
from calendar import timegm
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NewType

import orjson
import sqlalchemy as sa
import strawberry
from graphql import ValueNode, value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

from gateway.catalogue import json_values
from gateway.catalogue.tables import FIRST_SECOND, INT32, INT64, LAST_SECOND, NOT_YET
from gateway.errors import BadInput, shown

JSON = NewType("JSON", object)
"""A document: JSON text on output, parsed values on input."""
BigInt = NewType("BigInt", int)

_INTEGER = re.compile(r"-?[0-9]{1,19}")


def _clock(seconds: int | None) -> datetime | None:
    if seconds is None or seconds == NOT_YET:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _fitting(number: int | None) -> int | None:
    return number if number is None or -INT32 <= number < INT32 else None


def _constant(value: object) -> sa.ColumnElement[Any]:
    """Return a number, or a quoted word, as a part of the statement's text."""
    return sa.literal_column(str(value))


# Rows are made of many values: each type gives the function itself that reads one, rather than a
# method for SQLAlchemy to call by way of others.


class Partial(sa.TypeDecorator[Any]):
    """A column type whose conversion makes null of some stored values."""

    def shows(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Return the predicate of the stored values that aren't null. Its values are constants."""
        raise NotImplementedError


class Epoch(Partial):
    """Seconds since 1970 as an aware datetime; -1 ("not yet") and values out of range are null."""

    impl = sa.BigInteger
    cache_ok = True

    def shows(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Return the predicate of the times that a calendar has."""
        in_calendar = column.between(_constant(FIRST_SECOND), _constant(LAST_SECOND))
        return sa.and_(in_calendar, column != _constant(NOT_YET))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        """Return the whole seconds."""
        return None if value is None else timegm(value.utctimetuple())

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Return the conversion of a stored value."""
        return _clock


class Int32(Partial):
    """An integer of 32 bits, as GraphQL's Int; a larger one is null."""

    impl = sa.BigInteger
    cache_ok = True

    def shows(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Return the predicate of integers of 32 bits."""
        return column.between(_constant(-INT32), _constant(INT32 - 1))

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Return the conversion of a stored value."""
        return _fitting


class Vocabulary(Partial):
    """A word as a member of its vocabulary; any other word is null."""

    impl = sa.String
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words
        self._members: dict[str | None, StrEnum] = {word.value: word for word in words}

    def shows(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Return the predicate of the vocabulary's words."""
        return column.in_([_constant(f"'{word.value}'") for word in self.words])

    def process_bind_param(self, value: StrEnum | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """Return the word."""
        return None if value is None else value.value

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Return the conversion of a stored word."""
        return self._members.get


def _text(value: str) -> orjson.Fragment:
    return orjson.Fragment(value)


def _document(value: Any) -> Any:
    return json_values.check(value)


def _literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
    return json_values.check(value_from_ast_untyped(node, variables))


def _big_integer(value: object) -> int:
    number = int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value
    if isinstance(number, bool) or not isinstance(number, int) or not -INT64 <= number < INT64:
        raise BadInput(f"{shown(value)} is not an integer of 64 bits")
    return number


def _date_time(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]  # a TypeError is caught
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # The ends of the calendar have no UTC.
        return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"{shown(value)} is not a date and time (ISO 8601)") from None


_JSON = strawberry.scalar(
    name="JSON",
    description="Any JSON value; objects keep their keys in order.",
    serialize=_text,
    parse_value=_document,
    parse_literal=_literal,
)

SCALARS: dict[object, ScalarDefinition] = {
    JSON: _JSON,
    dict[str, Any]: _JSON,
    BigInt: strawberry.scalar(
        name="BigInt",
        description="An integer of 64 bits. On input a string of digits is accepted, too.",
        serialize=int,
        parse_value=_big_integer,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A point in time, ISO 8601, in UTC. On input any offset is taken; without one "
        "it is UTC.",
        serialize=datetime.isoformat,
        parse_value=_date_time,
    ),
}

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
from gateway.catalogue.tables import INT64
from gateway.errors import BadInput, shown

JSON = NewType("JSON", object)
"""A document: JSON text on output, parsed values on input."""
BigInt = NewType("BigInt", int)

_INTEGER = re.compile(r"-?[0-9]{1,19}")


def _clock(seconds: int | None) -> datetime | None:
    if seconds is None or seconds == -1:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _fitting(number: int | None) -> int | None:
    return number if number is None or -(2**31) <= number < 2**31 else None


# Rows are made of many values: each type gives the function itself that reads one, rather than a
# method for SQLAlchemy to call by way of others.


class Epoch(sa.TypeDecorator[datetime]):
    """Seconds since 1970 as an aware datetime; -1 ("not yet") and values out of range are null."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        """Return the whole seconds."""
        return None if value is None else timegm(value.utctimetuple())

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Return the conversion of a stored value."""
        return _clock


class Int32(sa.TypeDecorator[int]):
    """An integer of 32 bits, as GraphQL's Int; a larger one is null."""

    impl = sa.BigInteger
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Return the conversion of a stored value."""
        return _fitting


class Vocabulary(sa.TypeDecorator[StrEnum]):
    """A word as a member of its vocabulary; any other word is null."""

    impl = sa.String
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words
        self._members: dict[str | None, StrEnum] = {word.value: word for word in words}

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

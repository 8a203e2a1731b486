"""The scalars of the schema, and how columns become them on their way out of the database."""

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
"""An open document: text on its way out, values on its way in."""
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
    """Seconds since 1970 as an aware datetime; null are -1 ("not yet") and what no calendar has."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        """Count the whole seconds."""
        return None if value is None else timegm(value.utctimetuple())

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Read the clock."""
        return _clock


class Int32(sa.TypeDecorator[int]):
    """An integer that GraphQL's Int can hold; one that it can't is null."""

    impl = sa.BigInteger
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Let it pass if it fits."""
        return _fitting


class Vocabulary(sa.TypeDecorator[StrEnum]):
    """A word as a member of its enum; one that the enum doesn't have is null."""

    impl = sa.String
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words
        self._members: dict[str | None, StrEnum] = {word.value: word for word in words}

    def process_bind_param(self, value: StrEnum | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """Write the word."""
        return None if value is None else value.value

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Look the word up."""
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


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]  # a TypeError is caught
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # The ends of the calendar have no UTC.
        return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"{shown(value)} is not a date and time (ISO 8601)") from None


_JSON = strawberry.scalar(
    name="JSON",
    description="Any JSON value, whole and with its keys in their order.",
    serialize=_text,
    parse_value=_document,
    parse_literal=_literal,
)

SCALARS: dict[object, ScalarDefinition] = {
    JSON: _JSON,
    dict[str, Any]: _JSON,
    BigInt: strawberry.scalar(
        name="BigInt",
        description="An integer of 64 bits; on input also as a string of digits.",
        serialize=int,
        parse_value=_big_integer,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A point in time, ISO 8601, in UTC; on input any offset, and UTC without one.",
        serialize=datetime.isoformat,
        parse_value=_moment,
    ),
}

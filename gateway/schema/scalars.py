"""The scalars of the schema, and the column types that convert to them."""

import re
from calendar import timegm
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from typing import Any, NewType

import orjson
import sqlalchemy as sa
import strawberry
from graphql import (
    BooleanValueNode,
    EnumValueNode,
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    StringValueNode,
    Undefined,
    ValueNode,
    VariableNode,
)
from strawberry.types.scalar import ScalarDefinition

from gateway.catalogue import json_values
from gateway.catalogue.tables import FIRST_SECOND, INT32, INT64, LAST_SECOND, NOT_YET
from gateway.errors import BadInput, shown

JSON = NewType("JSON", object)
"""A document: JSON text on output, parsed values on input."""
BigInt = NewType("BigInt", int)

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_DATE_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?P<fraction>\.[0-9]+)?)?(?P<offset>[Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?)?"
)


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


def _literal(node: ValueNode, variables: Mapping[str, Any] | None = None) -> Any:
    value = _value_of(node, variables or {})
    # No variable is known while the document is validated.
    return json_values.check(None if value is Undefined else value)


def _value_of(node: ValueNode, variables: Mapping[str, Any]) -> Any:
    """Return the JSON value that a literal is under these variables' values.

    As in an input object, an absent variable leaves its key out; in a list it is null.
    """
    result: Any = None
    match node:
        case StringValueNode() | BooleanValueNode() | EnumValueNode():
            result = node.value
        case VariableNode():
            result = _as_json(variables.get(node.name.value, Undefined))
        case ObjectValueNode():
            entries = ((one.name.value, _value_of(one.value, variables)) for one in node.fields)
            result = {key: value for key, value in entries if value is not Undefined}
        case ListValueNode():
            items = (_value_of(item, variables) for item in node.values)
            result = [None if item is Undefined else item for item in items]
        case IntValueNode():
            result = json_values.integer(node.value)
        case FloatValueNode():
            result = json_values.number(node.value)
    return result


def _as_json(value: Any) -> Any:
    """Return the value of a variable, of any type, as GraphQL would write it in JSON."""
    match value:
        case Enum():
            return value.name
        case datetime():
            return value.isoformat()
        case dict():
            return {key: _as_json(item) for key, item in value.items()}
        case list():
            return [_as_json(item) for item in value]
    return value


def _big_integer(value: object) -> int:
    number: object = value
    if isinstance(value, str):
        number = int(value) if _INTEGER.fullmatch(value) else value
    elif isinstance(value, float):
        number = int(value) if value.is_integer() else value
    if isinstance(number, bool) or not isinstance(number, int) or not -INT64 <= number < INT64:
        raise BadInput(f"{shown(value)} is not an integer of 64 bits")
    return number


def _date_time(value: object) -> datetime:
    try:
        return _moment(value if isinstance(value, str) else "")
    except (ValueError, OverflowError):  # The ends of the calendar have no UTC.
        raise BadInput(f"{shown(value)} is not a date and time (RFC 3339)") from None


def _moment(text: str) -> datetime:
    """Return the moment of a text, in UTC. Raises ValueError and OverflowError."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    is_leap_second = found["second"] == "60"
    second = "59" if is_leap_second else found["second"] or "00"
    fraction = (found["fraction"] or "")[:7]  # as far as datetime goes, with the point
    time = f"{found['hour'] or '00'}:{found['minute'] or '00'}:{second}{fraction}"
    offset = (found["offset"] or "").upper() or "Z"
    moment = datetime.fromisoformat(f"{found['date']}T{time}{offset}").astimezone(UTC)
    if not is_leap_second:
        return moment
    # POSIX time, in which the catalogue is kept, has none: it is the second after.
    moment += timedelta(seconds=1)
    if (moment.day, moment.hour, moment.minute, moment.second) != (1, 0, 0, 0):
        raise ValueError(text)
    return moment


_JSON = strawberry.scalar(
    name="JSON",
    description="Any JSON value; objects keep their keys in order. Integers have 64 bits. In a "
    "literal, variables may stand for values: one that is absent leaves its key out, and is null "
    "in a list.",
    serialize=_text,
    parse_value=_document,
    parse_literal=_literal,
)

SCALARS: dict[object, ScalarDefinition] = {
    JSON: _JSON,
    dict[str, Any]: _JSON,
    BigInt: strawberry.scalar(
        name="BigInt",
        description="An integer of 64 bits. On input, a string of digits and a number like 1.0 "
        "are taken, too.",
        serialize=int,
        parse_value=_big_integer,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A point in time, in UTC, as RFC 3339 writes it: `2026-03-29T02:30:00+00:00`. "
        "On input, all of RFC 3339 is taken: any offset, `t` and `z` in lower case, a blank in "
        "place of `T`, fractions of which digits beyond microseconds are dropped, and the second "
        "60 at the end of a month in UTC, as the second after. These are taken, too: no offset, "
        "for UTC; an offset without its colon; no seconds; a date alone, for its midnight.",
        serialize=datetime.isoformat,
        parse_value=_date_time,
    ),
}

"""Every place of the schema where a scalar or an enum's value stands, and what it takes there."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLList,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
    parse_value,
)
from graphql.utilities import coerce_input_literal, coerce_input_value

from gateway.catalogue import json_values
from gateway.errors import BadInput
from gateway.schema import create_schema
from tests.support.extremes import DEEP, NUMBERS, WORDS, Items, Object, Raw, same, text

CORE = create_schema().core
SHARP = [
    *(same(number) for number in NUMBERS),
    *(same(word) for word in WORDS),
    *(text(one) for one in ("", "\0", "😀é\u0301", "%'\\_", "\ud800", "x" * 3000, str(2**63))),
    *(text(one) for one in ("2026-03-29T02:30:00Z", "0001-01-01", "9999-12-31T23:59:59.9Z")),
    *(same(one) for one in DEEP[:3]),
]
"""The values that are tried at every place."""
GOOD = {"Int": "1", "BigInt": "1", "Boolean": "true", "String": '"a"', "DateTime": '"2026-01-01"'}
GOOD |= {"JSON": "{}"}

Build = Callable[[Any], Any]
"""From a value to what it stands in."""


@dataclass(frozen=True)
class Leaves:
    """The places below arguments, around which everything is good.

    `ids` are good ids by the names of places, `documents` good documents likewise.
    """

    ids: Mapping[str, str]
    documents: Mapping[str, Mapping[str, Any]]

    def of_arguments(self, arguments: Mapping[str, GraphQLArgument]) -> Iterator[tuple[Any, Build]]:
        """Yield the type of each place below arguments, and how they are all written with it."""
        needed = [name for name, one in arguments.items() if is_required_argument(one)]
        good = {name: self.good(name, arguments[name].type) for name in needed}
        for name, argument in arguments.items():
            for type_, build in self.below(name, argument.type):
                yield type_, _entry(good, name, build)

    def below(self, name: str, type_: Any, *, depth: int = 0) -> Iterator[tuple[Any, Build]]:
        """Yield the type of each place in a value of this type, and how to make the value of it."""
        plain = get_nullable_type(type_)
        if isinstance(plain, GraphQLList):
            for of, build in self.below(name, plain.of_type, depth=depth):
                yield of, _item(build)
        elif isinstance(plain, GraphQLInputObjectType):
            needed = [one for one, field in plain.fields.items() if is_required_input_field(field)]
            good = {one: self.good(one, plain.fields[one].type) for one in needed}
            for one, field in plain.fields.items():
                # Conditions in conditions are those of the first level.
                if depth < 3 and get_named_type(field.type) is not plain:
                    for of, build in self.below(one, field.type, depth=depth + 1):
                        yield of, _entry(good, one, build)
        else:
            yield type_, lambda value: value
            if (document := self.documents.get(name)) is not None:
                good = {key: same(json.dumps(value)) for key, value in document.items()}
                for key in (*document, "x"):
                    yield type_, _entry(good, key, lambda value: value)

    def good(self, name: str, type_: Any) -> Any:
        """Return a value that a place takes."""
        plain = get_nullable_type(type_)
        if isinstance(plain, GraphQLList):
            return Items([self.good(name, plain.of_type)])
        if isinstance(plain, GraphQLInputObjectType):
            needed = [one for one, field in plain.fields.items() if is_required_input_field(field)]
            return Object([(one, self.good(one, plain.fields[one].type)) for one in needed])
        if isinstance(plain, GraphQLEnumType):
            word = next(iter(plain.values))
            return Raw(json.dumps(word), word)
        if name in self.ids:
            return text(self.ids[name])
        if name in self.documents:
            entries = self.documents[name].items()
            return Object([(key, same(json.dumps(value))) for key, value in entries])
        return same(GOOD.get(plain.name, '"a"'))


def _entry(good: Mapping[str, Any], name: str, build: Build) -> Build:
    return lambda value: Object(list({**good, name: build(value)}.items()))


def _item(build: Build) -> Build:
    return lambda value: Items([build(value)])


def taken(type_: Any, *, as_variables: bool) -> list[Any]:
    """Return the sharp values that a type takes, or its words."""
    plain = get_named_type(type_)
    if isinstance(plain, GraphQLEnumType):
        return [Raw(json.dumps(word), word) for word in plain.values]
    may_be_null = not is_non_null_type(type_)
    core: Any = CORE.type_map[plain.name]
    takes = _as_variable if as_variables else _as_literal
    return [
        value for value in SHARP if takes(core, value) and (may_be_null or value.json != "null")
    ]


def _as_variable(core: Any, value: Any) -> bool:
    try:
        return coerce_input_value(json_values.parse(value.json), core) is not Undefined
    except BadInput:
        return False


def _as_literal(core: Any, value: Any) -> bool:
    try:
        return coerce_input_literal(parse_value(value.graphql), core) is not Undefined
    except GraphQLError:
        return False

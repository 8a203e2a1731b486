"""Extreme values, each as JSON and as GraphQL write it, and inputs of the schema made of them."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    get_named_type,
    get_nullable_type,
    is_required_argument,
    is_required_input_field,
)
from graphql.type import GraphQLInputField
from hypothesis import strategies as st

NUMBERS = [
    *(str(number) for number in (0, -1, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 253402300800)),
    *(str(number) for number in (2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64)),
    *("-0", "0.5", "1.0", "1e3", "1e308", "1e400", "-1e400", "5e-324", str(10**400), "9" * 5000),
]
"""Numbers that both languages write alike."""

TEXTS = [
    *("", " ", "\n", "NaN", "Infinity", "null", "None", "0", "-1", "1e400", "%", "_", "'", '"'),
    *("\\", "[", "{}", "[1e400]", "é\u0301", "😀", "\u2028", "\x7f", "\0", "a\0b", "\\u0000"),
    *("\ud800", "a\udc00\ud800", "\ufffe", str(2**63), "9" * 400, "x" * 100_000, "é" * 40_000),
    *("2026-03-29T02:30:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:60Z", "2026-W13-7"),
    *("1 days", "9999999999999 weeks", "continuous", "*/0", "available", "..", "a b", "a" * 300),
]

DEEP = [("[" * depth + "]" * depth) for depth in (1, 40, 99, 150, 1500)]
"""Lists in lists, which both languages write alike."""

WORDS = ["null", "true", "false", "NaN", "Infinity", "-Infinity", "[null]", "[[], null, 0]", "{}"]


_NAME = re.compile(r"[_A-Za-z]\w*", re.ASCII)


@dataclass(frozen=True)
class Raw:
    """A value as it is written in JSON, and in GraphQL."""

    json: str
    graphql: str


@dataclass(frozen=True)
class Object:
    """An object of such values; GraphQL writes only keys that are names."""

    entries: Sequence[tuple[str, Any]]

    @property
    def json(self) -> str:
        """The object in JSON."""
        return f"{{{', '.join(f'{json.dumps(key)}: {one.json}' for key, one in self.entries)}}}"

    @property
    def graphql(self) -> str:
        """The object in GraphQL."""
        named = {key: one for key, one in self.entries if _NAME.fullmatch(key)}
        return f"{{{', '.join(f'{key}: {one.graphql}' for key, one in named.items())}}}"


@dataclass(frozen=True)
class Items:
    """A list of such values."""

    items: Sequence[Any]

    @property
    def json(self) -> str:
        """The list in JSON."""
        return f"[{', '.join(one.json for one in self.items)}]"

    @property
    def graphql(self) -> str:
        """The list in GraphQL."""
        return f"[{', '.join(one.graphql for one in self.items)}]"


def same(text: str) -> Raw:
    """Return what both languages write alike."""
    return Raw(text, text)


def text(value: str) -> Raw:
    """Return a text."""
    return same(json.dumps(value))


def chain(depth: int) -> Any:
    """Return an object in an object, and so on."""
    value: Any = same("null")
    for _ in range(depth):
        value = Object([("a", value)])
    return value


EXTREMES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(NUMBERS).map(same),
    st.sampled_from(TEXTS).map(text),
    st.sampled_from([*WORDS, *DEEP]).map(same),
    st.sampled_from([1, 40, 99, 150]).map(chain),
    st.just(Object([("", same("1")), ("a.b", same("null")), ("\ud800", same("[]"))])),
)
"""Any of them; GraphQL's wrong texts and JSON's are both among them."""

GOOD: dict[str, list[Raw]] = {
    "Int": [same("1"), same("0")],
    "BigInt": [same("1"), same('"1"')],
    "Boolean": [same("true"), same("false")],
    "String": [text("a"), text("host")],
    "DateTime": [text("2026-03-29T02:30:00Z")],
}
"""Values that a scalar takes; of one that isn't here, and isn't `JSON` or `ID`, extremes are."""


@dataclass
class Inputs:
    """Arguments of fields, most of whose values are good, some extreme, and some variables.

    `ids` are the good ids; `documents` the good documents, by the name of the place.
    """

    draw: st.DrawFn
    ids: Sequence[str]
    documents: dict[str, dict[str, Any]]
    variables: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """The declared type, maybe with a default, and the JSON; None for a variable not given."""

    def chance(self, one_in: int) -> bool:
        """Draw true once in so many times."""
        return self.draw(st.integers(1, one_in)) == one_in

    def arguments(self, arguments: dict[str, GraphQLArgument]) -> str:
        """Return the arguments of a field as GraphQL writes them, in brackets."""
        chosen = self._some(
            [name for name, given in arguments.items() if is_required_argument(given)],
            [name for name, given in arguments.items() if not is_required_argument(given)],
        )
        given = [
            f"{name}: {self.maybe_variable(name, arguments[name].type).graphql}" for name in chosen
        ]
        return f"({', '.join(given)})" if given else ""

    def maybe_variable(self, name: str, type_: Any) -> Any:
        """Return a value of a type, or a variable that has it."""
        if not self.chance(3):
            return self.value(name, type_)
        return self._variable(str(type_), self.value(name, type_, in_variable=True))

    def value(self, name: str, type_: Any, *, in_variable: bool = False) -> Any:
        """Return a value for a place of this name and type."""
        if self.chance(12):
            return self.draw(EXTREMES)
        type_ = get_nullable_type(type_)
        if isinstance(type_, GraphQLList):
            count = self.draw(st.integers(0, 2))
            items = [self.inner(name, type_.of_type, in_variable) for _ in range(max(count, 1))]
            return Items(items) if count else items[0]
        if isinstance(type_, GraphQLInputObjectType):
            return self._object(type_, in_variable=in_variable)
        return self._leaf(name, type_, in_variable=in_variable)

    def _leaf(self, name: str, type_: Any, *, in_variable: bool) -> Any:
        if self.chance(3):
            return self.draw(EXTREMES)
        if isinstance(type_, GraphQLEnumType):
            word = self.draw(st.sampled_from(sorted(type_.values)))
            return Raw(json.dumps(word), word)
        if type_.name == "ID" or name.endswith("Id"):
            return text(self.draw(st.sampled_from(self.ids)))
        if type_.name == "JSON":
            return self._document(name, in_variable=in_variable)
        return self.draw(st.sampled_from(GOOD[type_.name]) if type_.name in GOOD else EXTREMES)

    def inner(self, name: str, type_: Any, in_variable: bool) -> Any:  # noqa: FBT001
        """Return a value inside of another, which is no variable inside of one."""
        if in_variable:
            return self.value(name, type_, in_variable=True)
        return self.maybe_variable(name, type_)

    def _object(self, type_: GraphQLInputObjectType, *, in_variable: bool) -> Object:
        fields: dict[str, GraphQLInputField] = type_.fields
        # Of conditions in conditions there need not be many.
        own = [name for name, one in fields.items() if get_named_type(one.type) is type_]
        needed = [name for name, one in fields.items() if is_required_input_field(one)]
        others = [name for name in fields if name not in {*own, *needed}]
        chosen = self._some(needed, own if own and self.chance(6) else others)
        return Object([(name, self.inner(name, fields[name].type, in_variable)) for name in chosen])

    def _document(self, name: str, *, in_variable: bool) -> Any:
        good = self.documents.get(name)
        if good is None:
            return self.draw(EXTREMES)
        entries = {key: same(json.dumps(value)) for key, value in good.items()}
        for key in self.draw(st.lists(st.sampled_from([*entries, "x", ""]), max_size=2)):
            value = self.draw(EXTREMES)
            if not in_variable and self.chance(2):
                types = ["JSON", "String", "Int", "BigInt", "DateTime", "[ID!]", "BackupStatus"]
                value = self._variable(self.draw(st.sampled_from(types)), value)
            entries[key] = value
        return Object(list(entries.items()))

    def _variable(self, type_: str, value: Any) -> Raw:
        name = f"v{len(self.variables)}"
        declared, given = type_, value.json
        if self.chance(6):
            # Its default is the value, and nothing is given; or nothing at all.
            declared, given = (f"{type_} = {value.graphql}" if self.chance(2) else type_), None
        self.variables[name] = (declared, given)
        return same(f"${name}")

    def _some(self, needed: Sequence[str], others: Sequence[str]) -> list[str]:
        if not others:
            return list(needed)
        return [*needed, *self.draw(st.lists(st.sampled_from(others), max_size=2, unique=True))]

    def request(self, kind: str, selection: str) -> str:
        """Return the body of a request for an operation with the variables that were made."""
        declared = ", ".join(f"${name}: {type_}" for name, (type_, _) in self.variables.items())
        query = f"{kind}{f'({declared})' if declared else ''} {selection}"
        given = {name: one for name, (_, one) in self.variables.items() if one is not None}
        variables = ", ".join(f'"{name}": {one}' for name, one in given.items())
        return f'{{"query": {json.dumps(query)}, "variables": {{{variables}}}}}'

"""GraphQL documents at random, written from the schema itself: mostly valid, never alike.

Everything that GraphQL has for queries comes up: fields of every type with arguments of every kind,
fragments named, inline and on interfaces, aliases, merged fields, directives, variables at every
place of a value, with and without defaults, and now and then a value that is wrong.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
)
from hypothesis import strategies as st

Variables = dict[str, Any]

_DEEPEST_VALUE = 3


@dataclass(frozen=True)
class Known:
    """What documents may speak of: what is in the catalogue, and some things that are not."""

    ids: Sequence[str]
    """Global ids."""
    rest_ids: Sequence[str]
    words: Sequence[str]
    numbers: Sequence[int]
    moments: Sequence[str]
    paths: Sequence[Sequence[str]]
    """Where something is in open documents."""


@dataclass(frozen=True)
class Document:
    """An operation, and some sets of variables to run it with.

    `<Job.actions.3>` stands for a cursor: the third of the lists in that field, in its own order.
    """

    text: str
    variables: Sequence[Variables]


@st.composite
def documents(draw: st.DrawFn, schema: GraphQLSchema, known: Known) -> Document:
    """Write a document."""
    return _Writer(draw, schema, known).document()


class _Variable(str):
    """A variable's name, as a part of a value."""

    __slots__ = ()


@dataclass(frozen=True)
class _Declared:
    """A variable: its type, and the place that it was first used at."""

    type_: Any
    place: tuple[str, ...]
    default: str


@dataclass
class _Writer:
    draw: st.DrawFn
    schema: GraphQLSchema
    known: Known
    fragments: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By their names: the type that a named fragment is on, and its text."""
    declared: dict[str, _Declared] = field(default_factory=dict)
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    """By a field and its arguments: its key in every response, so that what merges is equal."""
    left: int = 0
    """How many fields may still be written."""

    def document(self) -> Document:
        self.left = self.draw(st.integers(10, 60))
        body = self.selections(self.schema.query_type, self.draw(st.integers(4, 9)))
        fragments = " ".join(
            f"fragment {name} on {type_} {text}" for name, (type_, text) in self.fragments.items()
        )
        variables = ", ".join(
            f"${name}: {declared.type_}{declared.default}"
            for name, declared in self.declared.items()
        )
        head = f"query ({variables}) " if variables else ""
        given = [self.assigned() for _ in range(2 if variables else 1)]
        return Document(f"{head}{body} {fragments}".strip(), given)

    def assigned(self) -> Variables:
        """Draw a value for each variable; some are left out, few are wrong."""
        values = {}
        for name, declared in self.declared.items():
            may_be_absent = declared.default or not isinstance(declared.type_, GraphQLNonNull)
            if self.one_in(3 if may_be_absent else 60):
                continue
            values[name] = self.value(declared.type_, *declared.place, plain=True)
            if self.one_in(40):
                values[name] = self.pick([None, {"a": [1]}, "", 2**40, 1.5, [[]], True])
        return values

    def one_in(self, number: int) -> bool:
        return self.draw(st.integers(1, number)) == number

    def pick(self, choices: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(choices))

    # Selections

    def selections(self, type_: Any, deep: int, prefix: str = "") -> str:
        """Write a selection set of a type."""
        if isinstance(type_, GraphQLInterfaceType):
            parts = self.on_each(type_, deep)
        else:
            fields = [
                name
                for name, definition in type_.fields.items()
                for _ in range(1 if is_leaf_type(get_named_type(definition.type)) else 4)
                if deep > 1 or is_leaf_type(get_named_type(definition.type))
            ]
            names = self.draw(
                st.lists(st.sampled_from([*fields, "__typename"]), min_size=1, max_size=6)
            )
            parts = [self.field(type_, name, deep, prefix) for name in names if self.left > 0]
        parts = parts or ["__typename"]
        while parts and self.one_in(4):
            parts = self.gathered(type_, parts)
        if not prefix and self.one_in(5):
            known = [name for name, (on, _) in self.fragments.items() if on == type_.name]
            parts += [f"...{name}{self.directive()}" for name in known[:1]]
        return f"{{ {' '.join(parts)} }}"

    def on_each(self, interface: Any, deep: int) -> list[str]:
        """Write what is selected on an interface, and on each of some types that have it."""
        parts = [name for name in ("id", "__typename") if self.one_in(2)]
        types = self.schema.get_possible_types(interface)
        for type_ in self.draw(st.lists(st.sampled_from(types), max_size=3)):
            # Fields of one name may have different types: each is called after its own.
            prefix = "" if self.one_in(10) else f"{type_.name}_"
            parts.append(f"... on {type_.name} {self.selections(type_, deep, prefix)}")
        return parts

    def gathered(self, type_: Any, parts: list[str]) -> list[str]:
        """Put some of the selections into a fragment."""
        start = self.draw(st.integers(0, len(parts) - 1))
        end = self.draw(st.integers(start + 1, len(parts)))
        inside = f"{{ {' '.join(parts[start:end])} }}"
        interfaces = [interface.name for interface in getattr(type_, "interfaces", ())]
        kind = self.draw(st.integers(0, 3))
        if kind == 0:
            name = f"F{len(self.fragments)}"
            self.fragments[name] = (type_.name, inside)
            made = f"...{name}{self.directive()}"
        elif kind == 1:
            made = f"... on {type_.name}{self.directive()} {inside}"
        elif kind == 2 and interfaces:
            made = f"... on {self.pick(interfaces)}{self.directive()} {{ id __typename }}"
            return [*parts, made]
        else:
            made = f"...{self.directive()} {inside}"
        return [*parts[:start], made, *parts[end:]]

    def field(self, type_: Any, name: str, deep: int, prefix: str) -> str:
        """Write a field, with its arguments and what is selected of it."""
        self.left -= 1
        if name == "__typename":
            return self.pick([name, f"kind: {name}"])
        definition = type_.fields[name]
        arguments = self.arguments(type_.name, name, definition.args)
        key = self.keys.setdefault(
            (name, arguments), f"{name}{len(self.keys)}" if arguments else name
        )
        if self.one_in(6):
            key = f"also_{key}"
        key = f"{prefix}{key}"
        below = get_named_type(definition.type)
        selected = "" if is_leaf_type(below) else f" {self.selections(below, deep - 1)}"
        alias = "" if key == name else f"{key}: "
        return f"{alias}{name}{arguments}{self.directive()}{selected}"

    def directive(self) -> str:
        if not self.one_in(6):
            return ""
        condition = self.value(GraphQLNonNull(self.schema.type_map["Boolean"]), "if")
        return f" @{self.pick(['include', 'skip'])}(if: {self.literal(condition)})"

    def arguments(self, type_: str, field_: str, args: Mapping[str, Any]) -> str:
        """Write a field's arguments; the required ones, and few others."""
        given = []
        names = list(args)
        for name in names:
            often = {"first": 2, "where": 3, "orderBy": 4, "after": 5}.get(name, 7)
            if isinstance(args[name].type, GraphQLNonNull) and name != "allProjects":
                often = 1
            # Both is an error, and a cursor is good for one order.
            if name == "last" and any(text.startswith("first:") for text in given):
                often = 40
            if name == "orderBy" and any("after:" in text or "before:" in text for text in given):
                often = 40
            if self.one_in(often):
                value = self.value(args[name].type, type_, field_, name)
                given.append(f"{name}: {self.literal(value, args[name].type)}")
        return f"({', '.join(given)})" if given else ""

    # Values

    def value(self, type_: Any, *place: str, plain: bool = False, deep: int = 0) -> Any:
        """Draw a value of an input type; if not plain, it or a part of it may be a variable."""
        if not plain and self.one_in(3 if deep == 0 else 6):
            return self.variable(type_, place)
        if isinstance(type_, GraphQLNonNull):
            return self.present(type_.of_type, place, plain=plain, deep=deep)
        if self.one_in(12):
            return None
        return self.present(type_, place, plain=plain, deep=deep)

    def variable(self, type_: Any, place: tuple[str, ...]) -> _Variable:
        """Declare a variable, or take one of the same type."""
        same = [
            name
            for name, declared in self.declared.items()
            if declared.type_ == type_ and declared.place[-1:] == place[-1:]
        ]
        if same and self.one_in(3):
            return _Variable(self.pick(same))
        name = f"v{len(self.declared)}"
        default = ""
        if self.one_in(5):
            default = f" = {self.literal(self.value(type_, *place, plain=True), type_)}"
        self.declared[name] = _Declared(type_, place, default)
        return _Variable(name)

    def present(self, type_: Any, place: tuple[str, ...], *, plain: bool, deep: int) -> Any:
        if isinstance(type_, GraphQLList):
            inner = type_.of_type
            if self.one_in(5):
                # One item may stand for a list of it.
                return self.present(
                    getattr(inner, "of_type", inner), place, plain=plain, deep=deep + 1
                )
            size = self.draw(st.integers(0, 3))
            return [self.value(inner, *place, plain=plain, deep=deep + 1) for _ in range(size)]
        if isinstance(type_, GraphQLEnumType):
            return "NONE_OF_THEM" if self.one_in(60) else self.pick(list(type_.values))
        if isinstance(type_, GraphQLInputObjectType):
            return self.object(type_, plain=plain, deep=deep)
        return self.scalar(type_.name, place, plain=plain)

    def object(self, type_: Any, *, plain: bool, deep: int) -> dict[str, Any]:
        required = [
            name
            for name, definition in type_.fields.items()
            if isinstance(definition.type, GraphQLNonNull)
        ]
        others = [
            name
            for name, definition in type_.fields.items()
            if deep < _DEEPEST_VALUE
            or not isinstance(get_named_type(definition.type), GraphQLInputObjectType)
        ]
        more = self.draw(st.lists(st.sampled_from(others), max_size=2)) if others else []
        names = dict.fromkeys([*required, *more])
        return {
            name: self.value(type_.fields[name].type, type_.name, name, plain=plain, deep=deep + 1)
            for name in names
        }

    def scalar(self, kind: str, place: tuple[str, ...], *, plain: bool) -> Any:
        name = place[-1]
        if self.one_in(80):
            # Before an operation runs, the gateway refuses variables with a NUL in them.
            return self.pick(["", -1, True, 1.5, {"a": 1}, 2**62, "" if plain else "\0"])
        if name in {"after", "before"}:
            number = self.draw(st.integers(0, 12))
            return f"<{place[-3]}.{place[-2]}.{number}>" if number and len(place) > 2 else "zzz"
        if name in {"first", "last"}:
            return self.pick([0, 1, 1, 2, 2, 3, 4, 5, 5, -1, 5000])
        choices: Mapping[str, Sequence[Any]] = {
            "Boolean": [True, False],
            "Int": [number for number in self.known.numbers if abs(number) < 2**31],
            "BigInt": [*self.known.numbers, *map(str, self.known.numbers)],
            "Float": [0, 1, -1, 2.5],
            "ID": self.known.ids if name in {"id", "ids"} else self.known.rest_ids,
            "DateTime": self.known.moments,
            "JSON": [*self.known.words, *self.known.numbers, True, None],
            "String": self.known.words,
        }
        if name == "path":
            return self.pick([key for keys in self.known.paths for key in keys])
        return self.pick(choices[kind])

    def literal(self, value: Any, type_: Any = None) -> str:
        """Write a value in GraphQL's own language."""
        if isinstance(value, _Variable):
            return f"${value}"
        inner = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        if isinstance(value, list):
            item = inner.of_type if isinstance(inner, GraphQLList) else None
            return f"[{', '.join(self.literal(part, item) for part in value)}]"
        if isinstance(inner, GraphQLList):
            return self.literal(value, inner.of_type)
        if isinstance(value, dict):
            fields = getattr(inner, "fields", {})
            parts = (
                f"{name}: {self.literal(part, fields[name].type if name in fields else None)}"
                for name, part in value.items()
            )
            return f"{{{', '.join(parts)}}}"
        if isinstance(inner, GraphQLEnumType) and isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False)

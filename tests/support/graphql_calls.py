"""Calls of every field and mutation of GraphQL, made from the schema's introspection."""

import base64
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLSchema,
    build_client_schema,
    get_introspection_query,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from gateway.schema import create_schema
from tests.support import tenants
from tests.support.tenants import ALICE, BOB, PROJECTS, SECRET, item, series_of

KINDS = (*tenants.KINDS, "run")
ENTITIES = [kind.title() for kind in KINDS]
NODES = [*ENTITIES, "Series", "Chain"]
"""The types of items that have an id."""
INNER = 6
"""How many values of an input are tried inside of another one."""

LITERALS: dict[str, list[str]] = {
    "Int": ["2"],
    "Boolean": ["true", "false"],
    "String": ['"%s"', '"x"'],
    "DateTime": ['"1980-01-01T00:00:00Z"', '"2980-01-01T00:00:00Z"'],
    "BigInt": ["0"],
    "Float": ["1.5"],
    "JSON": ['"%s"', "4711"],
}
"""What is tried for a value of each type; a scalar that isn't here fails the test."""

NAMED: dict[str, list[str]] = {
    "freezerAction": ['{action: "backup", container: "taken"}'],
    "metadata": ['{backup_name: "taken", hostname: "h", container: "c"}'],
    "path": ['["secret"]', '["backup_name"]'],
    "interval": ['"1 days"'],
    "currentTag": ["0"],
    "supportedActions": ['["backup"]'],
    "supportedModes": ['["fs"]'],
    # These have tests of their own.
    "after": [],
    "before": [],
    "allProjects": [],
}
"""What is tried by name, where not every value of the type would do."""


def introspected() -> GraphQLSchema:
    schema = create_schema()
    found: Any = schema.execute_sync(get_introspection_query()).data
    return build_client_schema(found)


SCHEMA = introspected()
assert SCHEMA.query_type is not None
assert SCHEMA.mutation_type is not None
QUERIES = SCHEMA.query_type.fields
MUTATIONS = SCHEMA.mutation_type.fields


def global_id(kind: str, project: str, item_id: str) -> str:
    return json.dumps(base64.b64encode(f"{kind.title()}:{project}:{item_id}".encode()).decode())


@dataclass(frozen=True)
class Tries:
    """What is tried for arguments: items of these users, where `id` is of one of these kinds.

    Of the operators of a filter, some; of inputs in inputs, a few.
    """

    users: tuple[str, ...]
    kinds: tuple[str, ...] = KINDS
    operators: int = 3
    word: str = SECRET

    def calls(self, name: str, field: GraphQLField) -> Iterator[str]:
        """Yield calls of a field: what is required in every combination, the rest in turn."""
        types = {argument: given.type for argument, given in field.args.items()}
        needed = [name for name, given in field.args.items() if is_required_argument(given)]
        for given in self._combinations(types, needed):
            yield call(name, given)

    def inputs(self, type_: GraphQLInputObjectType) -> Iterator[str]:
        """Yield inputs of a type, in the same way."""
        types = {name: field.type for name, field in type_.fields.items()}
        needed = [name for name, field in type_.fields.items() if is_required_input_field(field)]
        # Inputs that hold others of their own type hold the simplest of them.
        own = [name for name, of in types.items() if get_named_type(of) is type_]
        others = {name: of for name, of in types.items() if name not in own}
        for given in self._combinations(others, needed):
            yield f"{{{', '.join(given)}}}"
        for name in own:
            (first, of), *_ = others.items()
            yield f"{{{name}: {{{first}: {next(self.values(first, of))}}}}}"

    def values(self, name: str, type_: GraphQLInputType) -> Iterator[str]:
        """Yield what is tried for an argument or a field of an input, as GraphQL writes it."""
        type_ = get_nullable_type(type_)
        named: Any = get_named_type(type_)
        if name in NAMED and not named.name.endswith(("Filter", "Where")):
            yield from NAMED[name]
        elif isinstance(type_, GraphQLList):
            yield from (f"[{value}]" for value in self.values(name, type_.of_type))
        elif isinstance(type_, GraphQLEnumType):
            yield from type_.values
        elif isinstance(type_, GraphQLInputObjectType) and type_.name.endswith("Filter"):
            yield from self.filters(type_)
        elif isinstance(type_, GraphQLInputObjectType):
            whole = name == "input" or type_.name.endswith("Where")
            yield from itertools.islice(self.inputs(type_), None if whole else INNER)
        elif name == "series" and type_.name == "ID":
            yield from (global_id("series", PROJECTS[one], series_of(one)) for one in self.users)
        elif type_.name == "ID" or name.removesuffix("Id") in KINDS:
            yield from self.ids(name)
        else:
            yield from (value.replace("%s", self.word) for value in LITERALS[type_.name])

    def filters(self, type_: GraphQLInputObjectType) -> Iterator[str]:
        """Yield filters of a type, each of some operators with what is required besides."""
        fields = type_.fields
        needed = [name for name, field in fields.items() if is_required_input_field(field)]
        operators = [name for name in fields if name not in needed][: self.operators]
        for operator in operators:
            tried = {name: next(self.values(name, fields[name].type)) for name in fields}
            given = [f"{name}: {tried[name]}" for name in (*needed, operator)]
            yield f"{{{', '.join(given)}}}"

    def ids(self, name: str) -> Iterator[str]:
        """Yield ids of the users' items."""
        for user in self.users:
            kind = name.removesuffix("Id")
            if kind in KINDS:
                # Which of both forms it takes, the schema doesn't say.
                yield json.dumps(item(user, kind))
                yield global_id(kind, PROJECTS[user], item(user, kind))
            elif name in {"id", "ids"}:
                for one in self.kinds:
                    own = series_of(user) if one == "series" else item(user, one)
                    yield global_id(one, PROJECTS[user], own)
                    if user == ALICE:
                        # Alice's, said to be Bob's.
                        yield global_id(one, PROJECTS[BOB], own)
            else:
                yield json.dumps(PROJECTS[user])
                yield json.dumps(item(user, "client"))

    def _combinations(
        self, types: dict[str, GraphQLInputType], needed: Sequence[str]
    ) -> Iterator[list[str]]:
        tried = [list(self.values(name, types[name])) for name in needed]
        for chosen in itertools.product(*tried):
            base = [f"{name}: {value}" for name, value in zip(needed, chosen, strict=True)]
            yield base
            for name, type_ in types.items():
                if name not in needed:
                    for value in self.values(name, type_):
                        yield [*base, f"{name}: {value}"]


def selection(type_: Any, depth: int, *, edges: bool = True, prefix: str = "") -> str:
    """Return everything there is to select, this many items deep; aliases have the prefix."""
    type_ = get_named_type(type_)
    if is_leaf_type(type_):
        return ""
    if isinstance(type_, GraphQLInterfaceType):
        # Fields of one name may be of several types.
        parts = [
            f"... on {name} {selection(SCHEMA.type_map[name], depth, prefix=f'{name}_')}"
            for name in NODES
        ]
        return f"{{__typename {' '.join(parts)}}}"
    inner = depth - (type_.name in NODES)
    parts = ["__typename"]
    for name, field in type_.fields.items():
        of = get_named_type(field.type)
        alias = f"{prefix}{name}: " if prefix else ""
        if is_leaf_type(of):
            parts.append(f"{alias}{name}")
        elif name == "edges":
            if edges:
                parts.append(f"edges {selection(of, min(inner, 1), edges=False)}")
        elif inner > 0 or type_.name not in NODES or of.name == "JobSchedule":
            few = "(first: 3)" if "first" in field.args else ""
            parts.append(f"{alias}{name}{few} {selection(of, inner, edges=False)}")
    return f"{{{' '.join(parts)}}}"


def call(name: str, arguments: Sequence[str]) -> str:
    return f"{name}({', '.join(arguments)})" if arguments else name


MUTABLE = ("job", "client", "session", "series")
ABOUT: dict[str, tuple[str, ...]] = {
    "muteHealth": MUTABLE,
    "unmuteHealth": MUTABLE,
    "setRecoveryObjective": ("client", "series"),
}
"""The kinds of items that a mutation is about whose name doesn't say it."""


def told(mutation: str) -> Tries:
    """Return what is tried for a mutation, whose name says what it is about, or `ABOUT`."""
    kinds = tuple(kind for kind in KINDS if kind.title() in mutation)
    return Tries((ALICE, BOB), ABOUT.get(mutation, kinds), word="taken")

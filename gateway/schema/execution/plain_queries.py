"""Plain queries: those that one short walk can tell to be valid, as most that are sent are.

A query is plain if it has no fragments, directives and repeated fields, and no other literals than
texts, integers, booleans and words of an enum. All others, among them all that aren't valid, are
for the rules of `validation`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from graphql import (
    BooleanValueNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLID,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    IntValueNode,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    StringValueNode,
    TypeNameMetaFieldDef,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_input_type,
    is_leaf_type,
    is_required_argument,
)

MAX_DIGITS = 9
"""The digits of integers that surely have 32 bits."""
PLAIN_TYPES = (GraphQLScalarType, GraphQLEnumType, GraphQLObjectType, GraphQLInterfaceType)


def is_plainly_valid(schema: GraphQLSchema, document: DocumentNode) -> bool:
    """Return True for a plain query that is valid. A False says nothing."""
    operation, *others = document.definitions
    if others or not isinstance(operation, OperationDefinitionNode):
        return False
    declared = _declared(schema, operation)
    if declared is None or operation.operation is not OperationType.QUERY or operation.directives:
        return False
    used: set[str] = set()
    waiting: list[_Level] = [(schema.query_type, operation.selection_set.selections)]
    while waiting:
        below = _below(waiting.pop(), declared, used)
        if below is None:
            return False
        waiting += below
    return len(used) == len(declared)


def _below(level: "_Level", declared: Mapping[str, str], used: set[str]) -> "list[_Level] | None":
    """Return the levels below one, or None if it isn't plain or isn't valid."""
    parent, selections = level
    below: list[_Level] = []
    names = set()
    for node in selections:
        plain = type(node) is FieldNode and not node.directives
        field = _field(parent, node.name.value) if plain else None
        if field is None or field.is_leaf is not (node.selection_set is None):
            return None
        if (node.arguments or field.required) and not _fit(node, field, declared, used):
            return None
        names.add((node.alias or node.name).value)
        if node.selection_set is not None:
            below.append((field.kind, node.selection_set.selections))
    return below if names and len(names) == len(selections) else None


_Level = tuple[Any, Sequence[Any]]
"""A type, and what is selected on it."""


class _Field(NamedTuple):
    kind: GraphQLNamedType
    is_leaf: bool
    arguments: Mapping[str, GraphQLArgument]
    required: frozenset[str]


@lru_cache(maxsize=1024)
def _field(parent: Any, name: str) -> _Field | None:
    """Return a field of a type, if it has one of this name; introspection isn't plain."""
    definition = TypeNameMetaFieldDef if name == "__typename" else parent.fields.get(name)
    if definition is None:
        return None
    kind = get_named_type(definition.type)
    if not isinstance(kind, PLAIN_TYPES):
        return None
    arguments = definition.args
    required = {key for key, argument in arguments.items() if is_required_argument(argument)}
    return _Field(kind, is_leaf_type(kind), arguments, frozenset(required))


def _declared(schema: GraphQLSchema, operation: OperationDefinitionNode) -> dict[str, str] | None:
    """Return the types of the variables as they are written, or None if they aren't plain."""
    declared: dict[str, str] = {}
    for definition in operation.variable_definitions or ():
        type_, name = definition.type, definition.variable.name.value
        inner = type_.type if isinstance(type_, NonNullTypeNode) else type_
        if (
            not isinstance(inner, NamedTypeNode)
            or not is_input_type(schema.type_map.get(inner.name.value))
            or definition.default_value is not None
            or definition.directives
            or name in declared
        ):
            return None
        declared[name] = inner.name.value + ("!" if inner is not type_ else "")
    return declared


def _fit(node: FieldNode, field: _Field, declared: Mapping[str, str], used: set[str]) -> bool:
    """Return True if these are arguments of the field, with values of their types."""
    given = set()
    for argument in node.arguments or ():
        name = argument.name.value
        definition = field.arguments.get(name)
        if definition is None or name in given:
            return False
        given.add(name)
        value = argument.value
        if type(value) is VariableNode:
            variable = value.name.value
            used.add(variable)
            # A variable that may be null can't stand where none may, and `T!` can where `T` may.
            expected = str(definition.type)
            if declared.get(variable) not in {expected, f"{expected}!"}:
                return False
        elif not _is_of(value, get_nullable_type(definition.type)):
            return False
    return field.required <= given


def _is_of(value: Any, kind: Any) -> bool:
    """Return True for a plain literal of this type."""
    match value:
        case StringValueNode():
            return kind is GraphQLString or kind is GraphQLID
        case BooleanValueNode():
            return kind is GraphQLBoolean
        case EnumValueNode():
            return isinstance(kind, GraphQLEnumType) and value.value in kind.values
        case IntValueNode():
            return kind is GraphQLInt and len(value.value) <= MAX_DIGITS
    return False

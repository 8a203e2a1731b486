"""The limits of one operation, checked before anything is read."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    get_named_type,
    value_from_ast_untyped,
)

from gateway.catalogue.tables import INT64
from gateway.errors import BadInput
from gateway.schema.connections import page_length
from gateway.settings import Settings

Sets = tuple[tuple[GraphQLNamedType, SelectionSetNode], ...]
"""Selections on the same item, each with the type it is on."""


def check_shape(
    settings: Settings,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
) -> None:
    """Pass, or raise GraphQLError for an operation too deep, or with too many aliases.

    It must be valid: fragments have no cycles.
    """
    depth, aliases = SelectionMetrics(fragments).of(operation.selection_set)
    _refuse("is nested", depth, "levels deep", settings.graphql_max_depth)
    _refuse("has", aliases, "aliases", settings.graphql_max_aliases)


def check_root_fields(settings: Settings, count: int) -> None:
    """Pass, or raise GraphQLError for an operation with too many root fields."""
    _refuse("has", count, "root fields", settings.graphql_max_root_fields)


def check_nodes(
    settings: Settings,
    schema: GraphQLSchema,
    fragments: Mapping[str, FragmentDefinitionNode],
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> None:
    """Pass, or raise GraphQLError for an operation that could return too many nodes."""
    root = schema.get_root_type(operation.operation)
    given = _defaults(operation) | dict(variables)
    counter = Counter(schema, fragments, given, settings.default_limit)
    nodes = counter.count(((root, operation.selection_set),)) if root else 0
    advice = ": ask for shorter pages"
    _refuse("could return", nodes, "nodes", settings.graphql_max_nodes, advice)


def _refuse(verb: str, count: int, what: str, most: int, advice: str = "") -> None:
    if count > most:
        number = str(count) if count < INT64 else "countless"
        message = f"this operation {verb} {number} {what}, the limit is {most}{advice}"
        raise GraphQLError(message, original_error=BadInput(message))


class SelectionMetrics:
    """The depth and the number of aliases of selections; each fragment is visited once."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self.fragments = fragments
        self._known: dict[str, tuple[int, int]] = {}

    def of(self, selections: SelectionSetNode | None) -> tuple[int, int]:
        """Return the levels of fields, and the number of fields with aliases.

        Introspection doesn't count: graphql-core limits its depth.
        """
        depth = aliases = 0
        for selection in selections.selections if selections else ():
            if isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name not in self._known:
                    self._known[name] = self.of(self.fragments[name].selection_set)
                below, inner = self._known[name]
            elif isinstance(selection, FieldNode):
                if selection.name.value.startswith("__"):
                    continue
                below, inner = 0, 0
                if selection.selection_set is not None:
                    below, inner = self.of(selection.selection_set)
                below, inner = below + 1, inner + (selection.alias is not None)
            else:
                below, inner = self.of(cast("InlineFragmentNode", selection).selection_set)
            depth, aliases = max(depth, below), aliases + inner
        return depth, aliases


class Counter:
    """The number of nodes that a selection could return, by the lengths of its pages.

    A page inside a page counts as often as the outer one is long; a connection of which only the
    total is selected has none. Each selection is looked at once.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
        default_limit: int,
    ) -> None:
        self.schema = schema
        self.fragments = fragments
        self.variables = variables
        self.default_limit = default_limit
        self._counted: dict[tuple[int, ...], int] = {}

    def count(self, sets: Sets) -> int:
        """Return the number of nodes of all pages under one item."""
        key = tuple(id(selections) for _, selections in sets)
        if (known := self._counted.get(key)) is not None:
            return known
        total = 0
        for parent, definition, nodes in self._fields(sets):
            inner = _inner(definition, nodes)
            if "first" in definition.args:
                length = self._page(nodes[0], nested=parent is not self.schema.query_type)
                total += length * (1 + self.count(self._items(inner))) if self._reads(inner) else 0
            elif "ids" in definition.args:
                total += self._ids(nodes[0]) * (1 + self.count(inner))
            else:
                total += self.count(inner)
        self._counted[key] = total
        return total

    def _fields(
        self, sets: Sets
    ) -> Iterator[tuple[GraphQLNamedType, GraphQLField, list[FieldNode]]]:
        """Yield the fields of one item with something below them.

        Those of one type and response name are one field.
        """
        groups: dict[tuple[str, str], list[tuple[GraphQLNamedType, FieldNode]]] = defaultdict(list)
        seen: set[str] = set()
        waiting = list(sets)
        while waiting:
            parent, selections = waiting.pop()
            for selection in selections.selections:
                if isinstance(selection, FieldNode):
                    if selection.selection_set is None:
                        continue
                    name = (selection.alias or selection.name).value
                    groups[parent.name, name].append((parent, selection))
                elif isinstance(selection, InlineFragmentNode):
                    waiting.append((self._on(selection, parent), selection.selection_set))
                elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in seen:
                    seen.add(selection.name.value)
                    fragment = self.fragments[selection.name.value]
                    waiting.append((self._on(fragment, parent), fragment.selection_set))
        for group in groups.values():
            parent, node = group[0]
            definition = getattr(parent, "fields", {}).get(node.name.value)
            if definition is not None:
                yield parent, definition, [node for _, node in group]

    def _on(
        self, fragment: InlineFragmentNode | FragmentDefinitionNode, parent: GraphQLNamedType
    ) -> GraphQLNamedType:
        condition = fragment.type_condition
        return self.schema.type_map[condition.name.value] if condition else parent

    def _reads(self, connection: Sets) -> bool:
        """Return True if a connection needs its page, and not just its total."""
        return any(True for _ in self._fields(connection))

    def _items(self, connection: Sets) -> Sets:
        """Return the selections on a connection's items, through edges or directly."""
        items: list[tuple[GraphQLNamedType, SelectionSetNode]] = []
        for _, definition, nodes in self._fields(connection):
            name = nodes[0].name.value
            if name == "nodes":
                items += _inner(definition, nodes)
            elif name == "edges":
                for _, inner, below in self._fields(_inner(definition, nodes)):
                    items += _inner(inner, below)
        return tuple(items)

    def _page(self, node: FieldNode, *, nested: bool) -> int:
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        for name in ("first", "last"):
            length = self._value(given[name]) if name in given else None
            # JSON has one kind of number: 10.0 is an Int as well.
            if isinstance(length, int | float):
                return max(int(length), 0)
        return page_length(self.default_limit, nested=nested)

    def _ids(self, node: FieldNode) -> int:
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        ids = self._value(given["ids"])
        return len(ids) if isinstance(ids, list) else 1

    def _value(self, value: ValueNode) -> Any:
        return value_from_ast_untyped(value, dict(self.variables))


def _inner(definition: GraphQLField, nodes: list[FieldNode]) -> Sets:
    type_ = get_named_type(definition.type)
    return tuple((type_, node.selection_set) for node in nodes if node.selection_set)


def _defaults(operation: OperationDefinitionNode) -> dict[str, Any]:
    return {
        definition.variable.name.value: value_from_ast_untyped(definition.default_value)
        for definition in operation.variable_definitions or ()
        if definition.default_value is not None
    }

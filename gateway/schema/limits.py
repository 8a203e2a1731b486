"""How much one operation may ask for, counted before anything is read."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)
from strawberry.extensions import SchemaExtension

from gateway.errors import BadInput
from gateway.schema.connections import page_length

Sets = tuple[tuple[GraphQLNamedType, SelectionSetNode], ...]
"""Selections on the same item, each with the type it is on."""


class NodeLimit(SchemaExtension):
    """Refuse an operation that could return too many nodes, by the lengths of its pages.

    A page inside a page counts as often as the outer one is long; a connection of which neither
    edges nor nodes are selected returns none.
    """

    def __init__(self, most: int, default_limit: int) -> None:
        self.most = most
        self.default_limit = default_limit

    def on_execute(self) -> Iterator[None]:
        """Count, now that the variables are known."""
        context = self.execution_context
        document = context.graphql_document
        if document is None:
            raise AssertionError("an operation is executed after it is parsed")
        schema: GraphQLSchema = context.schema._schema  # noqa: SLF001
        fragments = {}
        for definition in document.definitions:
            if isinstance(definition, FragmentDefinitionNode):
                fragments[definition.name.value] = definition
            elif isinstance(definition, OperationDefinitionNode) and (
                context.operation_name is None
                or (definition.name and definition.name.value == context.operation_name)
            ):
                operation = definition
        root = schema.get_root_type(operation.operation)
        variables = _defaults(operation) | (context.variables or {})
        counter = Counter(schema, fragments, variables, self.default_limit)
        nodes = counter.count(((root, operation.selection_set),)) if root else 0
        if nodes > self.most:
            message = (
                f"this operation could return {nodes} nodes, the limit is {self.most}: "
                "ask for shorter pages"
            )
            raise GraphQLError(message, original_error=BadInput(message))
        yield


class Counter:
    """Counts the nodes that a selection could return; looks at each selection once."""

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
        """The nodes of all pages under one item."""
        key = tuple(id(selections) for _, selections in sets)
        if (known := self._counted.get(key)) is not None:
            return known
        total = 0
        for parent, definition, nodes in self._fields(sets):
            inner = _inner(definition, nodes)
            if not inner:
                continue
            if "first" in definition.args:
                items = self._items(inner)
                length = self._page(nodes[0], nested=parent is not self.schema.query_type)
                total += length * (1 + self.count(items)) if items else 0
            elif "ids" in definition.args:
                total += self._ids(nodes[0]) * (1 + self.count(inner))
            else:
                total += self.count(inner)
        self._counted[key] = total
        return total

    def _fields(
        self, sets: Sets
    ) -> Iterator[tuple[GraphQLNamedType, GraphQLField, list[FieldNode]]]:
        """The fields of one item; those of one name in the response are one field."""
        groups: dict[str, list[tuple[GraphQLNamedType, FieldNode]]] = defaultdict(list)
        seen: set[str] = set()
        waiting = list(sets)
        while waiting:
            parent, selections = waiting.pop()
            for selection in selections.selections:
                if isinstance(selection, FieldNode):
                    name = (selection.alias or selection.name).value
                    groups[name].append((parent, selection))
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

    def _items(self, connection: Sets) -> Sets:
        """The selections on a connection's items, by way of its edges or straight."""
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
            if isinstance(length, int):
                return max(length, 0)
        return page_length(self.default_limit, nested=nested)

    def _ids(self, node: FieldNode) -> int:
        ids = self._value(node.arguments[0].value if node.arguments else NullValueNode())
        return len(ids) if isinstance(ids, list | tuple) else 1

    def _value(self, value: ValueNode) -> Any:
        if isinstance(value, VariableNode):
            return self.variables.get(value.name.value)
        if isinstance(value, IntValueNode):
            return int(value.value)
        return value.values if isinstance(value, ListValueNode) else None


def _inner(definition: GraphQLField, nodes: list[FieldNode]) -> Sets:
    type_ = get_named_type(definition.type)
    return tuple((type_, node.selection_set) for node in nodes if node.selection_set)


def _defaults(operation: OperationDefinitionNode) -> dict[str, Any]:
    return {
        definition.variable.name.value: int(definition.default_value.value)
        for definition in operation.variable_definitions or ()
        if isinstance(definition.default_value, IntValueNode)
    }

"""The limits of one operation, checked before anything is read."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    NullValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    value_from_ast_untyped,
)

from gateway.catalogue.tables import INT64
from gateway.db.changes import MAX_CHANGES
from gateway.errors import BadInput
from gateway.rates import costs
from gateway.schema.connections import page_length
from gateway.settings import Settings

Sets = tuple[tuple[GraphQLNamedType, SelectionSetNode], ...]
"""Selections on the same item, each with the type it is on."""
Field = tuple[GraphQLNamedType, GraphQLField, list[FieldNode]]
"""A field: the type it is on, its definition, and its places in the document."""
NODE = "Node"
"""The interface of all items of the catalogue."""
BATCHED = frozenset({"successRate"})
"""The leaves that read the `last` items of something, also where they say nothing of it."""
WHOLE = frozenset({"overview", "coverage"})
"""The fields of the root that look at all that a project has."""
MESSAGE = "ChangeMessage"
"""The type of a message of changes, of which it has as many as an entry of the log."""


def check_shape(
    settings: Settings,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
) -> None:
    """Pass, or raise GraphQLError for an operation too deep, or with too many aliases.

    It must be valid: fragments have no cycles.
    """
    metrics = SelectionMetrics(fragments)
    depth, aliases = metrics.of(operation.selection_set)
    # A query is as deep as before when it becomes live.
    depth -= operation.operation is OperationType.SUBSCRIPTION
    _refuse("is nested", depth, "levels deep", settings.graphql_max_depth)
    _refuse("has", aliases, "aliases", settings.graphql_max_aliases)
    _refuse("has", metrics.introspected, "aliases in introspection", 0)


def check_root_fields(settings: Settings, count: int) -> None:
    """Pass, or raise GraphQLError for an operation with too many root fields."""
    _refuse("has", count, "root fields", settings.graphql_max_root_fields)


def check_cost(
    settings: Settings,
    schema: GraphQLSchema,
    fragments: Mapping[str, FragmentDefinitionNode],
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> int:
    """Return the cost of an operation, in points.

    Raises GraphQLError for one that could return too many nodes, or, where there are rate limits,
    costs too much.
    """
    root = schema.get_root_type(operation.operation)
    given = _defaults(operation) | dict(variables)
    counter = Counter(schema, fragments, given, settings.default_limit)
    nodes, cost = counter.count(((root, operation.selection_set),)) if root else NOTHING
    advice = ": ask for shorter pages"
    _refuse("could return", nodes, "nodes", settings.graphql_max_nodes, advice)
    if settings.has_rate_limits:
        _refuse("costs", cost, "points", settings.graphql_max_cost, advice)
    return max(cost, costs.ITEM)


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
        self.introspected = 0
        """The number of aliases below introspection fields.

        They show the same again for each type: without them, no answer is longer than the schema.
        """

    def of(self, selections: SelectionSetNode | None) -> tuple[int, int]:
        """Return the levels of fields, and the number of fields with aliases.

        Introspection has counts of its own; graphql-core limits its depth.
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
                    if selection.selection_set is not None:
                        self.introspected += self.of(selection.selection_set)[1]
                    continue
                below, inner = 0, 0
                if selection.selection_set is not None:
                    below, inner = self.of(selection.selection_set)
                below, inner = below + 1, inner + (selection.alias is not None)
            else:
                below, inner = self.of(cast("InlineFragmentNode", selection).selection_set)
            depth, aliases = max(depth, below), aliases + inner
        return depth, aliases


class Size(NamedTuple):
    """The size of a selection under one item."""

    nodes: int
    """The nodes of all pages that it could return."""
    cost: int
    """The points that it is charged: see `gateway/rates/costs.py`."""


NOTHING = Size(0, 0)


class Counter:
    """The size of a selection, by the lengths of its pages.

    A page inside a page counts as often as the outer one is long; a connection of which only the
    total is selected has no nodes. Single items, such as a job's client, cost points, and are no
    nodes. Each selection is looked at once.
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
        self._counted: dict[tuple[int, ...], Size] = {}

    def count(self, sets: Sets) -> Size:
        """Return the size of the selections under one item."""
        key = tuple(id(selections) for _, selections in sets)
        if (known := self._counted.get(key)) is not None:
            return known
        nodes = cost = 0
        others: list[str] = []
        for parent, definition, group in self._fields(sets, others):
            if "first" in definition.args:
                one = self._connection(parent, definition, group)
            elif "last" in definition.args:
                one = self._batch(definition, group[0])
            elif "maxRows" in definition.args:
                one = self._statistics(definition, group)
            elif parent.name == MESSAGE:
                one = _times(MAX_CHANGES, self.count(_inner(definition, group)))
            elif "ids" in definition.args:
                one = _times(self._ids(group[0]), self.count(_inner(definition, group)))
            else:
                one = self.count(_inner(definition, group))
                cost += costs.ITEM if _is_item(definition) else 0
                if parent is self.schema.query_type and group[0].name.value in WHOLE:
                    cost += costs.PROJECT
            nodes, cost = nodes + one.nodes, cost + one.cost
            cost += costs.WRITE if parent is self.schema.mutation_type else 0
        cost += costs.INTROSPECTION * sum(name in {"__schema", "__type"} for name in others)
        counted = self._counted[key] = Size(nodes, cost)
        return counted

    def _connection(
        self, parent: GraphQLNamedType, definition: GraphQLField, group: list[FieldNode]
    ) -> Size:
        """Return the size of a connection; only the total may be selected, which has no page."""
        others: list[str] = []
        parts = list(self._fields(_inner(definition, group), others))
        scans = self._conditions(group[0]) + ("totalCount" in others)
        if not parts:
            return Size(0, costs.page(0, scans))
        length = self._page(group[0], nested=parent is not self.schema.query_type)
        nodes, cost = _times(length, self.count(self._items(parts)))
        return Size(nodes, max(cost, costs.ITEM) + scans * costs.SCAN)

    def _batch(self, definition: GraphQLField, node: FieldNode) -> Size:
        """Return the size of a value that is worked out from the `last` items of another one."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        length = definition.args["last"].default_value
        if "last" in given:
            length = self._value(given["last"])
        return _times(max(int(length), 0) if isinstance(length, int | float) else 1, NOTHING)

    def _statistics(self, definition: GraphQLField, group: list[FieldNode]) -> Size:
        """Return the size of rows that are worked out of a list, each with an item for each key."""
        node = group[0]
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        rows = definition.args["maxRows"].default_value
        if "maxRows" in given:
            rows = self._value(given["maxRows"])
        keys = self._value(given["by"]) if "by" in given else ()
        items = len(keys) if isinstance(keys, list) else 1
        length = max(int(rows), 0) if isinstance(rows, int | float) else 1
        scans = 1 + sum(
            self._is_given(given[name]) for name in ("runs", "backups") if name in given
        )
        nodes, cost = self.count(_inner(definition, group))
        cost = length * (costs.ITEM + items * cost) + scans * costs.SCAN
        return Size(length * items * nodes, cost)

    def _fields(self, sets: Sets, others: list[str]) -> Iterator[Field]:
        """Yield the fields of one item with something below them; append other fields' names.

        Those of one type and response name are one field.
        """
        groups: dict[tuple[str, str], list[tuple[GraphQLNamedType, FieldNode]]] = defaultdict(list)
        seen: set[str] = set()
        waiting = list(sets)
        while waiting:
            parent, selections = waiting.pop()
            for selection in selections.selections:
                if isinstance(selection, FieldNode):
                    name = selection.name.value
                    is_leaf = selection.selection_set is None and name not in BATCHED
                    if is_leaf and not selection.arguments:
                        others.append(name)
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
            if definition is None:
                others.append(node.name.value)
            else:
                yield parent, definition, [node for _, node in group]

    def _on(
        self, fragment: InlineFragmentNode | FragmentDefinitionNode, parent: GraphQLNamedType
    ) -> GraphQLNamedType:
        condition = fragment.type_condition
        return self.schema.type_map[condition.name.value] if condition else parent

    def _items(self, connection: Sequence[Field]) -> Sets:
        """Return the selections on a connection's items, through edges or directly."""
        items: list[tuple[GraphQLNamedType, SelectionSetNode]] = []
        for _, definition, nodes in connection:
            name = nodes[0].name.value
            if name == "nodes":
                items += _inner(definition, nodes)
            elif name == "edges":
                for _, inner, below in self._fields(_inner(definition, nodes), []):
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

    def _conditions(self, node: FieldNode) -> int:
        """Return how many arguments restrict the list, whatever they say."""
        return sum(
            self._is_given(argument.value)
            for argument in node.arguments or ()
            if argument.name.value in {"where", "search"}
        )

    def _is_given(self, value: ValueNode) -> bool:
        if isinstance(value, VariableNode):
            return self.variables.get(value.name.value) is not None
        return not isinstance(value, NullValueNode)

    def _value(self, value: ValueNode) -> Any:
        return value_from_ast_untyped(value, dict(self.variables))


def _times(length: int, item: Size) -> Size:
    """Return the size of so many items, each with this size below it."""
    return Size(length * (1 + item.nodes), length * (costs.ITEM + item.cost))


def _is_item(definition: GraphQLField) -> bool:
    """Return True for a field that is one item of the catalogue, and no part of another one."""
    type_: Any = get_named_type(definition.type)
    return type_.name == NODE or any(one.name == NODE for one in getattr(type_, "interfaces", ()))


def _inner(definition: GraphQLField, nodes: list[FieldNode]) -> Sets:
    type_ = get_named_type(definition.type)
    return tuple((type_, node.selection_set) for node in nodes if node.selection_set)


def _defaults(operation: OperationDefinitionNode) -> dict[str, Any]:
    return {
        definition.variable.name.value: value_from_ast_untyped(definition.default_value)
        for definition in operation.variable_definitions or ()
        if definition.default_value is not None
    }

"""From an operation to its plan: graphql-core collects the fields, and each finds its part here."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_named_type,
)
from graphql.execution.collect_fields import (
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues

from gateway.schema.execution.outlines import Outline
from gateway.schema.execution.plan import (
    Arguments,
    ById,
    ByIds,
    Constant,
    Group,
    Leaves,
    Plan,
    Root,
    ToMany,
    ToOne,
)
from gateway.schema.execution.shapes import NotPlannableError, Rows, Shape
from gateway.schema.views import SPEC, VIEWS, ByGlobalId, ByRestId, Leaf, List, Reference, Told


class Planner:
    """Makes plans of one operation, for the directives that hold under given variables."""

    def __init__(
        self,
        schema: Any,
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
        variables: VariableValues,
    ) -> None:
        self.strawberry = schema
        self.schema: GraphQLSchema = schema._schema  # noqa: SLF001 - graphql-core's own
        self.operation = operation
        self.variables = variables
        self.fragments = {name: FragmentDetails(node) for name, node in fragments.items()}

    def plan(self) -> Plan:
        """Plan the operation. Raises NotPlannableError."""
        root = self.schema.query_type
        if self.operation.operation is not OperationType.QUERY or root is None:
            raise NotPlannableError
        collected = collect_fields(
            self.schema, self.fragments, self.variables, root, self.operation
        )
        groups = collected.grouped_field_set
        return Plan(tuple((key, self._root(root, group)) for key, group in groups.items()))

    def rows(self, name: str, group: Group) -> Rows:
        """Plan a selection on rows that are read by their keys."""
        shape = self._shape(name, group)
        return Rows(VIEWS[name], [shape], base=2)

    def _root(self, root: GraphQLObjectType, group: Group) -> Root:
        name = group[0].node.name.value
        if name == "__typename":
            return Constant(root.name)
        definition, spec = self._field(root, name)
        arguments = Arguments(self.strawberry, definition, group)
        if isinstance(spec, List):
            return self._many(definition, spec, group)
        if isinstance(spec, ByRestId):
            return ById(spec, arguments, self.rows(spec.view, group))
        if isinstance(spec, ByGlobalId):
            return ByIds(spec, arguments, lambda kind: self.rows(kind, group))
        if isinstance(spec, Told):
            return Leaves(spec, list(self._leaves(get_named_type(definition.type), group)))
        raise NotPlannableError

    def _leaves(self, kind: Any, group: Group) -> Iterator[tuple[str, str, str | None]]:
        for key, name, _ in self._below(kind, group):
            if name == "__typename":
                yield key, name, kind.name
            else:
                yield key, kind.fields[name].extensions["strawberry-definition"].python_name, None

    def _many(self, definition: GraphQLField, spec: List, group: Group) -> ToMany:
        kind: Any = get_named_type(definition.type)
        outline = Outline()
        for key, name, below in self._below(kind, group):
            if name == "__typename":
                outline.constant(key, kind.name)
            elif name == "totalCount":
                outline.count(key)
            elif name == "nodes":
                outline.nodes(key, self._shape(spec.view, below))
            elif name == "edges":
                outline.edges(key, list(self._edge(kind, spec, below)))
            elif name == "pageInfo":
                info: Any = get_named_type(kind.fields[name].type)
                parts = [(part, what, info.name) for part, what, _ in self._below(info, below)]
                outline.page_info(key, parts)
            else:
                raise NotPlannableError
        rows = Rows(VIEWS[spec.view], outline.shapes, base=2 if spec.owner else 0)
        return ToMany(spec, Arguments(self.strawberry, definition, group), outline, rows)

    def _edge(self, kind: Any, spec: List, group: Group) -> Any:
        edge: Any = get_named_type(kind.fields["edges"].type)
        for key, name, below in self._below(edge, group):
            if name == "node":
                yield key, name, self._shape(spec.view, below)
            elif name == "__typename":
                yield key, "constant", edge.name
            else:
                # An edge's own fields are called as the columns that the connection adds.
                yield key, name, name

    def _shape(self, name: str, group: Group) -> Shape:
        view = VIEWS[name]
        kind = self.schema.type_map[name]
        shape = Shape(view)
        for key, name_, below in self._below(kind, group):
            if name_ == "__typename":
                shape.constant(key, name)
                continue
            if name_ == "id" and view.key:
                shape.id(key)
                continue
            definition, spec = self._field(kind, name_)
            if isinstance(spec, Leaf):
                python_name = definition.extensions["strawberry-definition"].python_name
                shape.leaf(key, python_name, get_named_type(definition.type))
            elif isinstance(spec, List):
                shape.child(key, str(spec.key), self._many(definition, spec, below))
            elif isinstance(spec, Reference):
                rows = self.rows(spec.view, below)
                shape.child(key, spec.key, ToOne(spec, rows))
            elif name_ in view.parts:
                shape.part(key, self._shape(view.parts[name_], below))
            else:
                raise NotPlannableError
        return shape

    def _below(self, kind: Any, group: Group) -> Any:
        """The fields selected on an object: the response's key, the field's name, its nodes."""
        collected = collect_subfields(
            self.schema, self.fragments, self.variables, self.operation, kind, group
        )
        for key, below in collected.grouped_field_set.items():
            yield key, below[0].node.name.value, below

    @staticmethod
    def _field(kind: Any, name: str) -> tuple[GraphQLField, Any]:
        definition = kind.fields.get(name)
        if definition is None:
            raise NotPlannableError
        field = definition.extensions["strawberry-definition"]
        return definition, field.metadata.get(SPEC)

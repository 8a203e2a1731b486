"""From an operation to its plan: graphql-core collects the fields, and each finds its part here."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    execute,
    get_named_type,
    print_ast,
)
from graphql.execution.collect_fields import (
    FieldDetails,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues

from gateway.schema.execution.arguments import Arguments
from gateway.schema.execution.connection_output import ConnectionOutput
from gateway.schema.execution.derived import DerivedPart, DerivedPlan
from gateway.schema.execution.failures import Execution, Group, OutputField
from gateway.schema.execution.noted_reads import NotedReads
from gateway.schema.execution.output import LevelPlan, ObjectOutput
from gateway.schema.execution.payloads import (
    AnyItem,
    Attribute,
    Constant,
    Listed,
    Nested,
    Part,
    PayloadPlan,
    Written,
)
from gateway.schema.execution.plan import Plan
from gateway.schema.execution.relations import BatchPlan, ConnectionPlan, ToOnePlan
from gateway.schema.execution.root_fields import (
    ByGlobalIdPlan,
    ByRestIdPlan,
    ComputedPlan,
    ConstantPlan,
    IntrospectionPlan,
    MutationPlan,
    Selection,
)
from gateway.schema.execution.subscription_fields import ChangesPlan, LivePlan, RootPlan
from gateway.schema.views import (
    DESCRIPTION,
    VIEWS,
    AnyItemField,
    BatchField,
    ByGlobalIdField,
    ByRestIdField,
    ChangesField,
    ColumnField,
    ComputedField,
    ConnectionField,
    DerivedField,
    EmbeddedField,
    ListedField,
    LiveField,
    MutationField,
    ToOneField,
    WrittenField,
)


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
        self.schema: GraphQLSchema = schema.core
        self.operation = operation
        self.variables = variables
        self.fragments = {name: FragmentDetails(node) for name, node in fragments.items()}
        self._reads = NotedReads()

    def plan(self) -> Plan:
        """Return the operation's plan. Raises GraphQLError for a kind of operation there isn't."""
        kind = self.operation.operation
        root = self.schema.get_root_type(kind)
        if root is None:
            message = f"Schema is not configured to execute {kind.value} operation."
            raise GraphQLError(message, self.operation)
        collected = collect_fields(
            self.schema, self.fragments, self.variables, root, self.operation
        )
        fields = [
            self._root(root, key, group) for key, group in collected.grouped_field_set.items()
        ]
        return Plan(
            fields, kind is OperationType.MUTATION, self._reads.clock, self._reads.untracked
        )

    def _root(
        self, root: GraphQLObjectType, key: str, group: Group
    ) -> tuple[OutputField, RootPlan]:
        name = group[0].node.name.value
        if name == "__typename":
            return OutputField(key, group, is_nullable=False), ConstantPlan(root.name)
        if name.startswith("__"):
            return OutputField(key, group, is_nullable=True), self._introspection(key, group)
        definition = root.fields[name]
        field = _output_field(key, group, definition)
        arguments = Arguments(self.strawberry, definition, group)
        self._note_field(root, name, definition, arguments)
        self._reads.root(f"{root.name}.{name}", definition, arguments)
        plan: RootPlan
        match _spec(definition):
            case ConnectionField() as spec:
                plan = self._connection(field, definition, spec, group)
            case ByRestIdField() as spec:
                level = self._level(spec.view, group)
                field.inner = level.outputs[0].fields
                plan = ByRestIdPlan(spec, arguments, level)
            case ByGlobalIdField() as spec:
                field.are_items_nullable = spec.many
                plan = ByGlobalIdPlan(spec, arguments, lambda view: self._late_level(view, group))
            case ComputedField() as spec:
                plan = ComputedPlan(spec, list(self._plain(get_named_type(definition.type), group)))
            case MutationField() as spec:
                field.inner, payload = self._payload(
                    get_named_type(definition.type), group, arguments
                )
                plan = MutationPlan(spec, arguments, payload)
            case LiveField():
                query: Any = self.schema.query_type
                below = [self._root(query, *one) for one in self._collected(query, group).items()]
                field.inner, plan = [inner for inner, _ in below], LivePlan(arguments, below)
            case ChangesField():
                kind = get_named_type(definition.type)
                field.inner, payload = self._payload(kind, group, arguments)
                plan = ChangesPlan(arguments, payload)
            case spec:
                raise AssertionError(f"{root.name}.{name} has no plan: {spec!r}")
        return field, plan

    def _introspection(self, key: str, group: Group) -> IntrospectionPlan:
        """Have graphql-core execute this one field."""
        selections = SelectionSetNode(selections=tuple(one.node for one in group))
        # Only these can stand in it, and are the same before and after they are coerced.
        variables = tuple(
            node
            for node in self.operation.variable_definitions or ()
            if print_ast(node.type).rstrip("!") in {"Boolean", "String"}
        )
        operation = OperationDefinitionNode(
            operation=OperationType.QUERY,
            variable_definitions=variables,
            selection_set=selections,
        )
        fragments = [details.definition for details in self.fragments.values()]
        document = DocumentNode(definitions=(operation, *fragments))

        def run(execution: Execution) -> Any:
            result: Any = execute(
                self.schema, document, variable_values=dict(execution.variables.coerced)
            )
            for error in result.errors or ():
                raise error
            return result.data[key]

        return IntrospectionPlan(run)

    def _note_field(
        self, kind: Any, name: str, definition: GraphQLField, arguments: Arguments
    ) -> None:
        """Note a field that may read more than rows."""
        self._reads.field(f"{kind.name}.{name}", _metadata(definition), arguments)

    def _payload(
        self, kind: Any, group: Group, arguments: Arguments
    ) -> tuple[list[OutputField], PayloadPlan]:
        """Return the fields, and the plan, of an object that isn't a row.

        The arguments are those of the root field that it is of.
        """
        fields: list[OutputField] = []
        parts: list[tuple[str, Part]] = []
        for field, name, definition, below in self._below(kind, group):
            fields.append(field)
            part: Part
            if definition is not None:
                self._note_field(kind, name, definition, arguments)
            if definition is None:
                part = Constant(kind.name)
            elif isinstance(spec := _spec(definition), WrittenField | ListedField):
                level = self._level(spec.view, below)
                field.inner = level.outputs[0].fields
                part = (
                    Listed(spec.keys or _python_name(definition), level)
                    if isinstance(spec, ListedField)
                    else Written(level, spec.key)
                )
            elif isinstance(spec, AnyItemField):
                part = AnyItem(spec.key, {of: self._level(of, below) for of in self._items})
            elif isinstance(get_named_type(definition.type), GraphQLObjectType):
                inner_kind = get_named_type(definition.type)
                field.inner, inner = self._payload(inner_kind, below, arguments)
                part = Nested(_python_name(definition), inner)
            else:
                part = Attribute(_python_name(definition))
            parts.append((field.key, part))
        return fields, PayloadPlan(parts)

    def _plain(self, kind: Any, group: Group) -> Iterator[tuple[str, str, str | None]]:
        """Yield the parts of an object of plain values: see `plain_values`."""
        for field, name, definition, _ in self._below(kind, group):
            if definition is None:
                yield field.key, name, kind.name
            else:
                yield field.key, _python_name(definition), None

    def _level(self, name: str, group: Group) -> LevelPlan:
        """Plan a selection on rows that are read by their keys."""
        return LevelPlan(VIEWS[name], [self._object(name, group)], base=2)

    @property
    def _items(self) -> list[str]:
        """The types of items that have a global id."""
        node: Any = self.schema.type_map["Node"]
        return [kind.name for kind in self.schema.get_possible_types(node)]

    def _late_level(self, name: str, group: Group) -> Selection:
        """Plan such a selection after all others."""
        before, self._reads = self._reads, NotedReads()
        try:
            level = self._level(name, group)
            return Selection(level, self._reads.clock, self._reads.untracked)
        finally:
            self._reads = before

    def _connection(
        self, field: OutputField, definition: GraphQLField, spec: ConnectionField, group: Group
    ) -> ConnectionPlan:
        kind: Any = get_named_type(definition.type)
        output = ConnectionOutput()
        for part, name, inner, below in self._below(kind, group):
            match name:
                case "__typename":
                    output.constant(part, kind.name)
                case "totalCount":
                    output.total(part)
                case "nodes":
                    output.nodes(part, self._object(spec.view, below))
                case "edges":
                    output.edges(part, list(self._edge(_type(inner), spec, below)))
                case "pageInfo":
                    info = _type(inner)
                    facts = [(one, fact, info.name) for one, fact, _, _ in self._below(info, below)]
                    output.page_info(part, facts)
        field.inner = output.fields
        level = LevelPlan(VIEWS[spec.view], output.outputs, base=2 if spec.owner else 0)
        arguments = Arguments(self.strawberry, definition, group)
        self._reads.conditions(spec.view, definition, arguments, group)
        return ConnectionPlan(spec, arguments, output, level)

    def _edge(
        self, edge: Any, spec: ConnectionField, group: Group
    ) -> Iterator[tuple[OutputField, str, Any]]:
        for field, name, definition, below in self._below(edge, group):
            if definition is None:
                yield field, "constant", edge.name
            elif name == "node":
                yield field, name, self._object(spec.view, below)
            else:
                # An edge's own fields are called as the columns that the connection adds.
                yield field, name, _python_name(definition)

    def _object(self, name: str, group: Group) -> ObjectOutput:
        view = VIEWS[name]
        output = ObjectOutput(view)
        for field, graphql_name, definition, below in self._below(
            self.schema.type_map[name], group
        ):
            if definition is None:
                output.constant(field, name)
                continue
            match _spec(definition):
                case ColumnField() as column:
                    self._reads.column(f"{name}.{graphql_name}", column)
                    type_ = get_named_type(definition.type)
                    output.column(field, _python_name(definition), type_)
                case ConnectionField() as spec:
                    plan = self._connection(field, definition, spec, below)
                    output.child(field, str(spec.key), plan, spec.key_project)
                case ToOneField() as spec:
                    level = self._level(spec.view, below)
                    field.inner = level.outputs[0].fields
                    output.child(field, spec.key, ToOnePlan(spec, level))
                case BatchField() as spec:
                    batch = self._batch(field, definition, spec, below)
                    self._note_field(output.view, graphql_name, definition, batch.arguments)
                    output.child(field, spec.key, batch)
                case EmbeddedField() as spec:
                    part = self._object(spec.view, below)
                    field.inner = part.fields
                    output.part(field, part)
                case DerivedField() as spec:
                    parts = list(self._derived(get_named_type(definition.type), below))
                    field.inner = [part.field for part in parts]
                    output.derive(field, DerivedPlan(spec, parts))
                case None if graphql_name == "id":
                    output.id(field)
                case spec:
                    raise AssertionError(f"{name}.{graphql_name} has no plan: {spec!r}")
        return output

    def _derived(self, kind: Any, group: Group) -> Iterator[DerivedPart]:
        """Yield the parts of an object that is worked out from a row."""
        for field, name, definition, below in self._below(kind, group):
            if definition is None:
                yield DerivedPart(field, name, None, kind.name, ())
                continue
            inner: list[DerivedPart] = []
            if below[0].node.selection_set is not None:
                inner = list(self._derived(_type(definition), below))
            field.inner = [part.field for part in inner]
            arguments = Arguments(self.strawberry, definition, below) if definition.args else None
            if arguments is not None:
                self._note_field(kind, name, definition, arguments)
            yield DerivedPart(field, _python_name(definition), arguments, None, inner)

    def _batch(
        self, field: OutputField, definition: GraphQLField, spec: BatchField, group: Group
    ) -> BatchPlan:
        parts = None
        if group[0].node.selection_set is not None:
            kind = _type(definition)
            field.inner = [inner for inner, *_ in self._below(kind, group)]
            parts = list(self._plain(kind, group))
        return BatchPlan(spec, Arguments(self.strawberry, definition, group), parts)

    def _below(
        self, kind: Any, group: Group
    ) -> Iterator[tuple[OutputField, str, GraphQLField | None, Group]]:
        """Yield the fields selected on an object: with names, definitions and nodes.

        `__typename` has no definition.
        """
        for key, below in self._collected(kind, group).items():
            name = below[0].node.name.value
            definition = kind.fields.get(name)
            yield _output_field(key, below, definition), name, definition, below

    def _collected(self, kind: Any, group: Group) -> Mapping[str, Group]:
        """Return the nodes of each key of an object."""
        fields: dict[str, Group] = {}
        for outer in group:
            for node in outer.node.selection_set.selections if outer.node.selection_set else ():
                if type(node) is not FieldNode or node.directives:
                    # With fragments, or with something to leave out.
                    return collect_subfields(
                        self.schema, self.fragments, self.variables, self.operation, kind, group
                    ).grouped_field_set
                key = (node.alias or node.name).value
                fields.setdefault(key, []).append(FieldDetails(node, None))
        return fields


def _output_field(key: str, group: Group, definition: GraphQLField | None) -> OutputField:
    nullable = definition is not None and not isinstance(definition.type, GraphQLNonNull)
    return OutputField(key, group, nullable)


def _spec(definition: GraphQLField) -> Any:
    return _metadata(definition).get(DESCRIPTION)


def _metadata(definition: GraphQLField) -> Mapping[str, Any]:
    metadata: Mapping[str, Any] = definition.extensions["strawberry-definition"].metadata
    return metadata


def _python_name(definition: GraphQLField) -> str:
    return str(definition.extensions["strawberry-definition"].python_name)


def _type(definition: GraphQLField | None) -> Any:
    return get_named_type(definition.type) if definition else None

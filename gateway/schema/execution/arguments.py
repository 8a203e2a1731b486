"""Arguments: from the nodes and variables of a field to the values that its plan takes."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from graphql import (
    FieldNode,
    GraphQLField,
    ListValueNode,
    NameNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
)
from graphql.execution.values import VariableValues, get_argument_values
from strawberry.schema.name_converter import NameConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from gateway.schema.execution.failures import Execution, Group

DEFAULTS = "gateway-defaults"


class Arguments:
    """A field's arguments, worked out as far as they depend on no variable."""

    def __init__(self, schema: Any, definition: GraphQLField, group: Group) -> None:
        self.schema = schema
        self.definition = definition
        self.node = group[0].node
        self.field = definition.extensions["strawberry-definition"]
        nodes = self.node.arguments or ()
        names = _python_names(self.field) if nodes else {}
        self._variables = {
            names[node.name.value]: node.value.name.value
            for node in nodes
            if isinstance(node.value, VariableNode)
        }
        """The arguments that are variables themselves, and which."""
        self._varies = _has_variables(
            node.value for node in nodes if not isinstance(node.value, VariableNode)
        )
        constant = not (self._variables or self._varies)
        self.constant = self._values(None) if constant else None
        """Their values, where no variable stands in them."""
        self._others: dict[str, Any] | None = None
        """The values of the arguments that are no variables, once they are known."""

    def of(self, execution: Execution) -> Mapping[str, Any]:
        """Return their values in this run. Raises GraphQLError and BadInput."""
        if self.constant is not None:
            return self.constant
        coerced = execution.variables.coerced
        given = {name: coerced.get(variable) for name, variable in self._variables.items()}
        if self._others is None or not all(type(value) in {str, int} for value in given.values()):
            values = self._values(execution.variables)
            if not self._varies:
                self._others = {
                    name: value for name, value in values.items() if name not in self._variables
                }
            return values
        return self._others | given

    def _values(self, variables: VariableValues | None) -> Mapping[str, Any]:
        if not self.node.arguments:
            return _default_values(self.schema, self.definition)
        values = get_argument_values(self.definition, self.node, variables)
        return _in_python(self.schema, self.field, values)


def _default_values(schema: Any, definition: GraphQLField) -> Mapping[str, Any]:
    """Return the arguments of a field that is given none; they are kept with its definition."""
    known: Mapping[str, Any] | None = definition.extensions.get(DEFAULTS)
    if known is None:
        values = get_argument_values(definition, FieldNode(name=NameNode(value="")))
        known = _in_python(schema, definition.extensions["strawberry-definition"], values)
        definition.extensions[DEFAULTS] = known
    return known


def _in_python(schema: Any, field: StrawberryField, values: Mapping[str, Any]) -> Mapping[str, Any]:
    if all(value is None or isinstance(value, (str, int)) for value in values.values()):
        # Nothing that becomes an object of Strawberry's.
        names = _python_names(field)
        return {names[name]: value for name, value in values.items()}
    scalars = schema.schema_converter.scalar_registry
    return convert_arguments(dict(values), field.arguments, scalars, schema.config)


@lru_cache(maxsize=1024)
def _python_names(field: StrawberryField) -> Mapping[str, str]:
    """Return the names of a field's arguments in Python, by those in GraphQL."""
    name = NameConverter().from_argument
    return {name(one): str(one.python_name) for one in field.arguments}


def _has_variables(values: Iterable[ValueNode]) -> bool:
    """Return True if a variable stands in one of the values, however deep."""
    return any(
        isinstance(value, VariableNode)
        or (isinstance(value, ListValueNode) and _has_variables(value.values))
        or (
            isinstance(value, ObjectValueNode)
            and _has_variables(field.value for field in value.fields)
        )
        for value in values
    )

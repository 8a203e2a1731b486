"""Documents: from the text of a request to one operation that is valid and within the limits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
)

from gateway.errors import BadInput, shown
from gateway.schema.execution.document_size import check_length, check_size
from gateway.schema.execution.limits import check_shape
from gateway.schema.execution.parsing import parse
from gateway.schema.execution.validation import validate
from gateway.settings import Settings

MAX_SHOWN_ERRORS = 5
"""The errors after which validation ends: each may quote, and search, all of the document."""


class OperationError(Exception):
    """An operation that can't be run, and the errors that say why."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__(*errors)
        self.errors = errors

    def __str__(self) -> str:
        """Return the errors, a line each."""
        return "\n".join(error.message for error in self.errors)


class RequestError(OperationError):
    """A document that is malformed, invalid or over a limit: its operation isn't executed."""


class VariablesError(OperationError):
    """Values that the operation's variables can't have: its execution ends there."""


class MethodNotAllowed(Exception):
    """A mutation in a request that may only read."""


@dataclass(frozen=True)
class Document:
    """One operation of a document, and the fragments that it spreads."""

    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    directive_variables: Sequence[str]
    """The names of the variables that `@skip` and `@include` depend on, sorted."""


def read(
    schema: GraphQLSchema, settings: Settings, text: str, name: str | None, *, queries_only: bool
) -> Document:
    """Return the operation of this name, or the only one.

    Raises RequestError, BadInput for an operation that isn't there, and MethodNotAllowed.
    """
    try:
        check_length(settings, text)
        document = parse(text, settings.graphql_max_tokens)
        fragments, operations = _definitions(document)
        operation = operations.get(name) if name else next(iter(operations.values()), None)
        if operation is None:
            if name is None:
                raise BadInput("'query' has no operation", field="query")
            raise BadInput(f"no operation is named {shown(name)}", field="operationName")
        if queries_only and operation.operation is OperationType.MUTATION:
            raise MethodNotAllowed
        _check_kinds(schema, operations.values())
        check_size(settings, document, text)
        hidden = bool(settings.graphql_introspection_roles)
        errors = validate(
            schema, document, text, hide_suggestions=hidden, max_errors=MAX_SHOWN_ERRORS
        )
        if errors:
            raise RequestError(*errors)
        if name is None and len(operations) > 1:
            # The specification wants to be told which.
            message = f"'operationName' must be one of {', '.join(map(repr, operations))}"
            cause = BadInput(message, field="operationName")
            raise RequestError(GraphQLError(message, original_error=cause))
        check_shape(settings, operation, fragments)
    except GraphQLError as error:
        raise RequestError(error) from None
    spread = _reachable(operation, fragments) if fragments else {}
    names: set[str] = set()
    for part in (operation, *spread.values()) if "@" in text else ():
        names |= _directive_variables(part.selection_set)
    return Document(operation, spread, sorted(names))


def _check_kinds(schema: GraphQLSchema, operations: Iterable[OperationDefinitionNode]) -> None:
    """Pass, or raise GraphQLError, as the validation would after looking at all that is asked."""
    for one in operations:
        if schema.get_root_type(one.operation) is None:
            kind = one.operation.value
            raise GraphQLError(f"The {kind} operation is not supported by the schema.", one)


def _reachable(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> dict[str, FragmentDefinitionNode]:
    """Return the fragments that an operation spreads, directly or by way of others."""
    found: dict[str, FragmentDefinitionNode] = {}
    waiting: list[Any] = [operation.selection_set]
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name not in found:
                    found[name] = fragments[name]
                    waiting.append(fragments[name].selection_set)
            elif selection.selection_set is not None:
                waiting.append(selection.selection_set)
    return found


def _definitions(
    document: DocumentNode,
) -> tuple[dict[str, FragmentDefinitionNode], dict[str | None, OperationDefinitionNode]]:
    """Return the fragments and the operations of a document, by their names."""
    fragments: dict[str, FragmentDefinitionNode] = {}
    operations: dict[str | None, OperationDefinitionNode] = {}
    for definition in document.definitions:
        if isinstance(definition, FragmentDefinitionNode):
            fragments[definition.name.value] = definition
        elif isinstance(definition, OperationDefinitionNode):
            operations[definition.name.value if definition.name else None] = definition
    return fragments, operations


def _directive_variables(selections: SelectionSetNode | None) -> set[str]:
    names: set[str] = set()
    for selection in selections.selections if selections else ():
        directives: tuple[DirectiveNode, ...] = selection.directives or ()
        names.update(
            argument.value.name.value
            for directive in directives
            for argument in directive.arguments or ()
            if isinstance(argument.value, VariableNode)
        )
        names |= _directive_variables(getattr(selection, "selection_set", None))
    return names

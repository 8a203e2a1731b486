"""Documents: from the text of a request to one operation that is valid and within the limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Source,
    Token,
    VariableNode,
)
from graphql.language.parser import Parser, nested_too_deeply_error

from gateway.errors import BadInput, shown
from gateway.schema.execution.limits import check_shape
from gateway.schema.execution.validation import validate
from gateway.settings import Settings


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


@dataclass(eq=False, slots=True)
class Place:
    """The place of a node in its source: all that an error's `locations` need.

    graphql-core's own keeps every token of the document with it.
    """

    start: int
    end: int
    source: Source


class _Parser(Parser):
    """graphql-core's parser, whose nodes keep their places and not their tokens."""

    def loc(self, start_token: Token) -> Any:
        lexer = self._lexer
        return Place(start_token.start, lexer.last_token.end, lexer.source)


@dataclass(frozen=True)
class Document:
    """One operation of a document, and the fragments it may spread."""

    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]

    @property
    def directive_variables(self) -> list[str]:
        """The names of the variables that `@skip` and `@include` depend on, sorted."""
        names: set[str] = set()
        for part in (self.operation, *self.fragments.values()):
            names |= _directive_variables(part.selection_set)
        return sorted(names)


def read(
    schema: GraphQLSchema, settings: Settings, text: str, name: str | None, *, queries_only: bool
) -> Document:
    """Return the operation of this name, or the only one.

    Raises RequestError, BadInput for an operation that isn't there, and MethodNotAllowed.
    """
    document = _parse(text, settings.graphql_max_tokens)
    fragments: dict[str, FragmentDefinitionNode] = {}
    operations: dict[str | None, OperationDefinitionNode] = {}
    for definition in document.definitions:
        if isinstance(definition, FragmentDefinitionNode):
            fragments[definition.name.value] = definition
        elif isinstance(definition, OperationDefinitionNode):
            operations[definition.name.value if definition.name else None] = definition
    operation = operations.get(name) if name else next(iter(operations.values()), None)
    if operation is None:
        if name is None:
            raise BadInput("'query' has no operation", field="query")
        raise BadInput(f"no operation is named {shown(name)}", field="operationName")
    if queries_only and operation.operation is OperationType.MUTATION:
        raise MethodNotAllowed
    if errors := validate(schema, document):
        raise RequestError(*errors)
    if name is None and len(operations) > 1:
        # The specification wants to be told which.
        message = f"'operationName' must be one of {', '.join(map(repr, operations))}"
        error = BadInput(message, field="operationName")
        raise RequestError(GraphQLError(message, original_error=error))
    try:
        check_shape(settings, operation, fragments)
    except GraphQLError as error:
        raise RequestError(error) from None
    return Document(operation, fragments)


def _parse(text: str, max_tokens: int) -> DocumentNode:
    parser = _Parser(Source(text), max_tokens=max_tokens)
    try:
        return parser.parse_document()
    except GraphQLError as error:
        raise RequestError(error) from None
    except RecursionError:
        raise RequestError(nested_too_deeply_error(parser)) from None


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

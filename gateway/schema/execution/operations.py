"""Operations that have run before: each is planned once, and its plan answers from then on."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLID,
    GraphQLString,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    get_nullable_type,
    parse,
    visit,
)
from graphql.execution.get_variable_signature import (
    GraphQLVariableSignature,
    get_variable_signature,
)
from graphql.execution.values import VariableValues, VariableValueSource, get_variable_values

from gateway.context import Context
from gateway.errors import GatewayError, Unavailable
from gateway.schema.execution.limits import refuse_many
from gateway.schema.execution.plan import Plan
from gateway.schema.execution.planner import Planner
from gateway.schema.execution.shapes import NotPlannableError
from gateway.settings import Settings

MOST_KNOWN, LONGEST_KNOWN = 512, 20_000
"""How many operations are remembered, and of how many characters at most."""
MOST_VARIANTS = 64
"""How many plans of one operation are remembered, and how many page lengths that it may ask for."""


class Plans:
    """The operations that have run without errors, each planned when it comes again.

    What an operation must pass before it runs (syntax, validation, depth, aliases, tokens) it
    passed when it was admitted, and its text is the same. What depends on variables is checked at
    every run.
    """

    def __init__(self, schema: Any, settings: Settings) -> None:
        self.schema = schema
        self.settings = settings
        self.hits = 0
        """How many operations a plan has answered."""
        self._known: OrderedDict[tuple[str, str | None], Prepared | None] = OrderedDict()

    def admit(self, query: str, name: str | None) -> None:
        """Remember an operation that ran without errors."""
        if len(query) > LONGEST_KNOWN:
            return
        self._known.setdefault((query, name), None)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    async def run(
        self, ctx: Context, query: str, name: str | None, variables: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The operation's data, or None where it has to run the ordinary way.

        Raises Unavailable; any other failure is left to the ordinary way to find and show.
        """
        key = (query, name)
        if key not in self._known:
            return None
        self._known.move_to_end(key)
        prepared = self._known[key]
        if prepared is None:
            prepared = self._known[key] = Prepared(self.schema, self.settings, query, name)
        try:
            coerced = prepared.coerced(variables)
            plan = prepared.plan(coerced)
            if plan is None:
                return None
            prepared.check(variables)
            data = await plan.run(ctx, coerced)
        except Unavailable:
            raise
        except (GatewayError, GraphQLError, NotPlannableError):
            return None
        self.hits += 1
        return data


class Prepared:
    """One operation: its syntax tree, and its plans by the directives that hold."""

    def __init__(self, schema: Any, settings: Settings, query: str, name: str | None) -> None:
        self.schema = schema
        self.settings = settings
        self.document = parse(query, no_location=True)
        self.fragments: dict[str, FragmentDefinitionNode] = {}
        for definition in self.document.definitions:
            if isinstance(definition, FragmentDefinitionNode):
                self.fragments[definition.name.value] = definition
            elif isinstance(definition, OperationDefinitionNode) and (
                name is None or (definition.name and definition.name.value == name)
            ):
                self.operation = definition
        self._switches = _switches(self.document)
        self._texts = self._text_variables()
        self._plans: dict[tuple[Any, ...], Plan | None] = {}
        self._checked: set[tuple[Any, ...]] = set()

    def coerced(self, variables: dict[str, Any]) -> VariableValues:
        """The variables' values. Raises GraphQLError."""
        texts = self._texts
        if texts is not None and all(type(variables.get(name)) is str for name in texts):
            # Most operations are given ids and cursors, which are what they become.
            values = {name: variables[name] for name in texts}
            sources = {name: VariableValueSource(texts[name], values[name]) for name in texts}
            return VariableValues(sources, values)
        found = get_variable_values(
            self.schema._schema,  # noqa: SLF001 - graphql-core's own
            self.operation.variable_definitions or (),
            variables,
        )
        if isinstance(found, list):
            raise found[0]
        return found

    def _text_variables(self) -> Mapping[str, GraphQLVariableSignature] | None:
        """The variables, if all of them are texts."""
        signatures = {}
        for node in self.operation.variable_definitions or ():
            signature = get_variable_signature(self.schema._schema, node)  # noqa: SLF001
            if isinstance(signature, GraphQLError):
                return None
            if get_nullable_type(signature.type) not in {GraphQLID, GraphQLString}:
                return None
            signatures[signature.name] = signature
        return signatures

    def plan(self, variables: VariableValues) -> Plan | None:
        """The plan under these variables; None for an operation that has none."""
        key = tuple(variables.coerced.get(name) for name in self._switches)
        if key not in self._plans:
            planner = Planner(self.schema, self.fragments, self.operation, variables)
            if len(self._plans) >= MOST_VARIANTS:
                self._plans.clear()
            try:
                self._plans[key] = planner.plan()
            except NotPlannableError:
                self._plans[key] = None
        return self._plans[key]

    def check(self, variables: dict[str, Any]) -> None:
        """Raise GraphQLError for more nodes than an operation may return."""
        lengths = tuple(
            (name, len(value) if isinstance(value, list) else value)
            for name, value in variables.items()
            if isinstance(value, int | float | list)
        )
        if lengths not in self._checked:
            graphql_schema = self.schema._schema  # noqa: SLF001 - graphql-core's own
            refuse_many(self.settings, graphql_schema, self.fragments, self.operation, variables)
            if len(self._checked) >= MOST_VARIANTS:
                self._checked.clear()
            self._checked.add(lengths)


def _switches(document: DocumentNode) -> list[str]:
    """The variables that `@skip` and `@include` depend on."""
    names: set[str] = set()

    class Directives(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    names.add(argument.value.name.value)

    visit(document, Directives())
    return sorted(names)

"""Operations: planned at first sight, kept while they come again, and run by their plans."""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cachetools import LRUCache
from graphql import (
    GraphQLError,
    GraphQLID,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLString,
    OperationType,
    get_nullable_type,
)
from graphql.execution.get_variable_signature import (
    GraphQLVariableSignature,
    get_variable_signature,
)
from graphql.execution.values import VariableValues, VariableValueSource, get_variable_values

from gateway.context import Context
from gateway.errors import BadInput, Forbidden, GatewayError
from gateway.kept.questions import Question
from gateway.rates import costs
from gateway.schema.errors import show_all
from gateway.schema.execution import documents
from gateway.schema.execution.documents import (
    Document,
    MethodNotAllowed,
    OperationError,
    RequestError,
    VariablesError,
)
from gateway.schema.execution.explain import explain
from gateway.schema.execution.failures import Execution
from gateway.schema.execution.limits import check_cost, check_root_fields
from gateway.schema.execution.plan import Plan
from gateway.schema.execution.plan_cache import PlanCache
from gateway.schema.execution.planner import Planner
from gateway.schema.execution.shared_subscriptions import Subscribed
from gateway.settings import Settings

MAX_VARIABLE_ERRORS = 10
"""The errors after which coercing variables ends: a megabyte could have half a million."""
MAX_REFUSED = 500_000
"""Characters of documents that were refused, after which their memory is freed."""
REFUSED_VARIABLES = 50_000
"""The characters that an operation with wrong variables counts for."""
MAX_CHECKED = 64
"""The number of combinations of page lengths that an operation remembers to have passed."""
NO_STREAM = "a subscription is answered by a stream of events: accept text/event-stream"
CLOSED = "your roles don't let you ask for the schema"
ABSENT = object()
"""In place of a variable that isn't given: its default is its value, which null isn't."""


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to an operation: its data and errors; without data, it was never executed."""

    data: Mapping[str, Any] | None
    errors: Sequence[GraphQLError] = ()
    is_executed: bool = True
    cost: int | None = None
    """The points that the operation was charged; None for one that couldn't be planned."""
    lasts: bool | None = None
    """True for an answer that holds as long as the project's revision, False for others of queries;
    None for mutations, and where anything failed."""


class Executor:
    """Executes every operation: reads it, finds or makes its plan, and runs that.

    Its validity, its plan and the limits on its shape are worked out once, the number of nodes for
    each combination of page lengths; everything that depends on the caller, at every run.
    """

    def __init__(self, schema: Any, settings: Settings) -> None:
        self.schema = schema
        self.settings = settings
        self.cache = PlanCache()
        self._refused = 0
        self.planned = 0
        """The number of plans that have been made."""

    async def execute(  # noqa: PLR0913 - a request, and what it asks for
        self,
        ctx: Context,
        text: str,
        variables: Mapping[str, Any],
        name: str | None = None,
        *,
        queries_only: bool = False,
        question: Question | None = None,
    ) -> Result:
        """Return the answer to the operation of this name in a document, or to its only one.

        The `question` that it answers, if any, gets the revision of the rows. Raises
        MethodNotAllowed for a mutation where there may be queries only, BadInput for an operation
        that isn't there, RateLimited, and for a mutation what `Context.once` does.
        """
        if ctx.account is not None:
            # Before the document costs anything.
            ctx.account.require()
        try:
            plan, coerced, cost = self._prepare(text, variables, name, queries_only=queries_only)
        except (OperationError, BadInput) as error:
            await ctx.charge(costs.REFUSED)
            if isinstance(error, BadInput):
                raise
            show_all(error.errors)
            is_executed = isinstance(error, VariablesError)
            # Of a longer text nothing was made.
            length = min(len(text), self.settings.graphql_max_characters)
            self._forget(REFUSED_VARIABLES if is_executed else length)
            return Result(None, error.errors, is_executed=is_executed)
        await ctx.charge(cost if question is None else cost - question.charged)
        if plan.introspects and not self._may_introspect(ctx):
            return _refusal(Forbidden(CLOSED))
        if plan.subscription is not None:
            return _refusal(BadInput(NO_STREAM))
        execution = Execution(ctx, coerced)
        lasts = await _looked_up(plan, execution, question)
        if plan.is_mutation and ctx.has_key:
            async with ctx.once(text, name, variables):
                data, errors = await plan.run(execution)
            if ctx.keyed is not None and ctx.keyed.refusal is not None and not execution.committed:
                raise ctx.keyed.refusal
        else:
            data, errors = await plan.run(execution)
        if errors:
            show_all(errors, execution.committed)
        # Fields that answer by global ids know only now whose these are.
        lasts = lasts and not ctx.reads_across
        return Result(data, errors, cost=cost, lasts=None if errors else lasts)

    def subscribed(
        self, ctx: Context, text: str, variables: Mapping[str, Any], name: str | None = None
    ) -> Subscribed | None:
        """Return the subscription that an operation is.

        None for any other one, and for one that can't be run: `execute` says why.
        """
        try:
            plan, coerced, cost = self._prepare(text, variables, name, queries_only=False)
        except (OperationError, BadInput):
            return None
        field = plan.subscription
        if field is None or (plan.introspects and not self._may_introspect(ctx)):
            return None
        return Subscribed(text, name, variables, plan, field, coerced, cost)

    def _may_introspect(self, ctx: Context) -> bool:
        roles = self.settings.graphql_introspection_roles
        return not roles or not ctx.identity.roles.isdisjoint(roles)

    def _forget(self, length: int) -> None:
        """Free the documents that were refused, once their texts are long enough together."""
        self._refused += length
        if self._refused > MAX_REFUSED:
            self._refused = 0
            # Errors refer to their tracebacks, and these to the errors, and to all of the document.
            gc.collect()

    async def explain(
        self, ctx: Context, text: str, variables: Mapping[str, Any], name: str | None = None
    ) -> str:
        """Return the plan of an operation as a tree of text; nothing is read or written.

        Raises OperationError, and BadInput for an operation that isn't there.
        """
        return await explain(*self.prepare(text, variables, name), ctx)

    def prepare(
        self,
        text: str,
        variables: Mapping[str, Any],
        name: str | None = None,
        *,
        queries_only: bool = False,
    ) -> tuple[Plan, VariableValues]:
        """Return an operation's plan, and its variables' values, which the plan holds for.

        Raises RequestError, VariablesError, and as `execute` does.
        """
        return self._prepare(text, variables, name, queries_only=queries_only)[:2]

    def _prepare(
        self, text: str, variables: Mapping[str, Any], name: str | None, *, queries_only: bool
    ) -> tuple[Plan, VariableValues, int]:
        """Return what `prepare` does, and the operation's cost. Raises as `prepare` does."""
        key = (text, name)
        operation: PreparedOperation | None = self.cache.get(key)
        is_new = operation is None
        if operation is None:
            read = documents.read(
                self.schema.core, self.settings, text, name, queries_only=queries_only
            )
            operation = PreparedOperation(self.schema, self.settings, read)
        elif queries_only and operation.is_mutation:
            raise MethodNotAllowed
        cost = operation.check(variables)
        coerced = operation.coerce(variables)
        if is_new:
            self.cache.add(key, operation, len(text))
        if (plan := operation.plan) is not None:
            return plan, coerced, cost
        # Of an operation with directives, each combination of their variables has a plan.
        values = tuple(coerced.coerced.get(one) for one in operation.directive_variables)
        plan = self.cache.get((*key, values)) if values else None
        if plan is None:
            plan = operation.make_plan(coerced)
            self.planned += 1
            if values:
                self.cache.add((*key, values), plan, len(text))
            else:
                operation.plan = plan
        return plan, coerced, cost


class PreparedOperation:
    """One valid operation, with what has been worked out of it."""

    def __init__(self, schema: Any, settings: Settings, document: Document) -> None:
        self.schema = schema
        self.settings = settings
        self.operation = document.operation
        self.fragments = document.fragments
        self.is_mutation = document.operation.operation is OperationType.MUTATION
        self.directive_variables = document.directive_variables
        self.plan: Plan | None = None
        """Its plan, where that depends on no variable."""
        self._texts = self._text_variables()
        declared = document.operation.variable_definitions or ()
        # No number of nodes depends on a text.
        self._lengths = () if self._texts else tuple(node.variable.name.value for node in declared)
        self._costs: LRUCache[tuple[Any, ...], int] = LRUCache(MAX_CHECKED)

    def make_plan(self, coerced: VariableValues) -> Plan:
        """Return the plan under these variables. Raises RequestError."""
        # The plan, and the fields it can still plan, depend on no other value, and keep none.
        names = self.directive_variables
        directives = VariableValues(
            {name: coerced.sources[name] for name in names if name in coerced.sources},
            {name: coerced.coerced[name] for name in names if name in coerced.coerced},
        )
        try:
            plan = Planner(self.schema, self.fragments, self.operation, directives).plan()
            check_root_fields(self.settings, len(plan.roots))
        except GraphQLError as error:
            raise RequestError(error) from None
        return plan

    def coerce(self, variables: Mapping[str, Any]) -> VariableValues:
        """Return the variables' values. Raises VariablesError."""
        texts = self._texts
        if texts is not None and all(type(variables.get(name)) is str for name in texts):
            # Most operations are given ids and cursors, which are what they become.
            values = {name: variables[name] for name in texts}
            sources = {name: VariableValueSource(texts[name], values[name]) for name in texts}
            return VariableValues(sources, values)
        found = get_variable_values(
            self.schema.core,
            self.operation.variable_definitions or (),
            dict(variables),
            MAX_VARIABLE_ERRORS,
            hide_suggestions=bool(self.settings.graphql_introspection_roles),
        )
        if isinstance(found, list):
            raise VariablesError(*found)
        for name, source in found.sources.items():
            self._check_lists(name, found.coerced.get(name), source.signature.type)
        return found

    def _check_lists(self, name: str, value: Any, type_: Any) -> None:
        """Pass, or raise VariablesError for a list that is too long in a variable's value."""
        kind = get_nullable_type(type_)
        if isinstance(kind, GraphQLList) and isinstance(value, list):
            most = self.settings.graphql_max_list_length
            if len(value) > most:
                message = f"'${name}' has a list of {len(value)} values, the limit is {most}"
                raise VariablesError(GraphQLError(message, original_error=BadInput(message)))
            for item in value:
                self._check_lists(name, item, kind.of_type)
        elif isinstance(kind, GraphQLInputObjectType) and isinstance(value, dict):
            types = _types_of_fields(kind)
            for key, inner in value.items():
                if isinstance(inner, list | dict):
                    self._check_lists(name, inner, types[key])

    def _text_variables(self) -> Mapping[str, GraphQLVariableSignature] | None:
        """Return the variables, if all of them are texts."""
        signatures = {}
        for node in self.operation.variable_definitions or ():
            signature = get_variable_signature(self.schema.core, node)
            if isinstance(signature, GraphQLError):
                return None
            if get_nullable_type(signature.type) not in {GraphQLID, GraphQLString}:
                return None
            signatures[signature.name] = signature
        return signatures

    def check(self, variables: Mapping[str, Any]) -> int:
        """Return the operation's cost. Raises RequestError for too much of it, or of nodes."""
        lengths = tuple(
            _page_length(variables[name]) if name in variables else ABSENT for name in self._lengths
        )
        if (known := self._costs.get(lengths)) is not None:
            return known
        try:
            cost = check_cost(
                self.settings, self.schema.core, self.fragments, self.operation, variables
            )
        except GraphQLError as error:
            raise RequestError(error) from None
        self._costs[lengths] = cost
        return cost


async def _looked_up(plan: Plan, execution: Execution, question: Question | None) -> bool | None:
    """Return True if the answer lasts, whose revision is known then; None if nobody asks."""
    if question is None or plan.is_mutation:
        return None
    lasts = plan.lasts(execution)
    if lasts:
        # Before the rows: a write in between makes the answer newer, never older than it.
        await question.look_up()
    return lasts


def _refusal(error: GatewayError) -> Result:
    """Return the answer to an operation that is valid, and isn't executed."""
    errors = [GraphQLError(error.message, original_error=error)]
    show_all(errors)
    return Result(None, errors, is_executed=False)


@lru_cache(256)
def _types_of_fields(kind: GraphQLInputObjectType) -> Mapping[str, Any]:
    """Return the types of an input's fields, by their names in its value."""
    return {field.out_name or key: field.type for key, field in kind.fields.items()}


def _page_length(value: Any) -> Any:
    """Return the part of a variable's value that a number of nodes can depend on."""
    if isinstance(value, list):
        return "list", len(value)
    return value if value is None or isinstance(value, int | float) else "other"

"""A plan: an operation as its root fields, each of which reads or writes, level by level."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from graphql import GraphQLError

from gateway.schema.execution.failures import Execution, OutputField, complete, gather_all


class RootPlan(Protocol):
    """The way in which a root field comes by its value."""

    def describe(self) -> str:
        """Return the plan in a phrase."""

    async def run(self, execution: Execution) -> Any:
        """Return the field's value. Raises what makes the whole field fail."""


@dataclass(frozen=True, eq=False)
class Plan:
    """An operation, ready to be run."""

    fields: Sequence[tuple[OutputField, RootPlan]]
    is_mutation: bool

    def __str__(self) -> str:
        """Return the plan's root fields, a line each; `explain` has the rest."""
        lines = [f"  {field.key}: {root.describe()}" for field, root in self.fields]
        return "\n".join(["mutation" if self.is_mutation else "query", *lines])

    async def run(self, execution: Execution) -> tuple[dict[str, Any] | None, list[GraphQLError]]:
        """Return the operation's data, and the errors of what is null in it because it failed."""
        if self.is_mutation:
            # One after the other, in the order of the document.
            values = [await execution.attempt(root.run(execution)) for _, root in self.fields]
        else:
            values = await gather_all(
                *(execution.attempt(root.run(execution)) for _, root in self.fields)
            )
        data = {field.key: value for (field, _), value in zip(self.fields, values, strict=True)}
        if not execution.has_failed:
            return data, []
        errors: list[GraphQLError] = []
        try:
            return complete([field for field, _ in self.fields], data, (), errors), errors
        except GraphQLError as error:
            return None, [*errors, error]

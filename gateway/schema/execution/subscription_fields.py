"""The root fields of subscriptions: a query in one field, and messages of changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.schema.execution.arguments import Arguments
from gateway.schema.execution.failures import Execution, OutputField, gather_all
from gateway.schema.execution.payloads import PayloadPlan


class RootPlan(Protocol):
    """The way in which a root field comes by its value."""

    def describe(self) -> str:
        """Return the plan in a phrase."""

    async def run(self, execution: Execution) -> Any:
        """Return the field's value. Raises what makes the whole field fail."""


@dataclass(frozen=True, eq=False)
class LivePlan:
    """A query: a run answers it once."""

    arguments: Arguments
    fields: Sequence[tuple[OutputField, RootPlan]]

    def describe(self) -> str:
        """Return the plan in a phrase."""
        return f"live: {', '.join(field.key for field, _ in self.fields)}"

    async def run(self, execution: Execution) -> dict[str, Any]:
        """Return the query's data, with the failures that are in it."""
        values = await gather_all(
            *(execution.attempt(root.run(execution)) for _, root in self.fields)
        )
        return {field.key: value for (field, _), value in zip(self.fields, values, strict=True)}


@dataclass(frozen=True, eq=False)
class ChangesPlan:
    """A message of the feed, which the run has."""

    arguments: Arguments
    payload: PayloadPlan

    def describe(self) -> str:
        """Return the plan in a phrase."""
        return "messages of the feed of changes"

    async def run(self, execution: Execution) -> Any:
        """Return the message as it is shown; failures are in it."""
        return await self.payload.show(execution, execution.message)

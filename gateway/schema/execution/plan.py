"""A plan: an operation as its root fields, each of which reads or writes, level by level."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from graphql import GraphQLError

from gateway import deadlines
from gateway.schema.execution.clock_reads import ClockRead
from gateway.schema.execution.failures import (
    Execution,
    FieldFailure,
    OutputField,
    complete,
    gather_all,
)
from gateway.schema.execution.output import LevelPlan
from gateway.schema.execution.root_fields import (
    ByGlobalIdPlan,
    ComputedPlan,
    ConstantPlan,
    IntrospectionPlan,
)
from gateway.schema.execution.subscription_fields import ChangesPlan, LivePlan, RootPlan
from gateway.schema.execution.untracked_reads import UntrackedRead

_WITHOUT_ROWS = (ComputedPlan, ConstantPlan, IntrospectionPlan)


@dataclass(frozen=True, eq=False)
class Plan:
    """An operation, ready to be run."""

    fields: Sequence[tuple[OutputField, RootPlan]]
    is_mutation: bool
    clock_reads: Sequence[ClockRead] = ()
    """The parts of it that may read the clock, but for those of items by their global ids."""
    untracked_reads: Sequence[UntrackedRead] = ()
    """The parts of it that may be untracked, but for the same."""

    @property
    def kind(self) -> str:
        """The kind of the operation, as documents have it."""
        return "mutation" if self.is_mutation else "subscription" if self.subscription else "query"

    @cached_property
    def subscription(self) -> LivePlan | ChangesPlan | None:
        """The field that is subscribed to; None in queries and mutations."""
        for _, root in self.fields:
            if isinstance(root, LivePlan | ChangesPlan):
                return root
        return None

    @cached_property
    def roots(self) -> Sequence[tuple[OutputField, RootPlan]]:
        """Its fields, or those of the query that is live in it."""
        live = self.subscription
        return live.fields if isinstance(live, LivePlan) else self.fields

    @cached_property
    def introspects(self) -> bool:
        """True if it asks for the schema."""
        return any(isinstance(root, IntrospectionPlan) for _, root in self.roots)

    @cached_property
    def tells_caller(self) -> bool:
        """True if its answer depends on who asks, beyond their rights."""
        return any(isinstance(root, ComputedPlan) for _, root in self.roots)

    def reads_of_clock(self, execution: Execution) -> list[str]:
        """Return the fields, conditions and orders that read the clock in this run."""
        reads = chain(self.clock_reads, *(clock for clock, _ in self._reads_by_id(execution)))
        return list(dict.fromkeys(name for read in reads for name in read.names(execution)))

    def depends_on_clock(self, execution: Execution) -> bool:
        """Return True if the answer may change though no row does, as time passes.

        The answer of a mutation always does.
        """
        return self.is_mutation or bool(self.reads_of_clock(execution))

    def reads_untracked(self, execution: Execution) -> list[str]:
        """Return the fields, conditions and orders that may change though no revision does."""
        reads = chain(self.untracked_reads, *(other for _, other in self._reads_by_id(execution)))
        return list(dict.fromkeys(name for read in reads for name in read.names(execution)))

    def lasts(self, execution: Execution) -> bool:
        """Return True if the answer is the same as long as the project's revision is.

        False also where nothing is read that has a revision.
        """
        if self.kind != "query" or self.introspects or not self._reads_rows:
            return False
        by_id = self._reads_by_id(execution)
        reads = chain(self.clock_reads, self.untracked_reads, *chain.from_iterable(by_id))
        return not any(read.names(execution) for read in reads)

    @property
    def _reads_rows(self) -> bool:
        return any(not isinstance(root, _WITHOUT_ROWS) for _, root in self.fields)

    def _reads_by_id(
        self, execution: Execution
    ) -> list[tuple[Sequence[ClockRead], Sequence[UntrackedRead]]]:
        return [root.reads(execution) for _, root in self.roots if isinstance(root, ByGlobalIdPlan)]

    def __str__(self) -> str:
        """Return the plan as a tree, a line for each level; `explain` adds SQL and code."""
        lines = [self.kind]
        for field, root in self.fields:
            lines += _tree(field, root, 1)
        return "\n".join(lines)

    async def run(self, execution: Execution) -> tuple[dict[str, Any] | None, list[GraphQLError]]:
        """Return the operation's data, and the errors of what is null in it because it failed."""
        if self.is_mutation:
            deadlines.begin_write()
            # One after the other, in the order of the document.
            values = []
            for place, (_, root) in enumerate(self.fields):
                if execution.ctx.keyed is not None:
                    execution.ctx.keyed.field = place
                values.append(await execution.attempt(root.run(execution)))
            execution.committed |= {
                field.key
                for (field, _), value in zip(self.fields, values, strict=True)
                if not isinstance(value, FieldFailure)
            }
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


def _tree(field: OutputField, part: Any, depth: int) -> Iterator[str]:
    yield f"{'  ' * depth}{field.key}: {part.describe()}"
    level: LevelPlan | None = getattr(part, "level", None)
    for output in level.outputs if level else ():
        for below, _, child in output.children:
            yield from _tree(below, child, depth + 1)

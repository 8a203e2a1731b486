"""Root fields: how each kind of them comes by its value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphql import GraphQLError

from gateway import deadlines
from gateway.context import ItemKey
from gateway.errors import BadInput
from gateway.schema.execution.arguments import Arguments
from gateway.schema.execution.clock_reads import ClockRead
from gateway.schema.execution.failures import (
    EveryKeyFailed,
    Execution,
    FieldFailure,
    TypedObject,
    gather_all,
)
from gateway.schema.execution.output import LevelPlan
from gateway.schema.execution.payloads import PayloadPlan
from gateway.schema.execution.untracked_reads import AlwaysUntracked, UntrackedRead
from gateway.schema.global_ids import decode, in_other_project
from gateway.schema.views import (
    VIEWS,
    AnsweredField,
    ByGlobalIdField,
    ByRestIdField,
    ComputedField,
    MutationField,
)


@dataclass(eq=False)
class ByRestIdPlan:
    """A root field that finds one item by its REST id."""

    spec: ByRestIdField
    arguments: Arguments
    level: LevelPlan

    def describe(self) -> str:
        """Return the plan in a phrase."""
        return f"the {self.spec.view} of the argument `{self.spec.argument}`"

    async def run(self, execution: Execution) -> dict[str, Any] | None:
        """Return the item, or None. Raises BadInput and what reading raises."""
        item_id = self.spec.check(self.arguments.of(execution)["item_id"])
        key = (execution.ctx.project_id, item_id)
        collection = self.spec.collection.as_item
        found = await collection.resolve_ids(execution.ctx, [key], self.level.columns)
        (built,) = await self.level.build(execution, list(found.values()), all_projects=False)
        return built[0] if built else None


class Selection(NamedTuple):
    """A selection on rows of a type, and what in it may read more than rows."""

    level: LevelPlan
    clock_reads: Sequence[ClockRead]
    untracked_reads: Sequence[UntrackedRead]


@dataclass(eq=False)
class ByGlobalIdPlan:
    """The root fields `node` and `nodes`: what they select depends on the types of the ids."""

    spec: ByGlobalIdField
    arguments: Arguments
    level_of: Callable[[str], Selection]
    """Plans the selection on rows of a type."""
    _levels: dict[str, Selection] = field(default_factory=dict)

    def describe(self) -> str:
        """Return the plan in a phrase."""
        return "items by their global ids" if self.spec.many else "an item by its global id"

    def level_for(self, name: str) -> LevelPlan:
        """Return the selection on rows of a type, planned when the first of them is asked for."""
        return self._selection(name).level

    def reads(self, execution: Execution) -> tuple[list[ClockRead], list[UntrackedRead]]:
        """Return what may read the clock, or is untracked, of the items of a run's ids.

        Items of other projects always are; for wrong ids nothing is read.
        """
        clock: list[ClockRead] = []
        untracked: list[UntrackedRead] = []
        try:
            wanted = self.wanted(execution)
        except (BadInput, GraphQLError):
            return clock, untracked
        for name in dict.fromkeys(name for name, _, _ in wanted):
            selection = self._selection(name)
            clock += selection.clock_reads
            untracked += selection.untracked_reads
        if any(elsewhere for _, elsewhere, _ in wanted):
            untracked.append(AlwaysUntracked("Query.nodes" if self.spec.many else "Query.node"))
        return clock, untracked

    def _selection(self, name: str) -> Selection:
        if name not in self._levels:
            self._levels[name] = self.level_of(name)
        return self._levels[name]

    def wanted(self, execution: Execution) -> list[tuple[str, bool, ItemKey]]:
        """Return the type, the need to read across projects, and the key of each id.

        Raises BadInput for a text that is no global id.
        """
        arguments = self.arguments.of(execution)
        texts = arguments["ids"] if self.spec.many else [arguments["id"]]
        name = "ids" if self.spec.many else "id"
        return [
            (view.name, in_other_project(execution.ctx, view, key[0]), key)
            for view, key in (decode(text, name) for text in texts)
        ]

    async def run(self, execution: Execution) -> Any:
        """Return the items in the order of their ids, those of a type read together.

        Raises BadInput for a text that is no global id.
        """
        wanted = self.wanted(execution)
        keys: dict[tuple[str, bool], list[ItemKey]] = {}
        for type_, elsewhere, key in wanted:
            keys.setdefault((type_, elsewhere), []).append(key)
        found = await gather_all(
            *(
                self.find(execution, type_, list(dict.fromkeys(own)), all_projects=elsewhere)
                for (type_, elsewhere), own in keys.items()
            )
        )
        of_type = dict(zip(keys, found, strict=True))
        shown = [of_type[type_, elsewhere].get(key) for type_, elsewhere, key in wanted]
        if execution.has_failed:
            shown = [
                TypedObject(self.level_for(type_).outputs[0].fields, value)
                if isinstance(value, dict)
                else value
                for value, (type_, _, _) in zip(shown, wanted, strict=True)
            ]
        return shown if self.spec.many else shown[0]

    async def find(
        self, execution: Execution, name: str, keys: list[ItemKey], *, all_projects: bool = False
    ) -> Mapping[ItemKey, Any] | EveryKeyFailed:
        """Return the items of one type, by key; failures are in it, not raised."""
        level, collection = self.level_for(name), VIEWS[name].collection
        if all_projects:
            collection = collection.all_projects
        found = await execution.attempt(collection.rows_by_key(execution.ctx, keys, level.columns))
        if isinstance(found, FieldFailure):
            return EveryKeyFailed(found)
        rows = list(found.values())
        built = await execution.attempt(level.build(execution, rows, all_projects=all_projects))
        if isinstance(built, FieldFailure):
            return EveryKeyFailed(built)
        return dict(zip(found, built[0], strict=True))


@dataclass(frozen=True, eq=False)
class ComputedPlan:
    """A root field computed without the database."""

    spec: ComputedField
    parts: Sequence[tuple[str, str, str | None]]
    """The response's key, the attribute, and a constant in its place if it is none."""

    def describe(self) -> str:
        """Return the plan in a phrase."""
        return "computed without the database"

    async def run(self, execution: Execution) -> dict[str, Any]:
        """Return the object."""
        return plain_values(self.spec.compute(execution.ctx), self.parts)


@dataclass(frozen=True, eq=False)
class ConstantPlan:
    """A root field that is always the same."""

    value: str

    def describe(self) -> str:
        """Return the plan in a phrase."""
        return f"always {self.value!r}"

    async def run(self, _execution: Execution) -> str:
        """Return it."""
        return self.value


@dataclass(frozen=True, eq=False)
class IntrospectionPlan:
    """A root field about the schema itself, which is graphql-core's."""

    execute: Callable[[Execution], Any]

    def describe(self) -> str:
        """Return the plan in a phrase."""
        return "executed by graphql-core"

    async def run(self, execution: Execution) -> Any:
        """Return what the schema says. Raises GraphQLError."""
        return self.execute(execution)


@dataclass(frozen=True, eq=False)
class MutationPlan:
    """A root field that writes, or answers by its arguments, and then reads what is shown."""

    spec: MutationField
    arguments: Arguments
    payload: PayloadPlan

    def describe(self) -> str:
        """Return the plan in a phrase."""
        return f"`{self.spec.write.__qualname__}`, then its payload"

    async def run(self, execution: Execution) -> Any:
        """Return the payload, or payloads. Raises what the write raises: nothing is written."""
        with deadlines.explained():
            # Earlier fields may have taken all of the time.
            deadlines.resume()
            payload = await self._call(execution)
        if isinstance(payload, list):
            return await self.payload.show_all(execution, payload)
        return None if payload is None else await self.payload.show(execution, payload)

    async def _call(self, execution: Execution) -> Any:
        arguments = self.arguments.of(execution)
        if isinstance(self.spec, AnsweredField) and self.spec.knows_selection:
            return await self.spec.write(execution.ctx, selected=self.payload.names, **arguments)
        return await self.spec.write(execution.ctx, **arguments)


def plain_values(source: Any, parts: Sequence[tuple[str, str, str | None]]) -> dict[str, Any]:
    """Return an object of the attributes and constants that the parts name."""
    return {
        key: getattr(source, name) if constant is None else constant
        for key, name, constant in parts
    }

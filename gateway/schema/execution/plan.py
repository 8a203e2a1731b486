"""A plan: what an operation reads and writes, level by level, and how its response is made.

Each relation below a level of rows is one statement for all of them. What fails is a failure in its
place (see `failures`), so that one field's fault never takes another's data.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from graphql import GraphQLError

from gateway.context import Context, ItemKey
from gateway.errors import NotFound
from gateway.query.filters import Where
from gateway.query.paging import Page, PageRequest
from gateway.resolvers.collection import Collection, Columns, Owner
from gateway.schema.connections import list_request
from gateway.schema.execution.arguments import Arguments
from gateway.schema.execution.connection_output import Beyond, ConnectionOutput
from gateway.schema.execution.failures import (
    EveryKeyFailed,
    Execution,
    FieldFailure,
    OutputField,
    TypedObject,
    complete,
    gather_all,
)
from gateway.schema.execution.output import LevelPlan
from gateway.schema.global_ids import decode, in_other_project
from gateway.schema.views import (
    VIEWS,
    ByGlobalIdField,
    ByRestIdField,
    ComputedField,
    ConnectionField,
    MutationField,
    ToOneField,
)

ROOT: ItemKey = ("", "")
"""The key of the only parent of a list of the whole catalogue."""


class RootPlan(Protocol):
    """How a root field comes by its value."""

    async def run(self, execution: Execution) -> Any:
        """Return the field's value. Raises what makes the whole field fail."""


@dataclass(eq=False)
class ToOnePlan:
    """A relation to one: the rows that the parents' keys mean."""

    spec: ToOneField
    level: LevelPlan

    async def load(
        self, execution: Execution, keys: list[ItemKey], *, all_projects: bool
    ) -> Mapping[ItemKey, Any] | EveryKeyFailed:
        """Return the object of each key."""
        if not keys:
            return {}
        collection = self.spec.collection
        if all_projects:
            collection = collection.all_projects
        found = await execution.attempt(
            collection.resolve_ids(execution.ctx, keys, self.level.columns)
        )
        if isinstance(found, FieldFailure):
            return EveryKeyFailed(found)
        rows = list(found.values())
        (built,) = await self.level.build(execution, rows, all_projects=all_projects)
        return dict(zip(found, built, strict=True))


class ConnectionRequest(NamedTuple):
    """The part of a list that is read, and the columns of it."""

    collection: Collection
    page: PageRequest
    where: Where | None
    columns: Columns
    all_projects: bool


@dataclass(eq=False)
class ConnectionPlan:
    """A connection: of the whole catalogue, or of many parents at once."""

    spec: ConnectionField
    arguments: Arguments
    output: ConnectionOutput
    level: LevelPlan
    _requests: dict[Hashable, ConnectionRequest] = field(default_factory=dict)

    def request(self, execution: Execution, *, all_projects: bool | None) -> ConnectionRequest:
        """Return what the arguments ask for; None: they also say whether of all projects.

        Raises GraphQLError and BadInput.
        """
        ctx = execution.ctx
        limits = (all_projects, ctx.default_limit, ctx.max_limit)
        if (known := self._requests.get(limits)) is not None:
            return known
        arguments = self.arguments.of(execution)
        if all_projects is None:
            all_projects = bool(arguments.get("all_projects"))
        request = ConnectionRequest(
            *list_request(ctx, self.spec, arguments, all_projects=all_projects),
            (*self.level.columns, *self.spec.extra),
            all_projects,
        )
        if self.arguments.constant is not None:
            self._requests[limits] = request
        return request

    async def run(self, execution: Execution) -> dict[str, Any]:
        """Return one page of the catalogue. Raises GraphQLError and BadInput."""
        request = self.request(execution, all_projects=None)
        return (await self._read(execution, [ROOT], request, _OfCatalogue(execution.ctx, request)))[
            ROOT
        ]

    async def load(
        self, execution: Execution, keys: list[ItemKey], *, all_projects: bool
    ) -> Mapping[ItemKey, Any] | EveryKeyFailed:
        """Return the page of each parent."""
        owner = self.spec.owner
        if not keys or owner is None:
            return {}
        try:
            request = self.request(execution, all_projects=all_projects)
        except Exception as error:  # noqa: BLE001 - shown at every parent's field
            return EveryKeyFailed(execution.fail(error))
        lists = _OfParents(execution.ctx, request, keys, owner)
        return await self._read(execution, keys, request, lists)

    async def _read(
        self,
        execution: Execution,
        keys: Sequence[ItemKey],
        request: ConnectionRequest,
        lists: "_OfCatalogue | _OfParents",
    ) -> dict[ItemKey, dict[str, Any]]:
        """Return the connections of these parents, as far as they can be read."""
        pages, totals = await self._pages_and_totals(execution, lists)
        if isinstance(totals, FieldFailure):
            totals = EveryKeyFailed(totals)
        if isinstance(pages, FieldFailure):
            return self.output.show_without_pages(keys, pages, totals)
        beyond = await self._beyond(execution, pages.values(), lists)
        rows = [row for page in pages.values() for row in page.rows]
        built = await self.level.build(execution, rows, all_projects=request.all_projects)
        return self.output.show(execution, keys, pages, rows, built, totals, beyond)

    async def _pages_and_totals(
        self, execution: Execution, lists: "_OfCatalogue | _OfParents"
    ) -> Sequence[Any]:
        """Return what is asked for of both, read at the same time."""
        output = self.output
        if not output.has_total:
            pages = await execution.attempt(lists.pages()) if output.has_page else {}
            return pages, {}
        if not output.has_page:
            return {}, await execution.attempt(lists.totals())
        return await gather_all(execution.attempt(lists.pages()), execution.attempt(lists.totals()))

    async def _beyond(
        self, execution: Execution, pages: Iterable[Page], lists: "_OfCatalogue | _OfParents"
    ) -> Beyond:
        """Return what only the database knows of the lists before and after the pages."""
        found: Beyond = {}
        for side in self.output.sides:
            known = "has_next" if side == "hasNextPage" else "has_previous"
            if any(getattr(page, known) is None for page in pages):
                more = await execution.attempt(lists.has_more(forwards=side == "hasNextPage"))
                found[side] = EveryKeyFailed(more) if isinstance(more, FieldFailure) else more
        return found


@dataclass(frozen=True, slots=True)
class _OfCatalogue:
    """A list of the whole catalogue, read as that of the one parent ROOT."""

    ctx: Context
    request: ConnectionRequest

    async def pages(self) -> Mapping[ItemKey, Page]:
        collection, page, where, columns, _ = self.request
        return {ROOT: await collection.find(self.ctx, page, where, columns)}

    async def totals(self) -> Mapping[ItemKey, int]:
        return {ROOT: await self.request.collection.count(self.ctx, self.request.where)}

    async def has_more(self, *, forwards: bool) -> Mapping[ItemKey, bool]:
        collection, page, where, _, _ = self.request
        return {ROOT: await collection.has_more(self.ctx, page, where, forwards=forwards)}


@dataclass(frozen=True, slots=True)
class _OfParents:
    """The lists of many parents, read together."""

    ctx: Context
    request: ConnectionRequest
    keys: Sequence[ItemKey]
    owner: Owner

    def pages(self) -> Awaitable[Mapping[ItemKey, Page]]:
        collection, page, where, columns, _ = self.request
        return collection.pages_by_parent(self.ctx, self.keys, self.owner, page, where, columns)

    def totals(self) -> Awaitable[Mapping[ItemKey, int]]:
        collection, _, where, _, _ = self.request
        return collection.counts_by_parent(self.ctx, self.keys, self.owner, where)

    def has_more(self, *, forwards: bool) -> Awaitable[Mapping[ItemKey, bool]]:
        collection, page, where, _, _ = self.request
        return collection.has_more_by_parent(self.ctx, self.keys, self.owner, page, where, forwards)


@dataclass(eq=False)
class ByRestIdPlan:
    """A root field that finds one item by its REST id."""

    spec: ByRestIdField
    arguments: Arguments
    level: LevelPlan

    async def run(self, execution: Execution) -> dict[str, Any] | None:
        """Return the item, or None. Raises BadInput and what reading raises."""
        item_id = self.spec.check(self.arguments.of(execution)["item_id"])
        key = (execution.ctx.project_id, item_id)
        found = await self.spec.collection.resolve_ids(execution.ctx, [key], self.level.columns)
        (built,) = await self.level.build(execution, list(found.values()), all_projects=False)
        return built[0] if built else None


@dataclass(eq=False)
class ByGlobalIdPlan:
    """The root fields `node` and `nodes`: what they select depends on the types of the ids."""

    spec: ByGlobalIdField
    arguments: Arguments
    level_of: Callable[[str], LevelPlan]
    """Plans the selection on rows of a type."""
    _levels: dict[str, LevelPlan] = field(default_factory=dict)

    async def run(self, execution: Execution) -> Any:
        """Return the items in the order of their ids, those of a type read together.

        Raises BadInput for what is no global id.
        """
        arguments = self.arguments.of(execution)
        texts = arguments["ids"] if self.spec.many else [arguments["id"]]
        name = "ids" if self.spec.many else "id"
        wanted = [
            (view.name, in_other_project(execution.ctx, view, key[0]), key)
            for view, key in (decode(text, name) for text in texts)
        ]
        keys: dict[tuple[str, bool], list[ItemKey]] = {}
        for type_, elsewhere, key in wanted:
            keys.setdefault((type_, elsewhere), []).append(key)
        found = await gather_all(
            *(
                self._find(execution, type_, list(dict.fromkeys(own)), all_projects=elsewhere)
                for (type_, elsewhere), own in keys.items()
            )
        )
        of_type = dict(zip(keys, found, strict=True))
        shown = [of_type[type_, elsewhere].get(key) for type_, elsewhere, key in wanted]
        if execution.has_failed:
            shown = [
                TypedObject(self._levels[type_].outputs[0].fields, value)
                if isinstance(value, dict)
                else value
                for value, (type_, _, _) in zip(shown, wanted, strict=True)
            ]
        return shown if self.spec.many else shown[0]

    async def _find(
        self, execution: Execution, name: str, keys: list[ItemKey], *, all_projects: bool
    ) -> Mapping[ItemKey, Any] | EveryKeyFailed:
        if name not in self._levels:
            self._levels[name] = self.level_of(name)
        level, collection = self._levels[name], VIEWS[name].collection
        if all_projects:
            collection = collection.all_projects
        found = await execution.attempt(collection.rows_by_key(execution.ctx, keys, level.columns))
        if isinstance(found, FieldFailure):
            return EveryKeyFailed(found)
        rows = list(found.values())
        (built,) = await level.build(execution, rows, all_projects=all_projects)
        return dict(zip(found, built, strict=True))


@dataclass(frozen=True, eq=False)
class ComputedPlan:
    """A root field computed without the database."""

    spec: ComputedField
    parts: Sequence[tuple[str, str, str | None]]
    """The response's key, the attribute, and a constant in its place if it is none."""

    async def run(self, execution: Execution) -> dict[str, Any]:
        """Return the object."""
        return plain_values(self.spec.compute(execution.ctx), self.parts)


@dataclass(frozen=True, eq=False)
class ConstantPlan:
    """A root field that is always the same."""

    value: str

    async def run(self, _execution: Execution) -> str:
        """Return it."""
        return self.value


@dataclass(frozen=True, eq=False)
class IntrospectionPlan:
    """A root field about the schema itself, which is graphql-core's."""

    execute: Callable[[Execution], Any]

    async def run(self, execution: Execution) -> Any:
        """Return what the schema says. Raises GraphQLError."""
        return self.execute(execution)


@dataclass(frozen=True, eq=False)
class MutationPlan:
    """A root field that writes, and then reads what its payload shows."""

    spec: MutationField
    arguments: Arguments
    parts: Sequence[tuple[str, str, str | None]]
    """The payload's plain values, as in ComputedPlan."""
    items: Sequence[tuple[str, LevelPlan]]
    """The response's keys under which the item written is shown, and the selection on it."""
    keys: Sequence[str]
    """All of the payload's keys, in the order of the response."""

    async def run(self, execution: Execution) -> dict[str, Any]:
        """Return the payload. Raises what the write raises: then nothing is written."""
        payload = await self.spec.write(execution.ctx, **self.arguments.of(execution))
        shown = plain_values(payload, self.parts)
        for key, level in self.items:
            shown[key] = await execution.attempt(self._written(execution, level, payload.key))
        return {key: shown[key] for key in self.keys}

    @staticmethod
    async def _written(execution: Execution, level: LevelPlan, key: ItemKey) -> dict[str, Any]:
        collection = level.view.collection
        found = await collection.rows_by_key(execution.ctx, [key], level.columns)
        if not found:
            raise NotFound(f"the {level.view.name.lower()} was deleted meanwhile")
        (built,) = await level.build(execution, list(found.values()), all_projects=False)
        return built[0]


def plain_values(source: Any, parts: Sequence[tuple[str, str, str | None]]) -> dict[str, Any]:
    """Return an object of the attributes and constants that the parts name."""
    return {
        key: getattr(source, name) if constant is None else constant
        for key, name, constant in parts
    }


@dataclass(frozen=True, eq=False)
class Plan:
    """An operation, ready to be run."""

    fields: Sequence[tuple[OutputField, RootPlan]]
    is_mutation: bool

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

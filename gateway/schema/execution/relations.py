"""Relations and connections: the plans that read what belongs to many parents at once.

Each is one statement for all the rows of the level above. What fails is a failure in its place (see
`failures`), so that one field's fault never takes another's data.
"""

from collections.abc import Awaitable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.context import Context, ItemKey
from gateway.query.filters import Where
from gateway.query.paging import Page, PageRequest
from gateway.resolvers.collection import Collection, Columns, Owner
from gateway.schema.connections import list_request
from gateway.schema.execution.arguments import Arguments
from gateway.schema.execution.connection_output import Beyond, ConnectionOutput
from gateway.schema.execution.failures import EveryKeyFailed, Execution, FieldFailure, gather_all
from gateway.schema.execution.output import LevelPlan
from gateway.schema.execution.root_fields import plain_values
from gateway.schema.views import BatchField, ConnectionField, ToOneField

ROOT: ItemKey = ("", "")
"""The key of the only parent of a list of the whole catalogue."""


@dataclass(eq=False)
class ToOnePlan:
    """A relation to one: the rows that the parents' keys mean."""

    spec: ToOneField
    level: LevelPlan

    def describe(self) -> str:
        """Return the plan in a phrase."""
        return f"the {self.spec.view} of each `{self.spec.key}`"

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
        built = await execution.attempt(
            self.level.build(execution, rows, all_projects=all_projects)
        )
        if isinstance(built, FieldFailure):
            return EveryKeyFailed(built)
        return dict(zip(found, built[0], strict=True))


@dataclass(eq=False)
class BatchPlan:
    """A value of each row that depends on the field's arguments."""

    spec: BatchField
    arguments: Arguments
    parts: Sequence[tuple[str, str, str | None]] | None
    """The parts of an object that are shown, as in `plain_values`; None: a plain value."""
    level: None = None

    def describe(self) -> str:
        """Return the plan in a phrase."""
        return f"worked out for each `{self.spec.key}`"

    async def load(
        self, execution: Execution, keys: list[ItemKey], *, all_projects: bool
    ) -> Mapping[ItemKey, Any] | EveryKeyFailed:
        """Return the value of each key."""
        found = await execution.attempt(self._values(execution, keys, all_projects=all_projects))
        return EveryKeyFailed(found) if isinstance(found, FieldFailure) else found

    async def _values(
        self, execution: Execution, keys: list[ItemKey], *, all_projects: bool
    ) -> Mapping[ItemKey, Any]:
        if not keys:
            return {}
        given = self.arguments.of(execution)
        values = await self.spec.load(execution.ctx, keys, all_projects=all_projects, **given)
        if self.parts is None:
            return values
        return {key: plain_values(value, self.parts) for key, value in values.items()}


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

    def describe(self) -> str:
        """Return the plan in a phrase."""
        of = f" of each `{self.spec.key}`" if self.spec.owner else ""
        return f"a connection of {self.spec.view}{of}"

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

    async def run(self, execution: Execution) -> Any:
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
    ) -> dict[ItemKey, Any]:
        """Return the connections of these parents, as far as they can be read."""
        pages, totals = await self._pages_and_totals(execution, lists)
        if isinstance(totals, FieldFailure):
            totals = EveryKeyFailed(totals)
        if isinstance(pages, FieldFailure):
            return self.output.show_without_pages(keys, pages, totals)
        shown = await execution.attempt(self._shown(execution, keys, pages, totals, request, lists))
        return dict.fromkeys(keys, shown) if isinstance(shown, FieldFailure) else shown

    async def _shown(  # noqa: PLR0913, PLR0917 - all that connections are made of
        self,
        execution: Execution,
        keys: Sequence[ItemKey],
        pages: Mapping[ItemKey, Page],
        totals: Any,
        request: ConnectionRequest,
        lists: "_OfCatalogue | _OfParents",
    ) -> dict[ItemKey, Any]:
        """Return the connections of these parents, whose pages have been read."""
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

"""A plan: what an operation over views reads, level by level, and how its response is put together.

Each relation below a level of rows is one statement for all of them. What has no plan runs the
ordinary way, and gives the same answer.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphql import ArgumentNode, GraphQLField, VariableNode, Visitor, visit
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import VariableValues, get_argument_values
from strawberry.types.arguments import convert_arguments

from gateway.context import Context, ItemKey
from gateway.query.filters import Where
from gateway.query.paging import Page, PageRequest
from gateway.resolvers.collection import Collection, Columns
from gateway.schema.connections import question
from gateway.schema.execution.outlines import Beyond, Outline
from gateway.schema.execution.shapes import Rows, Run, together
from gateway.schema.views import (
    VIEWS,
    ByGlobalId,
    ByRestId,
    List,
    Reference,
    Told,
    lies_across,
    parse_id,
)

Group = list[FieldDetails]


class Arguments:
    """A field's arguments, ready to be given to its resolver."""

    def __init__(self, schema: Any, definition: GraphQLField, group: Group) -> None:
        self.schema = schema
        self.definition = definition
        self.node = group[0].node
        self.field = definition.extensions["strawberry-definition"]
        name = schema.config.name_converter.from_argument
        self.names = {name(one): str(one.python_name) for one in self.field.arguments}
        nodes = self.node.arguments or ()
        self._variables = {
            self.names[node.name.value]: node.value.name.value
            for node in nodes
            if isinstance(node.value, VariableNode)
        }
        """The arguments that are variables themselves, and which."""
        self._varies = _varies(node for node in nodes if not isinstance(node.value, VariableNode))
        constant = not (self._variables or self._varies)
        self.always = self._values(None) if constant else None
        """Their values, where no variable stands in them."""
        self._last: dict[str, Any] | None = None

    def of(self, run: Run) -> Mapping[str, Any]:
        """Their values in this run. Raises GraphQLError and BadInput as plain execution would."""
        if self.always is not None:
            return self.always
        given = {
            name: run.variables.coerced.get(variable) for name, variable in self._variables.items()
        }
        if self._last is None or not all(type(value) in {str, int} for value in given.values()):
            values = self._values(run.variables)
            self._last = None if self._varies else values
            return values
        # They are what the variables are, and the others what they were.
        return self._last | given

    def _values(self, variables: VariableValues | None) -> dict[str, Any]:
        values = get_argument_values(self.definition, self.node, variables)
        if all(value is None or isinstance(value, (str, int)) for value in values.values()):
            # Nothing that becomes an object of Strawberry's.
            return {self.names[name]: value for name, value in values.items()}
        converter = self.schema.schema_converter
        return convert_arguments(
            values, self.field.arguments, converter.scalar_registry, self.schema.config
        )


def _varies(arguments: Iterable[ArgumentNode]) -> bool:
    """Whether a variable stands in one of the arguments, however deep."""
    found = False

    class Variables(Visitor):
        def enter_variable(self, *_: Any) -> None:
            nonlocal found
            found = True

    for argument in arguments:
        visit(argument, Variables())
    return found


@dataclass
class ToOne:
    """A relation to one."""

    spec: Reference
    rows: Rows
    name: str = ""

    async def load(
        self, run: Run, keys: list[ItemKey], *, across: bool
    ) -> Mapping[ItemKey, dict[str, Any]]:
        """Find what each key means, together."""
        if not keys:
            return {}
        collection = self.spec.collection.all_projects if across else self.spec.collection
        found = await collection.resolve_ids(run.ctx, keys, self.rows.select(across=across))
        (built,) = await self.rows.build(run, list(found.values()), across=across)
        return dict(zip(found, built, strict=True))


class Asked(NamedTuple):
    """Which part of which list is read, and which columns of it."""

    collection: Collection
    page_request: PageRequest
    where: Where | None
    columns: Columns
    across: bool


@dataclass
class ToMany:
    """A connection, of the catalogue or of many parents at once."""

    spec: List
    arguments: Arguments
    outline: Outline
    rows: Rows
    name: str = ""
    _known: dict[Hashable, Asked] = field(default_factory=dict)

    def _asked(self, run: Run, *, across: bool | None) -> Asked:
        """What the arguments ask; None: they also say whether it is asked of all projects."""
        limits = (across, run.ctx.default_limit, run.ctx.max_limit)
        if (known := self._known.get(limits)) is not None:
            return known
        arguments = self.arguments.of(run)
        if across is None:
            across = bool(arguments.get("all_projects"))
        asked = Asked(
            *question(run.ctx, self.spec, arguments, across=across),
            (*self.rows.select(across=across), *self.spec.extra),
            across,
        )
        if self.arguments.always is not None:
            self._known[limits] = asked
        return asked

    async def load(
        self, run: Run, keys: list[ItemKey], *, across: bool
    ) -> Mapping[ItemKey, dict[str, Any]]:
        """Read the pages of all parents together."""
        owner = self.spec.owner
        if not keys or owner is None:
            return {}
        ctx = run.ctx
        collection, page_request, where, columns, _ = self._asked(run, across=across)

        async def pages() -> Mapping[ItemKey, Page]:
            if not self.outline.pages:
                return {}
            return await collection.pages_by_parent(ctx, keys, owner, page_request, where, columns)

        async def counts() -> Mapping[ItemKey, int]:
            return (
                await collection.counts_by_parent(ctx, keys, owner, where)
                if self.outline.total
                else {}
            )

        async def reaches(*, forwards: bool) -> Mapping[ItemKey, bool]:
            return await collection.has_more_by_parent(
                ctx, keys, owner, page_request, where, forwards
            )

        return await self._shown(run, keys, pages, counts, reaches, across=across)

    async def root(self, run: Run) -> dict[str, Any]:
        """Read one page of the catalogue."""
        ctx = run.ctx
        collection, page_request, where, columns, across = self._asked(run, across=None)

        async def page() -> Mapping[None, Page]:
            if not self.outline.pages:
                return {}
            return {None: await collection.find(ctx, page_request, where, columns)}

        async def count() -> Mapping[None, int]:
            return {None: await collection.count(ctx, where)} if self.outline.total else {}

        async def reaches(*, forwards: bool) -> Mapping[None, bool]:
            return {None: await collection.has_more(ctx, page_request, where, forwards=forwards)}

        return (await self._shown(run, [None], page, count, reaches, across=across))[None]

    async def _shown(  # noqa: PLR0913 - all that differs
        self,
        run: Run,
        keys: Sequence[Any],
        pages: Callable[[], Awaitable[Mapping[Any, Page]]],
        totals: Callable[[], Awaitable[Mapping[Any, int]]],
        reaches: Callable[..., Awaitable[Mapping[Any, bool]]],
        *,
        across: bool,
    ) -> dict[Any, dict[str, Any]]:
        """Make the connections of these parents of what the functions read."""
        found, total = await self._both(pages, totals)
        beyond = await self._beyond(found.values(), reaches)
        rows = [row for page in found.values() for row in page.rows]
        built = await self.rows.build(run, rows, across=across)
        return self.outline.show(keys, found, rows, built, total, beyond)

    async def _both(
        self, page: Callable[[], Awaitable[Any]], total: Callable[[], Awaitable[Any]]
    ) -> Sequence[Any]:
        """Read both at the same time, where both are asked for."""
        if self.outline.pages and self.outline.total:
            return await together(page(), total())
        return await page(), await total()

    async def _beyond(self, pages: Any, reaches: Callable[..., Any]) -> Beyond:
        """What only the database knows of the lists before and after the pages."""
        found: Beyond = {}
        for side in self.outline.sides:
            known = "has_next" if side == "hasNextPage" else "has_previous"
            if any(getattr(page, known) is None for page in pages):
                found[side] = await reaches(forwards=side == "hasNextPage")
        return found


@dataclass
class ById:
    """A root field that finds one item by its REST id."""

    spec: ByRestId
    arguments: Arguments
    rows: Rows

    async def root(self, run: Run) -> dict[str, Any] | None:
        """Find it."""
        item_id = self.spec.checked(self.arguments.of(run)["item_id"])
        key = (run.ctx.project_id, item_id)
        found = await self.spec.collection.resolve_ids(run.ctx, [key], self.rows.columns)
        (built,) = await self.rows.build(run, list(found.values()), across=False)
        return built[0] if built else None


@dataclass
class ByIds:
    """The root fields `node` and `nodes`: what they select depends on the types of the ids."""

    spec: ByGlobalId
    arguments: Arguments
    rows_of: Callable[[str], Rows]
    """Plans the selection on rows of a type."""
    _rows: dict[str, Rows] = field(default_factory=dict)

    async def root(self, run: Run) -> Any:
        """Find them, those of a type together."""
        arguments = self.arguments.of(run)
        texts = arguments["ids"] if self.spec.many else [arguments["id"]]
        wanted = [
            (view.name, lies_across(run.ctx, view, key[0]), key)
            for view, key in (parse_id(text, "ids" if self.spec.many else "id") for text in texts)
        ]
        keys: dict[tuple[str, bool], list[ItemKey]] = {}
        for name, across, key in wanted:
            keys.setdefault((name, across), []).append(key)
        found = dict(
            zip(
                keys,
                await together(
                    *(
                        self._find(run, name, of, across=across)
                        for (name, across), of in keys.items()
                    )
                ),
                strict=True,
            )
        )
        shown = [found[name, across].get(key) for name, across, key in wanted]
        return shown if self.spec.many else shown[0]

    async def _find(
        self, run: Run, name: str, keys: list[ItemKey], *, across: bool
    ) -> Mapping[ItemKey, dict[str, Any]]:
        view = VIEWS[name]
        if name not in self._rows:
            self._rows[name] = self.rows_of(name)
        rows = self._rows[name]
        collection = view.collection.all_projects if across else view.collection
        found = await collection.rows_by_key(run.ctx, keys, rows.select(across=across))
        (built,) = await rows.build(run, list(found.values()), across=across)
        return dict(zip(found, built, strict=True))


@dataclass(frozen=True)
class Leaves:
    """A root field that is told without the database."""

    spec: Told
    parts: Sequence[tuple[str, str, str | None]]
    """The response's key, the attribute, and what it shows always if it is no attribute."""

    async def root(self, run: Run) -> dict[str, Any]:
        """Tell it."""
        told = self.spec.tell(run.ctx)
        return {
            key: getattr(told, name) if constant is None else constant
            for key, name, constant in self.parts
        }


@dataclass
class Constant:
    """A root field that is the same always."""

    value: str

    async def root(self, _run: Run) -> str:
        """Return it."""
        return self.value


Root = ToMany | ById | ByIds | Leaves | Constant


@dataclass(frozen=True)
class Plan:
    """An operation, ready to be run."""

    fields: tuple[tuple[str, Root], ...]

    async def run(self, ctx: Context, variables: VariableValues) -> dict[str, Any]:
        """The operation's data. Raises GatewayError and GraphQLError."""
        run = Run(ctx, variables)
        found = await together(*(field.root(run) for _, field in self.fields))
        return dict(zip((key for key, _ in self.fields), found, strict=True))

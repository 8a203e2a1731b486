"""A plan: what an operation over views reads, level by level, and how its response is put together.

Each relation below a level of rows is one statement for all of them. What has no plan runs the
ordinary way, and gives the same answer.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import ArgumentNode, GraphQLField, Visitor, visit
from graphql.execution.collect_fields import (
    FieldDetails,
)
from graphql.execution.values import VariableValues, get_argument_values
from strawberry.types.arguments import convert_arguments

from gateway.context import Context, Parent
from gateway.paging import Page
from gateway.schema.connections import question
from gateway.schema.shapes import CURSOR, Built, Rows, Run, Shape, edges_of, together
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
        self._always = None if _varies(self.node.arguments or ()) else self._values(None)

    def of(self, run: Run) -> dict[str, Any]:
        """Their values in this run. Raises GraphQLError and BadInput as plain execution would."""
        return dict(self._always) if self._always is not None else self._values(run.variables)

    def _values(self, variables: VariableValues | None) -> dict[str, Any]:
        values = get_argument_values(self.definition, self.node, variables)
        if all(value is None or isinstance(value, (str, int)) for value in values.values()):
            # Nothing that becomes an object of Strawberry's.
            return {self.names[name]: value for name, value in values.items()}
        converter = self.schema.schema_converter
        return convert_arguments(
            values, self.field.arguments, converter.scalar_registry, self.schema.config
        )


def _varies(arguments: Sequence[ArgumentNode]) -> bool:
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
        self, run: Run, keys: list[Parent], *, across: bool
    ) -> Mapping[Parent, dict[str, Any]]:
        """Find what each key means, together."""
        if not keys:
            return {}
        listing = self.spec.listing.everywhere if across else self.spec.listing
        found = await listing.meant(run.ctx, keys, self.rows.select(across=across))
        (built,) = await self.rows.build(run, list(found.values()), across=across)
        return dict(zip(found, built, strict=True))


@dataclass
class ToMany:
    """A connection, of the catalogue or of many parents at once."""

    spec: List
    arguments: Arguments
    outline: "Outline"
    rows: Rows
    name: str = ""

    async def load(
        self, run: Run, keys: list[Parent], *, across: bool
    ) -> Mapping[Parent, dict[str, Any]]:
        """Read the pages of all parents together."""
        owner = self.spec.owner
        if not keys or owner is None:
            return {}
        asked = question(run.ctx, self.spec, self.arguments.of(run), across=across)
        listing, window, where = asked
        ctx, columns = run.ctx, (*self.rows.select(across=across), *self.spec.extra)

        async def pages() -> Mapping[Parent, Page]:
            if not self.outline.pages:
                return {}
            return await listing.find_of(ctx, keys, owner, window, where, columns)

        async def counts() -> Mapping[Parent, int]:
            return await listing.count_of(ctx, keys, owner, where) if self.outline.total else {}

        async def reaches(*, forwards: bool) -> Mapping[Parent, bool]:
            return await listing.reaches_of(ctx, keys, owner, window, where, forwards)

        found, total = await self._both(pages, counts)
        beyond = await self._beyond(found.values(), reaches)
        rows = [row for page in found.values() for row in page.rows]
        built = await self.rows.build(run, rows, across=across)
        shown, start = {}, 0
        for key in keys:
            page = found.get(key)
            end = start + (len(page.rows) if page else 0)
            facts = {side: known.get(key) for side, known in beyond.items()}
            slices = [shape[start:end] for shape in built]
            shown[key] = self.outline.show(page, slices, total.get(key), facts)
            start = end
        return shown

    async def root(self, run: Run) -> dict[str, Any]:
        """Read one page of the catalogue."""
        arguments = self.arguments.of(run)
        across = arguments.pop("all_projects", False)
        listing, window, where = question(run.ctx, self.spec, arguments, across=across)
        ctx, columns = run.ctx, (*self.rows.select(across=across), *self.spec.extra)

        async def page() -> Page | None:
            return await listing.find(ctx, window, where, columns) if self.outline.pages else None

        async def count() -> int | None:
            return await listing.count(ctx, where) if self.outline.total else None

        async def reaches(*, forwards: bool) -> Mapping[None, bool]:
            return {None: await listing.reaches(ctx, window, where, forwards=forwards)}

        found, total = await self._both(page, count)
        beyond = await self._beyond([found] if found else [], reaches)
        built = await self.rows.build(run, found.rows if found else (), across=across)
        facts = {side: known.get(None) for side, known in beyond.items()}
        return self.outline.show(found, built, total, facts)

    async def _both(
        self, page: Callable[[], Awaitable[Any]], total: Callable[[], Awaitable[Any]]
    ) -> Sequence[Any]:
        """Read both at the same time, where both are asked for."""
        if self.outline.pages and self.outline.total:
            return await together(page(), total())
        return await page(), await total()

    async def _beyond(
        self, pages: Any, reaches: Callable[..., Any]
    ) -> dict[str, Mapping[Any, bool]]:
        """What only the database knows of the lists before and after the pages."""
        found: dict[str, Mapping[Any, bool]] = {}
        for side in self.outline.sides:
            known = "has_next" if side == "hasNextPage" else "has_previous"
            if any(getattr(page, known) is None for page in pages):
                found[side] = await reaches(forwards=side == "hasNextPage")
        return found


class Outline:
    """What is selected of a connection, in the order of the response."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.pages = False
        """Whether the page itself is read."""
        self.total = False
        self.sides: set[str] = set()
        """The facts of `pageInfo` that are asked for."""
        self._keys: list[tuple[str, Callable[..., Any]]] = []

    def constant(self, key: str, value: str) -> None:
        """Show the same always."""
        self._keys.append((key, lambda *_: value))

    def count(self, key: str) -> None:
        """Show how many there are."""
        self.total = True
        self._keys.append((key, lambda _page, _built, total, _facts: total))

    def nodes(self, key: str, shape: Shape) -> None:
        """Show the items."""
        at = self._shape(shape)
        self._keys.append((key, lambda _page, built, *_: built[at]))

    def edges(self, key: str, parts: Sequence[tuple[str, str, Any]]) -> None:
        """Show the items with their places: for each key `cursor`, `node`, or what else it is."""
        self.pages = True
        used: list[int] = []
        sources = []
        for part, kind, what in parts:
            if kind == "node":
                used.append(self._shape(what))
                source = f"i{used[-1]}"
            elif kind == "cursor":
                source = CURSOR
            elif kind == "constant":
                source = repr(what)
            else:
                source = f"r.{what}"
            sources.append(f"{part!r}: {source}")
        build = edges_of(sources, used)

        def show(page: Page, built: list[Built], *_: object) -> Built:
            return build(page, *(built[at] for at in used))

        self._keys.append((key, show))

    def page_info(self, key: str, parts: Sequence[tuple[str, str, str]]) -> None:
        """Show where the page lies."""
        self.pages = True
        self.sides |= {name for _, name, _ in parts} & {"hasNextPage", "hasPreviousPage"}

        def show(page: Page, _built: object, _total: object, facts: Mapping[str, Any]) -> Any:
            known: dict[str, Callable[[], object]] = {
                "hasNextPage": lambda: page.has_next,
                "hasPreviousPage": lambda: page.has_previous,
                "startCursor": lambda: page.cursor(page.rows[0]) if page.rows else None,
                "endCursor": lambda: page.cursor(page.rows[-1]) if page.rows else None,
            }
            shown = {}
            for part, name, constant in parts:
                value = known[name]() if name in known else constant
                shown[part] = bool(facts.get(name)) if value is None and name in facts else value
            return shown

        self._keys.append((key, show))

    def show(
        self,
        page: Page | None,
        built: list[Built],
        total: int | None,
        facts: Mapping[str, bool | None],
    ) -> dict[str, Any]:
        """Make the connection of a page."""
        return {key: way(page, built, total, facts) for key, way in self._keys}

    def _shape(self, shape: Shape) -> int:
        self.pages = True
        self.shapes.append(shape)
        return len(self.shapes) - 1


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
        found = await self.spec.listing.meant(run.ctx, [key], self.rows.columns)
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
        keys: dict[tuple[str, bool], list[Parent]] = {}
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
        self, run: Run, name: str, keys: list[Parent], *, across: bool
    ) -> Mapping[Parent, dict[str, Any]]:
        view = VIEWS[name]
        if name not in self._rows:
            self._rows[name] = self.rows_of(name)
        rows = self._rows[name]
        listing = view.listing.everywhere if across else view.listing
        found = await listing.get_of(run.ctx, keys, rows.select(across=across))
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

"""Generated code: from the rows of a view to the dictionaries of a response.

A `Shape` is a selection on one row. All the shapes of a level read the same rows, and each becomes
one function of them: a column is an index into the row, a global id or a document a call, and what
belongs to the row a look-up in what was read for all rows together.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from graphql import GraphQLEnumType
from graphql.execution.values import VariableValues

from gateway.context import Context, ItemKey
from gateway.db.rows import Converter, Row
from gateway.resolvers.collection import Columns
from gateway.schema.views import ACROSS, View, global_ids

Built = list[dict[str, Any]]

AS_THEY_ARE = {"ID", "String", "Int", "BigInt", "Boolean", "DateTime"}
"""Scalars whose columns hold what the response shows."""


class NotPlannableError(Exception):
    """Something that only plain execution can do."""


@dataclass(frozen=True)
class Run:
    """One request under way: whose it is, and its variables."""

    ctx: Context
    variables: VariableValues


async def together(*awaitables: Awaitable[Any]) -> list[Any]:
    """The results of all of them, or the first failure when the last of them is done.

    None is left behind: it would hold a connection that nobody waits for.
    """
    if len(awaitables) == 1:
        return [await awaitables[0]]
    results = await asyncio.gather(*awaitables, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


class Shape:
    """A selection on one row: what each key of the response reads, and the children it shows."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.names = {"project_id", view.key} if view.key else set()
        self.children: list[Child] = []
        self._sources: list[tuple[str, Callable[[Scope], str]]] = []

    def constant(self, key: str, value: str) -> None:
        """Show the same for every row."""
        self._sources.append((key, lambda _: repr(value)))

    def id(self, key: str) -> None:
        """Show the global id."""
        name, item = self.view.name, self.view.key
        self._sources.append((key, lambda s: f"{s(global_ids(name))}({s.parent(item)})"))

    def leaf(self, key: str, name: str, type_: Any) -> None:
        """Show a column. Raises NotPlannableError for one whose type has no short way out."""
        self.names.add(name)
        if isinstance(type_, GraphQLEnumType):
            words = {str(value.value): word for word, value in type_.values.items()}
            self._sources.append((key, lambda s: f"{s(words)}.get({s.raw(name)})"))
        elif type_.name == "JSON":
            self._sources.append((key, lambda s: f"{s(orjson.Fragment)}({s.raw(name)})"))
        elif type_.name in AS_THEY_ARE:
            self._sources.append((key, lambda s: s.column(name)))
        else:
            raise NotPlannableError

    def part(self, key: str, inner: "Shape") -> None:
        """Show more columns of the same row, in an object of their own."""
        self.names |= inner.names
        self._sources.append((key, inner.code))

    def child(self, key: str, name: str, child: "Child") -> None:
        """Show what belongs to the row; `name` is the column that holds the child's key."""
        self.names.add(name)
        number = len(self.children)
        self.children.append(child)
        child.name = name
        self._sources.append((key, lambda s: f"c{number}.get(({s.parent(name)}))"))

    def code(self, scope: "Scope") -> str:
        """Write the dictionary of a row `r` as an expression."""
        return "{" + ", ".join(f"{key!r}: {source(scope)}" for key, source in self._sources) + "}"

    def compile(
        self, index: Mapping[str, int], converters: Sequence[Converter]
    ) -> Callable[..., Built]:
        """Make the function of rows, and of what each child found, to dictionaries."""
        scope = Scope(index, converters)
        found = "".join(f", c{number}" for number in range(len(self.children)))
        source = f"def build(rows{found}):\n    return [{self.code(scope)} for r in rows]"
        # The text is made of this module's own words, column numbers and quoted response keys.
        exec(source, scope.values)  # noqa: S102
        build: Callable[..., Built] = scope.values["build"]
        return build


class Child(Protocol):
    """What belongs to rows, and is read for all of them together."""

    name: str
    """The column of the rows that holds the child's key."""

    async def load(
        self, run: Run, keys: list[ItemKey], *, across: bool
    ) -> Mapping[ItemKey, dict[str, Any]]:
        """Find what each key has."""


class Scope:
    """The columns that generated code reads, and the values that it refers to."""

    def __init__(self, index: Mapping[str, int], converters: Sequence[Converter]) -> None:
        self.index = index
        self.converters = converters
        self.values: dict[str, Any] = {}

    def __call__(self, value: object) -> str:
        """Keep a value, and return its name in the code."""
        name = f"v{len(self.values)}"
        self.values[name] = value
        return name

    def raw(self, name: str) -> str:
        """Read a column as the driver has it."""
        return f"r[{self.index[name]}]"

    def column(self, name: str) -> str:
        """Read a column as its type has it."""
        convert = self.converters[self.index[name]]
        return self.raw(name) if convert is None else f"{self(convert)}({self.raw(name)})"

    def parent(self, name: str) -> str:
        """Read the row's project, and the column that holds an id in it."""
        return f"{self.raw('project_id')}, {self.raw(name)}"


class Rows:
    """The rows of a level: their columns, and the shapes that are made of them."""

    def __init__(self, view: View, shapes: Sequence[Shape], base: int) -> None:
        names = {"project_id", view.key}.union(*(shape.names for shape in shapes))
        self.columns: Columns = view.columns(frozenset(names))
        # What was read for many parents begins with the parent's project and id.
        self.index = {str(column.key): base + at for at, column in enumerate(self.columns)}
        self.shapes = tuple(shapes)
        self._builds: Sequence[Callable[..., Built]] | None = None

    def select(self, *, across: bool) -> Columns:
        """The columns to read; of all projects where the parents were."""
        return (*self.columns, ACROSS) if across else self.columns

    async def build(self, run: Run, rows: Sequence[Row], *, across: bool) -> list[Built]:
        """Make every shape of these rows, with all that is below them."""
        if not rows:
            return [[] for _ in self.shapes]
        if self._builds is None:
            # These columns come out of a database in one way.
            converters = rows[0].converters
            self._builds = [shape.compile(self.index, converters) for shape in self.shapes]
        return [
            build(rows, *await together(*self._below(run, shape, rows, across=across)))
            for build, shape in zip(self._builds, self.shapes, strict=True)
        ]

    def _below(
        self, run: Run, shape: Shape, rows: Sequence[Row], *, across: bool
    ) -> list[Awaitable[Mapping[ItemKey, dict[str, Any]]]]:
        return [child.load(run, self._keys(child, rows), across=across) for child in shape.children]

    def _keys(self, child: "Child", rows: Sequence[Row]) -> list[ItemKey]:
        project, other = self.index["project_id"], self.index[child.name]
        return list(
            dict.fromkeys((row[project], row[other]) for row in rows if row[other] is not None)
        )

"""The objects that selections make of rows, level by level: generated functions.

All the selections of a level read the same rows, and each becomes one function of them: a column is
an index into the row, a global id or a document a call, and what belongs to the row a look-up in
what was read for all rows together.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson
from graphql import GraphQLEnumType

from gateway.codegen import CodeNames, compile_function
from gateway.context import ItemKey
from gateway.db.rows import Converter, Row
from gateway.resolvers.collection import Columns
from gateway.schema.execution.failures import (
    Execution,
    OutputField,
    gather_all,
)
from gateway.schema.global_ids import encoder
from gateway.schema.views import View

Built = list[dict[str, Any]]
Found = Mapping[ItemKey, Any]
"""The objects of the response that a child found, by the keys of its parents."""
KeyFields = tuple[str, str]
"""The column fields of a row that hold an id, and the project in which it is one."""


class Child(Protocol):
    """A plan of items that belong to rows, and are read for all of them together."""

    @property
    def level(self) -> "LevelPlan | None":
        """The rows that it reads, if it reads any."""

    def describe(self) -> str:
        """Return the plan in a phrase."""

    async def load(self, execution: Execution, keys: list[ItemKey], *, all_projects: bool) -> Any:
        """Return the object of each key, by `get`; failures are in it, not raised."""


class LevelCode(CodeNames):
    """The names of generated code that reads rows `r` of certain columns."""

    def __init__(
        self,
        index: Mapping[str, int],
        converters: Sequence[Converter],
        *,
        all_projects: bool = False,
    ) -> None:
        super().__init__()
        self.index = index
        self.converters = converters
        self.all_projects = all_projects

    def raw(self, name: str) -> str:
        """Return the code of a column as the driver has it."""
        return f"r[{self.index[name]}]"

    def column(self, name: str) -> str:
        """Return the code of a column as its type has it."""
        convert = self.converters[self.index[name]]
        return self.raw(name) if convert is None else f"{self(convert)}({self.raw(name)})"

    def item_key(self, name: str, project: str = "project_id") -> str:
        """Return the code of the columns that hold a project, and an id in it.

        What is read across projects belongs to the row's own project.
        """
        return f"{self.raw('project_id' if self.all_projects else project)}, {self.raw(name)}"


class ObjectOutput:
    """A selection on one row: the code of each key of the response, and the children it shows."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.names = {"project_id", view.key} if view.key else set()
        """The column fields that it reads, by their names in Python."""
        self.fields: list[OutputField] = []
        self.children: list[tuple[OutputField, KeyFields, Child]] = []
        """Each with its field, and the column fields that hold its key."""
        self._codes: list[Callable[[LevelCode], str]] = []
        self._parts: dict[str, ObjectOutput] = {}

    def constant(self, field: OutputField, value: str) -> None:
        """Show the same for every row."""
        self._add(field, lambda _: repr(value))

    def id(self, field: OutputField) -> None:
        """Show the global id."""
        name, key = self.view.name, self.view.key
        self._add(field, lambda code: f"{code(encoder(name))}({code.item_key(key)})")

    def column(self, field: OutputField, name: str, type_: Any) -> None:
        """Show a column, by the name of its field in Python and its type in GraphQL."""
        self.names.add(name)
        if isinstance(type_, GraphQLEnumType):
            words = {str(value.value): word for word, value in type_.values.items()}
            self._add(field, lambda code: f"{code(words)}.get({code.raw(name)})")
        elif type_.name == "JSON":
            self._add(field, lambda code: f"{code(orjson.Fragment)}({code.raw(name)})")
        else:
            # All other scalars are written as their columns have them.
            self._add(field, lambda code: code.column(name))

    def part(self, field: OutputField, inner: "ObjectOutput") -> None:
        """Show more columns of the same row, in an object of their own."""
        self.names |= inner.names
        self._parts[field.key] = inner
        self._add(field, inner.code)

    def child(
        self, field: OutputField, name: str, child: Child, project: str = "project_id"
    ) -> None:
        """Show an item or a page of the row's.

        `name` and `project` are the column fields that hold the child's id, and its project.
        """
        self.names |= {name, project}
        number = len(self.children)
        self.children.append((field, (name, project), child))
        self._add(field, lambda code: f"c{number}.get(({code.item_key(name, project)}))")

    def _add(self, field: OutputField, code: Callable[[LevelCode], str]) -> None:
        self.fields.append(field)
        self._codes.append(code)

    def code(self, code: LevelCode) -> str:
        """Return the code of a row's object."""
        items = zip(self.fields, self._codes, strict=True)
        return "{" + ", ".join(f"{field.key!r}: {write(code)}" for field, write in items) + "}"

    def compile(self, code: LevelCode) -> Callable[..., Built]:
        """Return the function of rows, and of what each child found, to objects."""
        body = f"return [{self.code(code)} for r in rows]"
        return compile_function("build", ["rows", *self._found()], [body], code)

    def build_each(
        self, execution: Execution, code: LevelCode, rows: Sequence[Row], found: Sequence[Found]
    ) -> Built:
        """Return the objects of rows one of which has a value that can't be shown.

        Each field of each row is made by itself, so that only those fail that do.
        """
        built: Built = [{} for _ in rows]
        for field, write in zip(self.fields, self._codes, strict=True):
            if part := self._parts.get(field.key):
                values: list[Any] = part.build_each(execution, code, rows, ())
            else:
                show = compile_function(
                    "show", ["r", *self._found()], [f"return {write(code)}"], code
                )
                values = [execution.attempt_call(show, row, *found) for row in rows]
            for item, value in zip(built, values, strict=True):
                item[field.key] = value
        return built

    def _found(self) -> list[str]:
        return [f"c{number}" for number in range(len(self.children))]


class LevelPlan:
    """The rows of a level: their columns, and the objects that are made of them."""

    def __init__(self, view: View, outputs: Sequence[ObjectOutput], base: int) -> None:
        """Take the selections on the rows, and how many other columns come before their own."""
        names = {"project_id", view.key}.union(*(output.names for output in outputs))
        self.view = view
        self.columns: Columns = view.columns(frozenset(names))
        self.index = {str(column.key): base + at for at, column in enumerate(self.columns)}
        self.outputs = tuple(outputs)
        self._builds: dict[bool, Sequence[Callable[..., Built]]] = {}
        """The functions of rows read across projects, and of others."""

    async def build(
        self, execution: Execution, rows: Sequence[Row], *, all_projects: bool
    ) -> list[Built]:
        """Return the objects of these rows, with all that is below them, for each output."""
        if not rows:
            return [[] for _ in self.outputs]
        builds = self._builds.get(all_projects)
        if builds is None:
            builds = self._builds[all_projects] = [
                output.compile(self._code(rows, all_projects=all_projects))
                for output in self.outputs
            ]
        built = []
        for build, output in zip(builds, self.outputs, strict=True):
            found: Sequence[Any] = ()
            if output.children:
                found = await gather_all(
                    *(
                        child.load(
                            execution,
                            self._keys(*key, rows, all_projects=all_projects),
                            all_projects=all_projects,
                        )
                        for _, key, child in output.children
                    )
                )
            try:
                built.append(build(rows, *found))
            except Exception:  # noqa: BLE001 - found, and shown, by the next
                code = self._code(rows, all_projects=all_projects)
                built.append(output.build_each(execution, code, rows, found))
        return built

    def _code(self, rows: Sequence[Row], *, all_projects: bool) -> LevelCode:
        # These columns come out of a database in one way.
        return LevelCode(self.index, rows[0].converters, all_projects=all_projects)

    def _keys(
        self, name: str, of_project: str, rows: Sequence[Row], *, all_projects: bool
    ) -> list[ItemKey]:
        project = self.index["project_id" if all_projects else of_project]
        other = self.index[name]
        return list(
            dict.fromkeys((row[project], row[other]) for row in rows if row[other] is not None)
        )

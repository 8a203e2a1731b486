"""The objects that a selection makes of connections: a generated function of all pages."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.codegen import CodeNames, compile_function
from gateway.context import ItemKey
from gateway.db.rows import Row
from gateway.query.paging import Page, cursors
from gateway.schema.execution.failures import Execution, FieldFailure, OutputField
from gateway.schema.execution.output import Built, ObjectOutput

Beyond = dict[str, Any]
"""By `hasNextPage` and `hasPreviousPage`: the answer of the database for each parent."""
PARAMETERS = ("slices", "pages", "rows", "built", "totals", "beyond", "cursor")


class ConnectionOutput:
    """A selection on a connection, in the order of the response.

    It becomes one function: of the pages of all parents at once, whose rows stand one after the
    other, to a connection for each.
    """

    def __init__(self) -> None:
        self.fields: list[OutputField] = []
        self.outputs: list[ObjectOutput] = []
        """The selections on its items."""
        self.has_page = False
        """True if the page itself is read, not just counted."""
        self.has_total = False
        self.sides: set[str] = set()
        """The facts of `pageInfo` that are asked for."""
        self._codes: list[str] = []
        self._edges: list[str] = []
        self._without_page: dict[str, Callable[[FieldFailure], Any]] = {}
        self._names = CodeNames()
        self._show: Callable[..., dict[ItemKey, dict[str, Any]]] | None = None

    def constant(self, field: OutputField, value: str) -> None:
        """Show the same always."""
        self._add(field, repr(value), lambda _: value)

    def total(self, field: OutputField) -> None:
        """Show how many items the whole list has."""
        self.has_total = True
        self._add(field, "totals.get(key)", None)

    def nodes(self, field: OutputField, output: ObjectOutput) -> None:
        """Show the items."""
        self.has_page = True
        field.inner = output.fields
        self._add(field, f"{self._item(output)}[a:b]", lambda failure: failure)

    def edges(self, field: OutputField, parts: Sequence[tuple[OutputField, str, Any]]) -> None:
        """Show the items with their places: for each key `cursor`, `node`, or what else it is."""
        self.has_page = True
        field.inner = [part for part, _, _ in parts]
        lists, items, shown = ["rows"], ["r"], []
        for part, kind, what in parts:
            if kind == "node":
                part.inner = what.fields
                lists.append(self._item(what))
                items.append(f"i{len(items)}")
                code = items[-1]
            elif kind == "cursor":
                code = "cursor(r)"
            elif kind == "constant":
                code = repr(what)
            else:
                code = f"r.{what}"
            shown.append(f"{part.key!r}: {code}")
        edges = f"[{{{', '.join(shown)}}} for {', '.join(items)}, in zip({', '.join(lists)})]"
        self._add(field, f"edges{len(self._edges)}[a:b]", lambda failure: failure)
        self._edges.append(edges)

    def page_info(self, field: OutputField, parts: Sequence[tuple[OutputField, str, str]]) -> None:
        """Show where the page lies: for each key a field of PageInfo, or the type's name."""
        self.has_page = True
        field.inner = [part for part, _, _ in parts]
        self.sides |= {name for _, name, _ in parts} & {"hasNextPage", "hasPreviousPage"}
        info = self._names(_page_info([(part.key, name, type_) for part, name, type_ in parts]))

        def without_page(failure: FieldFailure) -> dict[str, Any]:
            return {
                part.key: type_ if name == "__typename" else failure for part, name, type_ in parts
            }

        self._add(field, f"{info}(pages[key], key, beyond, cursor)", without_page)

    def _add(
        self, field: OutputField, code: str, without_page: Callable[[FieldFailure], Any] | None
    ) -> None:
        self.fields.append(field)
        self._codes.append(code)
        if without_page is not None:
            self._without_page[field.key] = without_page

    def _item(self, output: ObjectOutput) -> str:
        self.outputs.append(output)
        return f"built[{len(self.outputs) - 1}]"

    def show(  # noqa: PLR0913, PLR0917 - the generated function's own
        self,
        execution: Execution,
        keys: Sequence[ItemKey],
        pages: Mapping[ItemKey, Page],
        rows: Sequence[Row],
        built: Sequence[Built],
        totals: Any,
        beyond: Beyond,
    ) -> dict[ItemKey, dict[str, Any]]:
        """Return the connections of these parents, whose pages hold these rows in turn."""
        slices, start = [], 0
        for key in keys:
            end = start + len(pages[key].rows) if self.has_page else 0
            slices.append((key, start, end))
            start = end
        if self._show is None:
            self._show = self.compile()
        cursor: Any = cursors(pages[keys[0]].page_request.order, type(rows[0])) if rows else None
        given = (slices, pages, rows, built, totals, beyond)
        try:
            return self._show(*given, cursor)
        except Exception:  # noqa: BLE001 - found, and shown, by the next
            # A sort key can't be shown: only the cursors that have it fail.
            return self._show(*given, partial(execution.attempt_call, cursor))

    def show_without_pages(
        self, keys: Sequence[ItemKey], failure: FieldFailure, totals: Any
    ) -> dict[ItemKey, dict[str, Any]]:
        """Return the connections of parents whose pages couldn't be read."""
        return {
            key: {
                field.key: self._without_page[field.key](failure)
                if field.key in self._without_page
                else totals.get(key)
                for field in self.fields
            }
            for key in keys
        }

    def compile(self) -> Callable[..., dict[ItemKey, dict[str, Any]]]:
        """Return the function of the pages of all parents to their connections."""
        edges = [f"edges{at} = {code}" for at, code in enumerate(self._edges)]
        items = zip(self.fields, self._codes, strict=True)
        shown = ", ".join(f"{field.key!r}: {code}" for field, code in items)
        body = [*edges, f"return {{key: {{{shown}}} for key, a, b in slices}}"]
        return compile_function("show", PARAMETERS, body, self._names)


_FACTS: Mapping[str, Callable[[Page, Any], object]] = {
    "hasNextPage": lambda page, _cursor: page.has_next,
    "hasPreviousPage": lambda page, _cursor: page.has_previous,
    "startCursor": lambda page, cursor: cursor(page.rows[0]) if page.rows else None,
    "endCursor": lambda page, cursor: cursor(page.rows[-1]) if page.rows else None,
}


def _page_info(parts: Sequence[tuple[str, str, str]]) -> Callable[..., dict[str, Any]]:
    """Return the function of a page to its `pageInfo`."""

    def info(page: Page, key: ItemKey, beyond: Beyond, cursor: Any) -> dict[str, Any]:
        shown = {}
        for part, name, type_ in parts:
            value = _FACTS[name](page, cursor) if name in _FACTS else type_
            if value is None and name in beyond:
                value = beyond[name].get(key)
                value = value if isinstance(value, FieldFailure) else bool(value)
            shown[part] = value
        return shown

    return info

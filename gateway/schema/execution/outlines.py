"""Generated code: from the pages of a connection to what its selection shows of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.db.rows import Row
from gateway.query.paging import Page, cursors
from gateway.schema.execution.shapes import Built, Shape

Beyond = dict[str, Mapping[Any, bool]]
"""By `hasNextPage` and `hasPreviousPage`: what only the database knows, of each parent."""


class Outline:
    """What is selected of a connection, in the order of the response.

    It becomes one function, too: of the pages of all parents at once, with their rows one after
    the other, to a connection for each.
    """

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.pages = False
        """Whether the page itself is read."""
        self.total = False
        self.sides: set[str] = set()
        """The facts of `pageInfo` that are asked for."""
        self._sources: list[str] = []
        self._lists: list[str] = []
        self._values: dict[str, Any] = {}
        self._show: Callable[..., dict[Any, dict[str, Any]]] | None = None

    def constant(self, key: str, value: str) -> None:
        """Show the same always."""
        self._sources.append(f"{key!r}: {value!r}")

    def count(self, key: str) -> None:
        """Show how many there are."""
        self.total = True
        self._sources.append(f"{key!r}: total.get(key)")

    def nodes(self, key: str, shape: Shape) -> None:
        """Show the items."""
        self._sources.append(f"{key!r}: {self._shape(shape)}[a:b]")

    def edges(self, key: str, parts: Sequence[tuple[str, str, Any]]) -> None:
        """Show the items with their places: for each key `cursor`, `node`, or what else it is."""
        self.pages = True
        lists, items, shown = ["rows"], ["r"], []
        for part, kind, what in parts:
            if kind == "node":
                lists.append(self._shape(what))
                items.append(f"i{len(items)}")
                source = items[-1]
            elif kind == "cursor":
                source = "cursor(r)"
            elif kind == "constant":
                source = repr(what)
            else:
                source = f"r.{what}"
            shown.append(f"{part!r}: {source}")
        edges = f"[{{{', '.join(shown)}}} for {', '.join(items)}, in zip({', '.join(lists)})]"
        self._sources.append(f"{key!r}: edges{len(self._lists)}[a:b]")
        self._lists.append(edges)

    def page_info(self, key: str, parts: Sequence[tuple[str, str, str]]) -> None:
        """Show where the page lies."""
        self.pages = True
        self.sides |= {name for _, name, _ in parts} & {"hasNextPage", "hasPreviousPage"}

        def info(page: Page, parent: object, beyond: Beyond) -> dict[str, Any]:
            known: dict[str, Callable[[], object]] = {
                "hasNextPage": lambda: page.has_next,
                "hasPreviousPage": lambda: page.has_previous,
                "startCursor": lambda: page.cursor(page.rows[0]) if page.rows else None,
                "endCursor": lambda: page.cursor(page.rows[-1]) if page.rows else None,
            }
            shown = {}
            for part, name, constant in parts:
                value = known[name]() if name in known else constant
                unknown = value is None and name in beyond
                shown[part] = bool(beyond[name].get(parent)) if unknown else value
            return shown

        name = f"info{len(self._values)}"
        self._values[name] = info
        self._sources.append(f"{key!r}: {name}(found[key], key, beyond)")

    def show(  # noqa: PLR0913, PLR0917 - the function's own
        self,
        keys: Sequence[Any],
        found: Mapping[Any, Page],
        rows: Sequence[Row],
        built: Sequence[Built],
        total: Mapping[Any, int],
        beyond: Beyond,
    ) -> dict[Any, dict[str, Any]]:
        """Make the connections of these parents, whose pages hold these rows in turn."""
        places, start = [], 0
        for key in keys:
            end = start + len(found[key].rows) if self.pages else 0
            places.append((key, start, end))
            start = end
        if self._show is None:
            self._show = self._compile()
        cursor = cursors(found[keys[0]].page_request.order, type(rows[0])) if rows else None
        return self._show(places, found, rows, built, total, beyond, cursor)

    def _compile(self) -> Callable[..., dict[Any, dict[str, Any]]]:
        edges = "".join(f"    edges{at} = {code}\n" for at, code in enumerate(self._lists))
        shown = "{key: {" + ", ".join(self._sources) + "} for key, a, b in places}"
        parameters = "places, found, rows, built, total, beyond, cursor"
        # Of this module's own words, column names, numbers, and quoted response keys.
        exec(f"def show({parameters}):\n{edges}    return {shown}", self._values)  # noqa: S102
        show: Callable[..., dict[Any, dict[str, Any]]] = self._values["show"]
        return show

    def _shape(self, shape: Shape) -> str:
        self.pages = True
        self.shapes.append(shape)
        return f"built[{len(self.shapes) - 1}]"

"""Documents as data: the keys of a v2 document with their columns, compiled into functions.

A `Document` is the SELECT list, the answer, and the map from a search's keys to columns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.catalogue.column_types import JSONText
from gateway.codegen import CodeNames, compile_function
from gateway.db.rows import Converter, Row, make_row_class
from gateway.query.filters import Where
from gateway.resolvers.collection import Collection, Column, Columns

OMITTED = object()
"""The value of a key to leave out."""


@dataclass(frozen=True, eq=False)
class Formatted:
    """A column, and the function from its value to the document's."""

    column: Column
    format: Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Nested:
    """A list of documents from another table; it is empty until the handler fills it."""

    document: "Document"


_ITEM = make_row_class((), ())
"""A row of the values of a written object."""


class Document:
    """The keys of a v2 document in their order, and the source of each one's value."""

    def __init__(self, keys: "Mapping[str, Column | Formatted | Nested | Document]") -> None:
        """Take a column, another document or a list of documents for each key."""
        self.keys = keys
        self.columns: Columns = ()
        for source in keys.values():
            if isinstance(source, Document):
                self.columns += source.columns
            elif not isinstance(source, Nested):
                self.columns += (source.column if isinstance(source, Formatted) else source,)
        self._omitting = [
            key
            for key, source in keys.items()
            if isinstance(source, Formatted) and source.format is omit_if_null
        ]
        self._renderers: dict[tuple[Any, ...], Callable[..., list[dict[str, Any]]]] = {}

    def from_rows(self, rows: Sequence[Row], start: int = 0) -> list[dict[str, Any]]:
        """Return a document for each row; its columns begin at `start` in the rows."""
        if not rows:
            return []
        key = (start, *rows[0].converters[start : start + len(self.columns)])
        render = self._renderers.get(key)
        if render is None:
            render = self._renderers[key] = self._compile(start, rows[0].converters)
        documents = render(rows)
        for omitting in self._omitting:
            for document in documents:
                if document[omitting] is OMITTED:
                    del document[omitting]
        return documents

    def from_item(self, item: object) -> dict[str, Any]:
        """Return the document of an object that has been written."""
        row = _ITEM(getattr(item, column.key or "") for column in self.columns)
        return self.from_rows([row])[0]

    def _compile(
        self, start: int, converters: Sequence[Converter]
    ) -> Callable[..., list[dict[str, Any]]]:
        """Return the function from rows to documents, generated, since it runs for every value."""
        names = CodeNames()
        # The source is made of the documents' own keys and of numbers, nothing of a request.
        body = f"return [{self._code(names, start, converters)} for r in rows]"
        return compile_function("render", ["rows"], [body], names)

    def _code(self, names: CodeNames, start: int, converters: Sequence[Converter]) -> str:
        """Return the expression for the document of a row `r`; its values go into `names`."""
        parts, at = [], start
        for key, source in self.keys.items():
            if isinstance(source, Document):
                code = source._code(names, at, converters)  # noqa: SLF001 - another document's
                at += len(source.columns)
            elif isinstance(source, Nested):
                code = "[]"
            else:
                convert = converters[at] if at < len(converters) else None
                formats = [convert] if convert else []
                if isinstance(source, Formatted):
                    formats.append(source.format)
                elif isinstance(source.type, JSONText):
                    formats.append(orjson.Fragment)
                code = f"r[{at}]"
                for each in formats:
                    code = f"{names(each)}({code})"
                at += 1
            parts.append(f"{key!r}: {code}")
        return "{" + ", ".join(parts) + "}"

    def only(self, *keys: str, **other: "Column | Formatted | Nested | Document") -> "Document":
        """Return a document of these keys, some of them with another source."""
        return Document({key: other.get(key, self.keys[key]) for key in keys})

    def searchable(self) -> "dict[str, Column | Formatted]":
        """Return the columns by their keys, those of embedded documents included."""
        found: dict[str, Column | Formatted] = {}
        for key, source in self.keys.items():
            if isinstance(source, Document):
                found |= source.searchable()
            elif not isinstance(source, Nested):
                found[key] = source
        return found


@dataclass(frozen=True, eq=False)
class Representation:
    """A resource's document by itself, and as an entry of a list."""

    item: Document
    entry: Document


@dataclass(frozen=True, eq=False)
class Resource:
    """All that REST needs to read one kind of item."""

    name: str
    """The plural, as in paths, rules and lists."""
    id: str
    """The key of its id."""
    collection: Collection
    dialects: Mapping[str, Representation]
    searchable: Mapping[str, Column | Formatted]
    """The columns of a search's keys; all keys are looked for in `open_documents` as well."""
    open_documents: Columns
    """The columns with documents of free keys."""
    search: Callable[[str], Where]
    """Returns the condition of a free text."""
    time: Column | None = None
    """The column that `time_before` and `time_after` compare, in epoch seconds."""
    null_as_empty: frozenset[str] = frozenset()
    """The keys of which a search finds null by an empty string, and the other way round."""
    projected: frozenset[str] = frozenset()
    """The keys of open documents whose texts the columns hold, too, and are looked for there."""
    members: Mapping[str, Representation] | None = None
    """As `dialects`, for callers who see less: neither admin nor service."""
    members_documents: Columns | None = None
    """As `open_documents`, for the same."""
    credentials: Column | None = None
    """The column of a document that only some are shown, and so only they find things by."""
    action_columns: Mapping[str, Column | Formatted] | None = None
    """The columns of a search's keys in the actions that the item contains."""
    filled: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By dialect, the keys that it shows as null in an action without."""

    @property
    def composite(self) -> frozenset[str]:
        """The keys that hold documents, and so equal no value of a search."""
        keys = self.dialects["documented"].entry.keys
        return frozenset(key for key, one in keys.items() if isinstance(one, (Nested, Document)))


def omit_if_null(text: str | None) -> Any:
    """Return the parsed JSON text, or `OMITTED` for null."""
    return OMITTED if text is None else orjson.loads(text)

"""The searches of REST v2, compiled into conditions on columns and open documents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from gateway.catalogue import json_values
from gateway.catalogue.checks import integer
from gateway.catalogue.column_types import JSONText
from gateway.catalogue.tables import INT64
from gateway.errors import BadInput, shown
from gateway.query.filters import (
    EXISTS,
    All,
    AnyOf,
    Condition,
    DocumentCondition,
    Not,
    Where,
)
from gateway.resolvers import actions, jobs
from gateway.resolvers.collection import Column
from gateway.rest_compat.representations import Formatted, Resource

KEYS = ("match", "match_not", "time_before", "time_after")
MAX_COMPARISONS = 50

_NOTHING = AnyOf(())


@dataclass(frozen=True)
class Sight:
    """The extent of what a caller is shown, and so may search for."""

    all_documents: bool
    """True if they see documents whole, as administrators and services do."""
    credentials_of: str | None
    """The trustor whose credentials they see; None for those of all."""
    dialect: str


def search_condition(resource: Resource, search: Any, sight: Sight) -> Where | None:
    """Return the condition of a search by somebody who sees so much; None for an empty one.

    Raises BadInput naming the key or value that is malformed.
    """
    if not search:
        return None
    if not isinstance(search, dict):
        raise BadInput(f"the search must be an object, not {shown(search)}", field="search")
    for key in search:
        if key not in KEYS:
            words = ", ".join(f"'{word}'" for word in KEYS)
            raise BadInput(f"the search has the key {shown(key)}, which is not one of {words}")
    return All(tuple(_Search(resource, sight).conditions(search)))


class _Search:
    """One search of one resource; its comparisons are counted, since they cost the database."""

    def __init__(self, resource: Resource, sight: Sight) -> None:
        self.resource = resource
        self.documents = resource.open_documents
        if resource.members_documents is not None and not sight.all_documents:
            self.documents = resource.members_documents
        self.sight = sight
        self.columns = _searched_columns(resource, sight.dialect)
        self.left = MAX_COMPARISONS

    def conditions(self, search: dict[str, Any]) -> Iterator[Where]:
        """Yield the conditions that must all hold. Raises BadInput."""
        for entry in self.entries("match", search.get("match", [])):
            yield self.entry(entry)
        for entry in self.entries("match_not", search.get("match_not", [])):
            if entry:
                yield Not(self.entry(entry))
        for key, operator in (("time_before", "lt"), ("time_after", "gt")):
            if key in search:
                if self.resource.time is None:
                    raise BadInput(f"'{key}': {self.resource.name} have no time", field=key)
                yield Condition(self.resource.time, operator, integer(key, search[key]))

    def entries(self, key: str, entries: object) -> list[dict[str, Any]]:
        """Return a list of match entries. Raises BadInput for anything else, or too many."""
        if not isinstance(entries, list):
            raise BadInput(f"'{key}' must be an array, not {shown(entries)}", field=key)
        for entry in entries:
            if not isinstance(entry, dict):
                raise BadInput(f"'{key}' must hold objects, not {shown(entry)}", field=key)
            self.left -= len(entry)
        if self.left < 0:
            raise BadInput(f"'{key}': a search compares {MAX_COMPARISONS} keys at most", field=key)
        return entries

    def entry(self, entry: dict[str, Any]) -> Where:
        """Return the condition that every key of an entry has its value. Raises BadInput."""
        return All(
            tuple(
                self.free_text(value) if key == "_all" else self.key_equals(key, value)
                for key, value in entry.items()
            )
        )

    def free_text(self, text: object) -> Where:
        """Return the condition of a free text, or of the match list that a JSON text holds.

        Raises BadInput for anything but a text.
        """
        if not isinstance(text, str):
            raise BadInput(f"'_all' must be a string, not {shown(text)}", field="_all")
        try:
            listed = json_values.parse(text)
        except BadInput:
            listed = None
        if isinstance(listed, list):
            return All(tuple(self.entry(entry) for entry in self.entries("_all", listed)))
        return self.resource.search(text) if text.strip() else All(())

    def key_equals(self, key: str, value: object) -> Where:
        """Return the condition that a key has this value, at any depth; null: or is absent."""
        if isinstance(value, (list, dict)) or key in self.resource.composite:
            return _NOTHING
        held = AnyOf(tuple(self.places(key, value)))
        if value is not None or key in self.columns:
            return held
        return AnyOf((held, Not(AnyOf(tuple(self.places(key, EXISTS))))))

    def places(self, key: str, value: Any) -> Iterator[Where]:
        """Yield the conditions that the key has this value in a column, a document or an action."""
        resource = self.resource
        if (source := self.columns.get(key)) is not None:
            yield _equals(source, value, empty_is_null=key in resource.null_as_empty)
            is_text = isinstance(value, str) and value != ""
            if _is_indexed(_column(source)) or (is_text and key in resource.projected):
                # Looked for nowhere else: an index answers this, and no search of documents.
                return
        for document in self.documents:
            yield DocumentCondition(document, (key,), value, anywhere=True)
        if resource.credentials is not None:
            yield self.in_credentials(resource.credentials, key, value)
        if resource.action_columns is None:
            return
        if value is None and key in resource.filled.get(self.sight.dialect, ()):
            yield jobs.with_action(Not(self.in_action(None, key, EXISTS)))
        else:
            yield jobs.with_action(self.in_action(resource.action_columns.get(key), key, value))

    def in_credentials(self, credentials: Column, key: str, value: Any) -> Where:
        """Return the condition that credentials, if they are shown, have this value."""
        shown: tuple[Where, ...] = (Not(Condition(credentials, "eq", None)),)
        if self.sight.credentials_of is not None:
            own = self.sight.credentials_of
            shown += (DocumentCondition(credentials, ("trustor_user_id",), own),)
        if key == "user_credentials" and value is EXISTS:
            return All(shown)
        return All((*shown, DocumentCondition(credentials, (key,), value, anywhere=True)))

    @staticmethod
    def in_action(source: Column | Formatted | None, key: str, value: Any) -> Where:
        """Return the condition that an action has this value in its column or its document."""
        if source is not None and value is EXISTS:
            return All(())
        held = DocumentCondition(actions.COLUMNS.freezer_action, (key,), value, anywhere=True)
        return held if source is None else AnyOf((_equals(source, value), held))


@cache
def _searched_columns(resource: Resource, dialect: str) -> Mapping[str, Column | Formatted]:
    """Return the columns of the keys that documents show in this dialect."""
    both = resource.dialects[dialect]
    shown = both.item.searchable().keys() | both.entry.searchable().keys() | resource.projected
    return {key: column for key, column in resource.searchable.items() if key in shown}


def _column(source: Column | Formatted) -> Column:
    return source.column if isinstance(source, Formatted) else source


@cache
def _is_indexed(column: Column) -> bool:
    """Return True for a column that a primary key or an index finds rows of a project by."""
    table: Any = column.table
    keys = (table.primary_key, *table.indexes)
    return any([own.key for own in key.columns][:2] == ["project_id", column.key] for key in keys)


def _equals(source: Column | Formatted, value: Any, *, empty_is_null: bool = False) -> Where:
    """Return the condition that a column shows a value of the same JSON type."""
    column = _column(source)
    is_json = isinstance(column.type, JSONText)
    null = source.format(None) if isinstance(source, Formatted) and not is_json else None
    if empty_is_null and value in {None, ""}:
        return AnyOf((Condition(column, "eq", None), Condition(column, "eq", "")))
    if value is None:
        return Condition(column, "eq", None) if null is None else _NOTHING
    kind = None if is_json else column.type.python_type
    if isinstance(value, float) and kind is int and value.is_integer() and abs(value) < INT64:
        value = int(value)
    # By the exact type: true is not a number, and a number not a text.
    if type(value) is not kind:
        return _NOTHING
    equal = Condition(column, "eq", value)
    return AnyOf((equal, Condition(column, "eq", None))) if value == null else equal

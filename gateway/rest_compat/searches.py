"""The searches of REST v2, compiled into conditions on columns and open documents."""

from collections.abc import Iterator
from typing import Any

from gateway.catalogue import json_values
from gateway.catalogue.checks import integer
from gateway.catalogue.tables import INT64, JSONText
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
from gateway.rest_compat.representations import Resource

KEYS = ("match", "match_not", "time_before", "time_after")
MAX_COMPARISONS = 50

_NOTHING = AnyOf(())


def search_condition(resource: Resource, search: Any) -> Where | None:
    """Return the condition of a search; None for an empty one.

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
    return All(tuple(_Search(resource).conditions(search)))


class _Search:
    """One search of one resource; its comparisons are counted, since they cost the database."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
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
        if key in self.resource.searchable:
            empty_is_null = key in self.resource.null_as_empty
            return _equals(self.resource.searchable[key], value, empty_is_null=empty_is_null)
        held = AnyOf(tuple(self.in_documents(key, value)))
        if value is not None:
            return held
        return AnyOf((held, Not(AnyOf(tuple(self.in_documents(key, EXISTS))))))

    def in_documents(self, key: str, value: Any) -> Iterator[Where]:
        """Yield the conditions that the key has this value in an open document or an action."""
        for document in self.resource.open_documents:
            yield DocumentCondition(document, (key,), value, anywhere=True)
        if self.resource.action_columns is None:
            return
        if (column := self.resource.action_columns.get(key)) is not None:
            yield jobs.with_action(All(()) if value is EXISTS else _equals(column, value))
        else:
            document = actions.COLUMNS.freezer_action
            yield jobs.with_action(DocumentCondition(document, (key,), value, anywhere=True))


def _equals(column: Column, value: Any, *, empty_is_null: bool = False) -> Where:
    """Return the condition that a column has a value of the same JSON type."""
    if value is None or (empty_is_null and value == ""):
        return Condition(column, "eq", None)
    kind = None if isinstance(column.type, JSONText) else column.type.python_type
    if isinstance(value, float) and kind is int and value.is_integer() and abs(value) < INT64:
        value = int(value)
    # By the exact type: true is not a number, and a number not a text.
    return Condition(column, "eq", value) if type(value) is kind else _NOTHING

"""Objects that are worked out from columns of a row, off the database and off the event loop."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gateway.context import ItemKey
from gateway.db.rows import Row
from gateway.errors import Unprocessable
from gateway.schema.execution.arguments import Arguments
from gateway.schema.execution.failures import Execution, FieldFailure, OutputField
from gateway.schema.views import DerivedField

SECONDS = 1.0
"""The time that one selection may take for all rows of a page."""


@dataclass(frozen=True, eq=False)
class DerivedPart:
    """A field of such an object: an attribute, or a method of the field's arguments."""

    field: OutputField
    name: str
    arguments: Arguments | None
    """None for an attribute."""
    constant: str | None
    """The type's name where it is asked for."""
    parts: "Sequence[DerivedPart]"
    """The fields of its own objects; none for a plain value."""


@dataclass(eq=False)
class DerivedPlan:
    """A selection on an object of each row, or null."""

    spec: DerivedField
    parts: Sequence[DerivedPart]

    async def load(
        self, execution: Execution, rows: Sequence[Row], index: Mapping[str, int], key: str
    ) -> Mapping[ItemKey, Any]:
        """Return the object of each row, by the row's project and id; failures are in it."""
        given = {
            part.name: execution.attempt_call(part.arguments.of, execution)
            for part in self.parts
            if part.arguments is not None
        }
        if any(part.name in self.spec.slow for part in self.parts):
            return await asyncio.to_thread(self._built, execution, rows, index, key, given)
        return self._built(execution, rows, index, key, given)

    def _built(
        self,
        execution: Execution,
        rows: Sequence[Row],
        index: Mapping[str, int],
        key: str,
        given: Mapping[str, Any],
    ) -> Mapping[ItemKey, Any]:
        places = {name: index[name] for name in self.spec.reads}
        project, own = index["project_id"], index[key]
        ends = time.monotonic() + SECONDS
        found: dict[ItemKey, Any] = {}
        for row in rows:
            if time.monotonic() > ends:
                message = "working this out for the whole page takes too long: ask for less"
                found[row[project], row[own]] = execution.fail(Unprocessable(message))
                continue
            values = {name: row[place] for name, place in places.items()}
            source = execution.attempt_call(self.spec.derive, values)
            found[row[project], row[own]] = (
                source
                if source is None or isinstance(source, FieldFailure)
                else {part.field.key: _value(execution, source, part, given) for part in self.parts}
            )
        return found


def _value(execution: Execution, source: Any, part: DerivedPart, given: Mapping[str, Any]) -> Any:
    if part.constant is not None:
        return part.constant
    if part.arguments is None:
        return _shown(getattr(source, part.name), part)
    arguments = given[part.name]
    if isinstance(arguments, FieldFailure):
        return arguments
    return execution.attempt_call(lambda: _shown(getattr(source, part.name)(**arguments), part))


def _shown(value: Any, part: DerivedPart) -> Any:
    """Return a value as the response has it: of an object, the fields selected."""
    if isinstance(value, list):
        return [_shown(one, part) for one in value]
    if part.parts:
        return {
            inner.field.key: _shown(getattr(value, inner.name), inner)
            if inner.constant is None
            else inner.constant
            for inner in part.parts
        }
    return value.name if isinstance(value, Enum) else value

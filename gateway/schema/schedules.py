"""Schedules in GraphQL: a view and an input, both made of the catalogue's keys."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry
from strawberry import Maybe

from gateway.catalogue.schedules import KEYS, ScheduleKey
from gateway.resolvers import job_columns, jobs
from gateway.schema import enums  # noqa: F401 - declares the vocabularies as enums
from gateway.schema.fields import column, fragment
from gateway.schema.filter_inputs import where_input
from gateway.schema.mutations import given

INPUT_KEYS = {key.field: key for key in KEYS if key.is_input}


def _declare(name: str, types: dict[str, Any], fields: dict[str, Any], **others: Any) -> type:
    """Return a class of fields with these types, as if it were written down in this module."""
    return type(name, (), {"__annotations__": types, "__module__": __name__, **fields, **others})


def _column(key: ScheduleKey) -> Any:
    shown = job_columns.CURRENT_PID if key.key == "current_pid" else jobs.COLUMNS[key.key]
    # Status, result and event are filtered by in the job itself.
    is_filtered = key.type in {str, int, datetime}
    return column(shown, key.description, sort=key.type is datetime, is_filtered=is_filtered)


def _document(schedule: Any) -> dict[str, Any]:
    """Return the part of a v2 schedule that an input gives."""
    return {
        INPUT_KEYS[name].key: value.value if isinstance(value, Enum) else value
        for name, value in given(schedule, *INPUT_KEYS, clearable=INPUT_KEYS).items()
    }


JobSchedule: Any = fragment(
    "The schedule of a job, and the state of its runs; null where the schedule has no such key."
)(
    _declare(
        "JobSchedule",
        {key.field: key.type | None for key in KEYS},
        {key.field: _column(key) for key in KEYS},
    )
)
JobScheduleWhere = where_input(JobSchedule)

ScheduleInput: Any = strawberry.input(
    _declare(
        "ScheduleInput",
        {name: Maybe[key.type | None] for name, key in INPUT_KEYS.items()},  # type: ignore[misc,name-defined]
        {
            name: strawberry.field(description=f"{key.description} In an update, null removes it.")
            for name, key in INPUT_KEYS.items()
        },
        document=_document,
    ),
    description="A schedule to write. In an update, null removes a key.",
)

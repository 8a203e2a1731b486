"""The keys of a schedule: in a v2 document, in a job's columns and in GraphQL."""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.catalogue import triggers
from gateway.catalogue.checks import Check, check_keys, integer, matching, one_of, string
from gateway.catalogue.triggers import MONTHS, WEEKDAYS, Trigger, cron
from gateway.catalogue.vocabularies import (
    CONTINUOUS,
    INTERVAL_UNITS,
    JobEvent,
    JobResult,
    JobStatus,
    Vocabulary,
)

_INTERVAL = matching(
    re.compile(rf"{CONTINUOUS}|\d+ +(?:{'|'.join(INTERVAL_UNITS)})", re.ASCII),
    f"an interval ('{CONTINUOUS}' or 'N {'|'.join(INTERVAL_UNITS)}')",
)
_DATE = matching(
    re.compile(
        r"-?(?:[1-9]\d*)?\d{4}-(?:1[0-2]|0[1-9])-(?:3[01]|0[1-9]|[12]\d)"
        r"T(?:2[0-3]|[01]\d):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:2[0-3]|[01]\d):[0-5]\d)?",
        re.ASCII,
    ),
    "an ISO 8601 date and time (YYYY-MM-DDThh:mm:ss)",
)
_YEAR = matching(re.compile(r"\d{4}", re.ASCII), "a year of four digits")


@dataclass(frozen=True)
class ScheduleKey:
    """A key of a schedule. The column of a job that holds its value has the key's name."""

    key: str
    """The key in the v2 document."""
    field: str
    """The name of the field in GraphQL, in snake case."""
    check: Check
    """The check of the value's form in the v2 document."""
    description: str
    type: type = str
    """The type in GraphQL: a text, a vocabulary, an integer, or a time for epoch seconds."""
    is_input: bool = True
    """True if GraphQL's inputs have the field; the others are the scheduler's to report."""
    trigger: Trigger | None = None
    """Returns the value that a scheduler can read, of one in this form; None: it reads any."""


def _text(field: str, description: str, trigger: Trigger, check: Check = string) -> ScheduleKey:
    return ScheduleKey(f"schedule_{field}", field, check, description, trigger=trigger)


def _word(
    key: str, vocabulary: type[Vocabulary], description: str, trigger: Trigger | None = None
) -> ScheduleKey:
    check = one_of(["", *vocabulary])
    return ScheduleKey(key, key, check, description, vocabulary, trigger=trigger)


def _reported(key: str, description: str, type_: type) -> ScheduleKey:
    return ScheduleKey(key, key, integer, description, type_, is_input=False)


KEYS = (
    _text(
        "interval",
        "`continuous`, or a number of weeks, days, hours, minutes or seconds.",
        triggers.interval,
        _INTERVAL,
    ),
    _text(
        "date",
        "The date of a single run, ISO 8601; without an offset, in the host's time zone.",
        triggers.local_time,
        _DATE,
    ),
    _text(
        "start_date",
        "The date of the first run, ISO 8601; without an offset, in UTC.",
        triggers.instant,
        _DATE,
    ),
    _text(
        "end_date",
        "The date after which there are no more runs, ISO 8601; without an offset, in UTC.",
        triggers.instant,
        _DATE,
    ),
    _text("year", "The year of the runs, of four digits from 1970.", cron(1970, 9999), _YEAR),
    _text("month", "The months of the runs, cron-like.", cron(1, 12, MONTHS)),
    _text("day", "The days of the month, cron-like.", cron(1, 31, day=True)),
    _text("week", "The weeks of the year, cron-like.", cron(1, 53)),
    _text("day_of_week", "The days of the week, cron-like; 0 is Monday.", cron(0, 6, WEEKDAYS)),
    _text("hour", "The hours of the runs, cron-like.", cron(0, 23)),
    _text("minute", "The minutes of the runs, cron-like.", cron(0, 59)),
    _text("second", "The seconds of the runs, cron-like.", cron(0, 59)),
    _word("status", JobStatus, "The state of the job."),
    _word("result", JobResult, "The result of the last run."),
    _word(
        "event", JobEvent, "The request that the scheduler has not carried out yet.", triggers.event
    ),
    _reported("time_created", "The time at which the job was created.", datetime),
    _reported("time_started", "The time at which the last run began.", datetime),
    _reported("time_ended", "The time at which the last run ended.", datetime),
    _reported("current_pid", "The process that runs the job, on the client.", int),
)
"""Every key that a schedule may have, in the order of the columns' projection."""

CHECKS: Mapping[str, Check] = {key.key: key.check for key in KEYS}
"""The check of the form of each key's value in a v2 document."""

_TRIGGERS = {key.key: key.trigger for key in KEYS if key.trigger}

_CRON = frozenset(
    f"schedule_{name}"
    for name in ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
)

EMPTY = frozenset({"", -1})
"""The values that v2 writes for none, which are null in columns: -1 is a time yet to come."""


def readable(schedule: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schedule with the values by which freezer-scheduler can run it.

    Values of `known`, the schedule so far, stay as they are, as long as the scheduler reads no more
    of them: what isn't changed is never refused. Raises BadInput for any other key or value that
    the scheduler can't read.
    """
    changed = {key: value for key, value in schedule.items() if not is_known(key, value, known)}
    check_keys(changed, CHECKS, closed="job_schedule")
    read_before: AbstractSet[str] = _read_keys(known) if known else frozenset()
    read = dict(schedule)
    for key in _read_keys(schedule) & schedule.keys():
        if key not in changed and key in read_before:
            continue
        if (stored := _TRIGGERS[key](key, schedule[key])) is None:
            del read[key]
        else:
            read[key] = stored
    return read


def _read_keys(schedule: Mapping[str, Any]) -> AbstractSet[str]:
    """Return the keys that freezer-scheduler reads of a schedule.

    A date makes it ignore an interval, and both the cron-like keys: published examples have keys
    beside a date that no trigger could be made of.
    """
    if schedule.get("schedule_date"):
        return _TRIGGERS.keys() - _CRON - {"schedule_interval"}
    if schedule.get("schedule_interval"):
        return _TRIGGERS.keys() - _CRON
    return frozenset(_TRIGGERS)


def is_known(key: str, value: object, known: Mapping[str, Any]) -> bool:
    """Return True if a document has had this value of this key so far."""
    # JSON's true is no 1.
    return key in known and known[key] == value and type(known[key]) is type(value)

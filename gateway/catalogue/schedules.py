"""The keys of a schedule: in a v2 document, in a job's columns and in GraphQL."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.catalogue.checks import Check, integer, matching, one_of, string
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
    """The check of the value in the v2 document."""
    description: str
    type: type = str
    """The type in GraphQL: a text, a vocabulary, an integer, or a time for epoch seconds."""
    is_input: bool = True
    """True if GraphQL's inputs have the field; the others are the scheduler's to report."""


def _text(field: str, description: str, check: Check = string) -> ScheduleKey:
    return ScheduleKey(f"schedule_{field}", field, check, description)


def _word(key: str, vocabulary: type[Vocabulary], description: str) -> ScheduleKey:
    return ScheduleKey(key, key, one_of(["", *vocabulary]), description, vocabulary)


def _reported(key: str, description: str, type_: type) -> ScheduleKey:
    return ScheduleKey(key, key, integer, description, type_, is_input=False)


KEYS = (
    _text(
        "interval",
        "`continuous`, or a number of weeks, days, hours, minutes or seconds.",
        _INTERVAL,
    ),
    _text("date", "The date of a single run, ISO 8601.", _DATE),
    _text("start_date", "The date of the first run, ISO 8601.", _DATE),
    _text("end_date", "The date after which there are no more runs, ISO 8601.", _DATE),
    _text("year", "The year of the runs, of four digits.", _YEAR),
    _text("month", "The months of the runs, cron-like."),
    _text("day", "The days of the month, cron-like."),
    _text("week", "The weeks of the year, cron-like."),
    _text("day_of_week", "The days of the week, cron-like."),
    _text("hour", "The hours of the runs, cron-like."),
    _text("minute", "The minutes of the runs, cron-like."),
    _text("second", "The seconds of the runs, cron-like."),
    _word("status", JobStatus, "The state of the job."),
    _word("result", JobResult, "The result of the last run."),
    _word("event", JobEvent, "The request that the scheduler has not carried out yet."),
    _reported("time_created", "The time at which the job was created.", datetime),
    _reported("time_started", "The time at which the last run began.", datetime),
    _reported("time_ended", "The time at which the last run ended.", datetime),
    _reported("current_pid", "The process that runs the job, on the client.", int),
)
"""Every key that a schedule may have, in the order of the columns' projection."""

CHECKS: Mapping[str, Check] = {key.key: key.check for key in KEYS}
"""The check of each key of a v2 document."""

EMPTY = frozenset({"", -1})
"""The values that v2 writes for none, which are null in columns: -1 is a time yet to come."""

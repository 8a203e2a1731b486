"""Schedules in words, and warnings of what they surely do that one may not expect."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from gateway.catalogue import schedules
from gateway.catalogue.timetables import CRON, GRACE, KEYS, UNREADABLE, Timetable, timetable
from gateway.catalogue.triggers import MONTHS, WEEKDAYS
from gateway.catalogue.vocabularies import ScheduleTrigger, ScheduleWarningCode
from gateway.errors import BadInput

_LEAST = {"month": "1", "day": "1", "hour": "0", "minute": "0", "second": "0"}
"""The values of fields below the most significant one that is given; of others, any."""
_NUMBERS = re.compile(r"\b[0-9]+\b")
_ZONE_UNKNOWN = "the host's time zone, which isn't known (UTC is assumed)"


class Warned(NamedTuple):
    """A warning, and what it is about."""

    code: ScheduleWarningCode
    message: str


def text(plan: Timetable, zone: str | None) -> str:
    """Return a schedule in a sentence; `zone` is the host's time zone, None if it isn't known."""
    where = f"in the time zone {zone}" if zone else f"in {_ZONE_UNKNOWN}"
    match plan.trigger:
        case ScheduleTrigger.ONCE:
            return f"Once, at {plan.date}{f' {where}' if plan.depends_on_zone else ''}."
        case ScheduleTrigger.AT_ONCE:
            return "Once, two seconds after the scheduler arms the job."
        case ScheduleTrigger.INTERVAL:
            return f"{_interval(plan)}{_until(plan)}."
    start = f", from {_moment(plan.start_moment)} on" if plan.start_moment else ""
    return f"{_cron(plan.cron)}, {where}{start}{_until(plan)}."


def warnings(
    columns: Mapping[str, Any], document: Mapping[str, Any], zone: str | None, at: datetime
) -> list[Warned]:
    """Return what to be warned of in a job's schedule, its columns and the whole, at a moment.

    `zone` is the host's time zone, None if it isn't known.
    """
    try:
        schedules.readable(document, {})
        plan = timetable(columns, zone)
        return [Warned(code, code.description) for code in _codes(plan, zone, at)]
    except UNREADABLE as error:
        code = ScheduleWarningCode.UNREADABLE
        reason = f": {error.message}" if isinstance(error, BadInput) else ""
        return [Warned(code, f"{code.description[:-1]}{reason}.")]


def _codes(plan: Timetable, zone: str | None, at: datetime) -> Iterator[ScheduleWarningCode]:
    code = ScheduleWarningCode
    if plan.is_impossible:
        yield code.NEVER_RUNS
    if plan.trigger is ScheduleTrigger.INTERVAL and not plan.is_continuous:
        yield code.PHASE_RESETS
    is_started = plan.start_moment is not None and plan.start_moment <= at
    if plan.trigger is ScheduleTrigger.AT_ONCE or (
        plan.trigger is ScheduleTrigger.INTERVAL and is_started
    ):
        yield code.RUNS_AT_RESTART
    if plan.depends_on_zone and zone is None:
        yield code.TIME_ZONE_UNKNOWN
    late, twice = plan.clock_changes(at)
    if late:
        yield code.HOUR_LEFT_OUT
    if twice:
        yield code.HOUR_REPEATED
    if (end := _end(plan, at)) is not None:
        yield end


def _end(plan: Timetable, at: datetime) -> ScheduleWarningCode | None:
    """Return what is to be said of a schedule's only date, or its end."""
    if plan.trigger is ScheduleTrigger.ONCE:
        date = plan.first(at)
        is_over = date is not None and date + timedelta(seconds=GRACE) < at
        return ScheduleWarningCode.DATE_PASSED if is_over else None
    if plan.end and plan.end_moment is None:
        return ScheduleWarningCode.END_IGNORED
    if plan.end_moment is not None and not plan.is_impossible and plan.first(at) is None:
        return ScheduleWarningCode.ENDED
    return None


def _interval(plan: Timetable) -> str:
    if plan.is_continuous:
        again = "Again as soon as the run before has ended"
        return f"{again}, from {_moment(plan.start_moment)} on" if plan.start_moment else again
    number, unit = (plan.interval or "").split()
    every = f"Every {unit[:-1]}" if int(number) == 1 else f"Every {int(number)} {unit}"
    if plan.start_moment is None:
        return f"{every}, the first time one interval after the scheduler arms the job"
    return (
        f"{every} from {_moment(plan.start_moment)} on; armed after that, the first time two "
        "seconds later"
    )


def _until(plan: Timetable) -> str:
    return f", until {_moment(plan.end_moment)}" if plan.end_moment else ""


def _cron(values: tuple[str | None, ...]) -> str:
    """Return the moments that cron-like fields name, beginning with the time of day."""
    last = max(place for place, value in enumerate(values) if value)
    fields = {
        name: value or ("*" if place < last else _LEAST.get(name, "*"))
        for place, (name, value) in enumerate(zip(CRON, values, strict=True))
    }
    parts = [_time(fields["hour"], fields["minute"], fields["second"])]
    if fields["day_of_week"] != "*":
        days = _named(fields["day_of_week"], WEEKDAYS, 0)
        parts.append(f"on days {days} of the week" if "*" in days else f"on {days}")
    if fields["day"] != "*":
        numbers = _NUMBERS.search(fields["day"])
        parts.append(f"on {'day' if numbers else 'the'} {fields['day']} of the month")
    if fields["week"] != "*":
        parts.append(f"in week {fields['week']} of the year")
    if fields["month"] != "*":
        months = _named(fields["month"], MONTHS, 1)
        parts.append(f"in months {months}" if "*" in months else f"in {months}")
    if fields["year"] != "*":
        parts.append(f"in {fields['year']}")
    return " ".join(parts)


def _time(hour: str, minute: str, second: str) -> str:
    if hour.isdecimal() and minute.isdecimal() and second.isdecimal():
        return f"At {int(hour):02}:{int(minute):02}:{int(second):02}"
    parts = [
        f"every {name}" if value == "*" else f"{name} {value}"
        for name, value in (("second", second), ("minute", minute), ("hour", hour))
        if (name, value) != ("second", "0")
    ]
    return f"At {' of '.join(parts)}"


def _named(value: str, names: tuple[str, ...], first: int) -> str:
    """Return a list of numbers and ranges with names for its numbers, but not for its steps."""

    def name(match: re.Match[str]) -> str:
        is_step = value[: match.start()].endswith("/")
        number = int(match[0]) - first
        return match[0] if is_step or not 0 <= number < len(names) else names[number]

    return _NUMBERS.sub(name, value)


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def columns_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a timetable, of values by the names of their fields."""
    return {key: values[key.removeprefix("schedule_")] for key in KEYS}

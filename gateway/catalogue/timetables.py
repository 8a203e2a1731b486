"""When freezer-scheduler fires a job: APScheduler's own triggers, with the scheduler's arguments.

As `SchedulerJob.get_schedule_args` of freezer 19 makes them: a date goes before an interval, and
an interval before cron-like fields. A trigger is made anew whenever a job is armed; fields that
are not given below the most significant one are their least, and days of the week begin on Monday.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from gateway.catalogue.vocabularies import CONTINUOUS, ScheduleTrigger
from gateway.errors import BadInput, shown

CRON = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
"""The cron-like fields, the most significant first."""
KEYS = (
    *("schedule_interval", "schedule_date", "schedule_start_date", "schedule_end_date"),
    *(f"schedule_{name}" for name in CRON),
)
"""The columns of a job that its trigger is made of."""

GRACE = 3600
"""Seconds after which the scheduler drops a run that couldn't begin: its `misfire_grace_time`."""
UNREADABLE = (
    *(ValueError, OverflowError, OSError, KeyError, TypeError, AttributeError),
    BadInput,
)
"""The errors of a timetable of a schedule that a scheduler would die of, as older ones may be."""
SOON = timedelta(seconds=2)
"""The time from arming to a run that is due at once."""

_STEP = timedelta(hours=12)
"""The time after a run from which on the next one is looked for that a gap is measured to."""
_YEAR = (datetime(2028, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC))
"""A year in which gaps are measured: one with all dates."""

_AROUND = timedelta(hours=3)
"""The time before and after a change of clocks in which local times are left out or repeated."""
_SHOWN = 12
"""How many runs around a change are looked at: of one that runs all the time, an hour is none."""

# Every kind of year, by its first weekday and its length and that of the year before, is in any 28
# years in a row that have no leap year left out.
_KINDS_OF_YEARS = (datetime(2001, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC))


@lru_cache(maxsize=256)
def zone(name: str, field: str | None = None) -> ZoneInfo:
    """Return the time zone of a name as `Europe/Berlin`.

    Raises BadInput, about this field, for no such name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput(
            f"{shown(name)} is no time zone, such as 'UTC' or 'Europe/Berlin'", field=field
        ) from None


@dataclass(frozen=True)
class Timetable:
    """The trigger of a schedule on a host of a time zone. Moments are aware, with microseconds."""

    interval: str | None
    date: str | None
    start: str | None
    end: str | None
    cron: tuple[str | None, ...]
    """The values of `CRON`."""
    time_zone: str

    @cached_property
    def trigger(self) -> ScheduleTrigger:
        """The kind of the trigger."""
        if self.date:
            return ScheduleTrigger.ONCE
        if self.interval:
            return ScheduleTrigger.INTERVAL
        return ScheduleTrigger.CRON if any(self.cron) else ScheduleTrigger.AT_ONCE

    @property
    def is_continuous(self) -> bool:
        """True if a run begins as soon as the one before has ended."""
        return self.trigger is ScheduleTrigger.INTERVAL and self.interval == CONTINUOUS

    @cached_property
    def depends_on_zone(self) -> bool:
        """True if the host's time zone decides when it fires."""
        if self.trigger is ScheduleTrigger.ONCE:
            return _moment(self.date or "").tzinfo is None
        return self.trigger is ScheduleTrigger.CRON

    @cached_property
    def is_slow(self) -> bool:
        """True if it can take long to find out when it fires: dates that are rare, or never come.

        Such a timetable must not be asked on the event loop.
        """
        _, month, day, week, *_ = self.cron
        return self.trigger is ScheduleTrigger.CRON and bool(week or (month and day))

    @cached_property
    def is_impossible(self) -> bool:
        """True if no year has a date of the cron-like fields."""
        if self.trigger is not ScheduleTrigger.CRON:
            return False
        year, *dates = self.cron[:5]
        return _has_no_date(year, *dates)

    @cached_property
    def length(self) -> timedelta:
        """The interval of a trigger of that kind; a scheduler takes a second for one of none."""
        if self.interval == CONTINUOUS:
            return timedelta(seconds=1)
        number, unit = (self.interval or "").split()
        return timedelta(**{unit: int(number)}) or timedelta(seconds=1)

    @cached_property
    def start_moment(self) -> datetime | None:
        """The start date, where it has a meaning."""
        return _utc(self.start) if self.start else None

    @cached_property
    def end_moment(self) -> datetime | None:
        """The end date. None if there is none, or it is ignored: without a start, or before it."""
        if not (self.start and self.end) or self.trigger is ScheduleTrigger.ONCE:
            return None
        end = _utc(self.end)
        return None if int(_utc(self.start).timestamp()) > int(end.timestamp()) else end

    def first(self, armed: datetime) -> datetime | None:
        """Return when a trigger that is made at this moment fires first, or None: never."""
        if self.trigger is ScheduleTrigger.AT_ONCE:
            return armed + SOON
        if self.trigger is ScheduleTrigger.ONCE:
            date: datetime = DateTrigger(self.date, zone(self.time_zone)).run_date
            return date.astimezone(UTC)
        start = self.start_moment
        if start is not None and int(start.timestamp()) <= int(armed.timestamp()):
            start = armed + SOON
        if self.trigger is ScheduleTrigger.CRON:
            return self._cron_from(armed if start is None else max(start, armed))
        # Of a local time: where clocks change before it, the first run is an hour early or late.
        begin = start or armed.astimezone(zone(self.time_zone)) + self.length
        trigger = IntervalTrigger(
            seconds=self.length.total_seconds(),
            start_date=begin.astimezone(UTC),
            end_date=self.end_moment,
            timezone=UTC,
        )
        fires: datetime | None = trigger.get_next_fire_time(None, armed)
        return fires

    def after(self, fired: datetime, now: datetime) -> datetime | None:
        """Return the next moment after `now` at which a trigger fires that fired at `fired`.

        None: never again. What came due in between is one run, which isn't waited for.
        """
        if self.trigger is ScheduleTrigger.CRON:
            # Of local times, Python's arithmetic would forget which of two equal ones it is.
            return self._cron_from(max(fired, now).astimezone(UTC) + timedelta(microseconds=1))
        if self.trigger is not ScheduleTrigger.INTERVAL:
            return None
        steps = max((now - fired) // self.length, 0) + 1
        following = fired + steps * self.length
        end = self.end_moment
        return None if end is not None and following > end else following

    def later(self, fires: datetime) -> Iterator[datetime]:
        """Yield the moments after this one at which the trigger fires, without an end."""
        while (following := self.after(fires, fires)) is not None:
            yield following
            fires = following

    @cached_property
    def longest_gap(self) -> timedelta | None:
        """The longest time between two runs of a year, at most; None where it isn't known.

        Of runs that are more frequent, it is of some of them. Each begins when it is due.
        """
        if self.trigger is ScheduleTrigger.INTERVAL:
            return None if self.is_continuous else self.length
        begin, end = _YEAR
        fires = self._cron_from(begin) if self.trigger is ScheduleTrigger.CRON else None
        if fires is None or self.cron[0] or self.end_moment is not None:
            return None
        longest = fires - begin
        while fires < end:
            following = self._cron_from(fires + _STEP)
            if following is None:
                return None
            longest = max(longest, following - fires)
            fires = following
        return longest

    def clock_changes(self, since: datetime) -> tuple[bool, bool]:
        """Return if runs of a year are late for an hour that is left out, or twice in one repeated.

        Of a host whose clocks change, and a timetable that names hours.
        """
        late = twice = False
        if self.trigger is not ScheduleTrigger.CRON or self.cron[5] in {None, "*"}:
            return late, twice
        host = zone(self.time_zone)
        for change in _changes_of_clocks(host, since):
            seen: set[datetime] = set()
            at = self._local_cron_from(change - _AROUND)
            while at is not None and at.astimezone(UTC) < change + _AROUND and len(seen) < _SHOWN:
                named, real = (
                    moment.replace(tzinfo=None, fold=0)
                    for moment in (at, at.astimezone(UTC).astimezone(host))
                )
                late |= named != real
                twice |= named in seen
                seen.add(named)
                at = self._local_cron_from(at.astimezone(UTC) + timedelta(microseconds=1))
        return late, twice

    def _cron_from(self, moment: datetime) -> datetime | None:
        fires = self._local_cron_from(moment)
        return None if fires is None else fires.astimezone(UTC)

    def _local_cron_from(self, moment: datetime) -> datetime | None:
        """Return the first moment from this one on that the fields name, in the host's time."""
        if self.is_impossible:
            return None
        fires: datetime | None = self._cron_trigger.get_next_fire_time(None, moment)
        return fires

    @cached_property
    def _cron_trigger(self) -> CronTrigger:
        return CronTrigger(
            **dict(zip(CRON, self.cron, strict=True)),
            end_date=self.end_moment,
            timezone=zone(self.time_zone),
        )


@lru_cache(maxsize=2048)
def _timetable(values: tuple[str | None, ...], time_zone: str) -> Timetable:
    interval, date, start, end, *cron = values
    return Timetable(interval, date, start, end, tuple(cron), time_zone)


def timetable(columns: Mapping[str, Any], time_zone: str | None) -> Timetable:
    """Return the timetable of a job's columns on a host of this time zone; None stands for UTC."""
    return _timetable(tuple(columns[key] or None for key in KEYS), time_zone or "UTC")


@lru_cache(maxsize=2048)
def _has_no_date(
    year: str | None, month: str | None, day: str | None, week: str | None, weekday: str | None
) -> bool:
    """Return True if no date of any year has these fields."""
    if year:
        begin = datetime(int(year), 1, 1, tzinfo=UTC)
        last = datetime(int(year), 12, 31, 23, 59, 59, tzinfo=UTC)
    elif not week and not (month and day):
        return False
    else:
        begin, last = _KINDS_OF_YEARS
    trigger = CronTrigger(
        year, month, day, week, weekday, hour=0, minute=0, second=0, end_date=last, timezone=UTC
    )
    return trigger.get_next_fire_time(None, begin) is None


@lru_cache(maxsize=256)
def _hours_of_change(host: ZoneInfo, year: int) -> tuple[datetime, ...]:
    """Return the hours of a year, in UTC, at whose beginning the clocks of a zone change."""
    begin = datetime(year, 1, 1, tzinfo=UTC)
    changes = []
    for day in range(366):
        midnight = begin + timedelta(days=day)
        if _offset(host, midnight) != _offset(host, midnight + timedelta(days=1)):
            hours = (midnight + timedelta(hours=hour) for hour in range(1, 25))
            before = _offset(host, midnight)
            changes.append(next(hour for hour in hours if _offset(host, hour) != before))
    return tuple(changes)


def _changes_of_clocks(host: ZoneInfo, since: datetime) -> list[datetime]:
    """Return the changes of clocks in the year after a moment."""
    until = since + timedelta(days=366)
    years = (since.year, until.year)
    return [at for year in years for at in _hours_of_change(host, year) if since < at <= until]


def _offset(host: ZoneInfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(host).utcoffset()


def _moment(text: str) -> datetime:
    """Return a date and time as a schedule has it. Raises ValueError."""
    return datetime.fromisoformat(text)


def _utc(text: str) -> datetime:
    """Return a date and time that without an offset is one of UTC. Raises ValueError."""
    moment = _moment(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

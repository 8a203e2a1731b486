"""Timetables fire when APScheduler does, across changes of clocks, ends and impossible dates."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalogue.timetables import CRON, KEYS, Timetable, timetable, zone
from gateway.catalogue.vocabularies import ScheduleTrigger
from gateway.errors import BadInput
from tests.support.cron import CRON_FIELDS, TIME_ZONES

NEW_YEAR = datetime(2027, 1, 1, 12, tzinfo=UTC)


def of(zone: str | None = None, **schedule: str) -> Timetable:
    """Return the timetable of these keys, without their prefix."""
    values = dict.fromkeys(KEYS) | {f"schedule_{key}": value for key, value in schedule.items()}
    return timetable(values, zone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(plan: Timetable, armed: datetime, count: int) -> list[datetime]:
    """Return the first moments at which a trigger fires that is made at one."""
    first = plan.first(armed)
    return [] if first is None else [first, *islice(plan.later(first), count - 1)]


@given(
    fields=CRON_FIELDS,
    name=TIME_ZONES,
    armed=st.datetimes(datetime(2024, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001 - UTC
)
@settings(max_examples=150, deadline=None)
def test_cron_fires_when_apscheduler_does(
    fields: dict[str, str], name: str, armed: datetime
) -> None:
    plan, moment = of(name, **fields), armed.replace(tzinfo=UTC)
    own: list[datetime] = []
    if not plan.is_impossible:
        trigger: Any = CronTrigger(**fields, timezone=ZoneInfo(name))
        at = trigger.get_next_fire_time(None, moment)
        while at is not None and len(own) < 4:
            own.append(at.astimezone(UTC))
            at = trigger.get_next_fire_time(at, at.astimezone(UTC))
    assert fires(plan, moment, 4) == own


def test_an_hour_that_is_left_out_makes_a_run_late() -> None:
    plan = of("Europe/Berlin", hour="2", minute="30")
    assert fires(plan, utc("2027-03-27T00:00:00"), 3) == [
        utc("2027-03-27T01:30:00"),
        utc("2027-03-28T01:30:00"),  # 03:30 by the clock
        utc("2027-03-29T00:30:00"),
    ]
    assert plan.clock_changes(NEW_YEAR) == (True, True)


def test_an_hour_that_is_repeated_has_two_runs() -> None:
    plan = of("Europe/Berlin", hour="2", minute="30")
    assert fires(plan, utc("2027-10-30T12:00:00"), 3) == [
        utc("2027-10-31T00:30:00"),
        utc("2027-10-31T01:30:00"),
        utc("2027-11-01T01:30:00"),
    ]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Europe/Berlin", {"hour": "5"}),
        ("Asia/Tokyo", {"hour": "2", "minute": "30"}),
        ("Europe/Berlin", {"minute": "30"}),
        ("Europe/Berlin", {"hour": "2", "minute": "30", "month": "1"}),
    ],
)
def test_nothing_is_to_be_said_of_other_hours(name: str, fields: dict[str, str]) -> None:
    assert of(name, **fields).clock_changes(NEW_YEAR) == (False, False)


def test_monday_is_day_0() -> None:
    (first,) = fires(of(day_of_week="0"), NEW_YEAR, 1)
    assert (first.weekday(), first.hour) == (0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"month": "2", "day": "30"},
        {"month": "4,6,9,11", "day": "31"},
        {"month": "2-11", "week": "53"},
        {"month": "1", "week": "53", "day_of_week": "mon"},
        {"year": "2027", "month": "2", "day": "29"},
    ],
)
def test_dates_that_no_year_has_are_impossible(fields: dict[str, str]) -> None:
    plan = of("Europe/Berlin", **fields)
    assert plan.is_slow or "year" in fields
    assert plan.is_impossible
    assert fires(plan, NEW_YEAR, 1) == []


@pytest.mark.parametrize(
    ("fields", "first"),
    [
        ({"month": "2", "day": "29"}, "2028-02-29"),
        ({"month": "2", "day": "5th fri"}, "2036-02-29"),
        ({"month": "1", "week": "53", "day_of_week": "fri"}, "2027-01-01"),
        ({"year": "2096", "month": "2", "day": "29"}, "2096-02-29"),
    ],
)
def test_rare_dates_are_possible(fields: dict[str, str], first: str) -> None:
    assert fires(of(**fields), utc("2026-12-31T00:00:00"), 1) == [utc(first)]


def test_an_interval_begins_when_it_is_armed() -> None:
    assert fires(of(interval="2 days"), NEW_YEAR, 2) == [
        NEW_YEAR + timedelta(days=2),
        NEW_YEAR + timedelta(days=4),
    ]


def test_a_first_interval_is_one_of_local_time() -> None:
    plan = of("Europe/Berlin", interval="1 days")
    assert fires(plan, utc("2027-03-27T12:00:00"), 2) == [
        utc("2027-03-28T11:00:00"),
        utc("2027-03-29T11:00:00"),
    ]


def test_a_start_in_the_past_means_two_seconds_after_arming() -> None:
    plan = of(interval="1 hours", start_date="2020-01-01T00:00:00")
    assert fires(plan, NEW_YEAR, 2) == [
        NEW_YEAR + timedelta(seconds=2),
        NEW_YEAR + timedelta(hours=1, seconds=2),
    ]


def test_a_start_in_the_future_is_the_first_run() -> None:
    plan = of(interval="1 weeks", start_date="2027-02-01T00:00:00")
    assert fires(plan, NEW_YEAR, 2) == [utc("2027-02-01"), utc("2027-02-08")]
    cron = of("America/New_York", hour="0", start_date="2027-02-01T00:00:00")
    assert fires(cron, NEW_YEAR, 1) == [utc("2027-02-01T05:00:00")]


def test_nothing_runs_after_the_end() -> None:
    dates = {"start_date": "2027-01-02T00:00:00", "end_date": "2027-01-03T12:00:00"}
    assert fires(of(interval="1 days", **dates), NEW_YEAR, 9) == [
        utc("2027-01-02"),
        utc("2027-01-03"),
    ]
    assert fires(of(hour="1", **dates), NEW_YEAR, 9) == [
        utc("2027-01-02T01:00:00"),
        utc("2027-01-03T01:00:00"),
    ]
    assert fires(of(hour="1", **dates), utc("2028-01-01"), 9) == []


def test_an_end_before_the_start_or_without_one_is_ignored() -> None:
    before = of(interval="1 days", start_date="2027-02-01T00:00:00", end_date="2027-01-20T00:00:00")
    assert len(fires(before, NEW_YEAR, 3)) == 3
    assert len(fires(of(hour="1", end_date="2027-01-02T00:00:00"), NEW_YEAR, 3)) == 3


def test_a_date_fires_once_and_goes_before_all_else() -> None:
    plan = of("Asia/Tokyo", date="2027-02-01T09:00:00", interval="1 days", hour="1")
    assert plan.trigger is ScheduleTrigger.ONCE
    assert fires(plan, NEW_YEAR, 3) == [utc("2027-02-01")]
    assert plan.depends_on_zone
    assert not of(date="2027-02-01T09:00:00+09:00").depends_on_zone


def test_nothing_given_means_two_seconds_after_arming() -> None:
    assert of().trigger is ScheduleTrigger.AT_ONCE
    assert fires(of(), NEW_YEAR, 3) == [NEW_YEAR + timedelta(seconds=2)]


def test_what_came_due_in_between_is_one_run() -> None:
    plan = of(interval="1 hours")
    late = NEW_YEAR + timedelta(hours=5, minutes=30)
    assert plan.after(NEW_YEAR, late) == NEW_YEAR + timedelta(hours=6)


def test_fields_are_those_of_apscheduler() -> None:
    assert CRON == CronTrigger.FIELD_NAMES


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../etc/passwd", "", "\0", "x" * 1000])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        zone(name)
    assert name[:5] in caught.value.message or "\0" in name

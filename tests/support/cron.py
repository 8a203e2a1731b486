"""Schedules that freezer-scheduler reads, generated."""

from typing import Any

from hypothesis import strategies as st

from gateway.catalogue.triggers import MONTHS, WEEKDAYS


def _numbers(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    pairs = st.tuples(number, number).map(sorted)
    span = pairs.map(lambda pair: f"{pair[0]}-{pair[1]}")
    step = st.integers(2, max(2, (high - low) // 2)).map(lambda by: f"*/{by}")
    several = st.lists(number, min_size=2, max_size=3, unique=True)
    listed = several.map(lambda many: ",".join(map(str, many)))
    return number.map(str) | span | step | listed | st.just("*")


CRON_FIELDS: st.SearchStrategy[dict[str, str]] = st.fixed_dictionaries(
    {},
    optional={
        "year": st.integers(2024, 2050).map(str),
        "month": _numbers(1, 12) | st.sampled_from(MONTHS),
        "day": _numbers(1, 31) | st.sampled_from(["last", "2nd fri", "last sun", "5th mon"]),
        "week": _numbers(1, 53),
        "day_of_week": _numbers(0, 6) | st.sampled_from([*WEEKDAYS, "mon-fri"]),
        "hour": _numbers(0, 23),
        "minute": _numbers(0, 59),
        "second": _numbers(0, 59),
    },
).filter(bool)
"""Cron-like fields, by APScheduler's names; those of weeks may have no date."""

TIME_ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
)

_CRON = CRON_FIELDS.map(lambda fields: {f"schedule_{key}": v for key, v in fields.items()})
_UNITS = st.sampled_from(["weeks", "days", "hours", "minutes"])
_INTERVAL = st.builds(
    lambda number, unit: {"schedule_interval": f"{number} {unit}"}, st.integers(1, 60), _UNITS
)
_DATES = st.sampled_from(
    [
        *("2020-02-29T12:00:00", "2025-06-30T23:59:59", "2037-12-31T00:00:00"),
        *("2042-01-01T00:00:00", "2043-07-04T10:00:00.500"),
    ]
)
_PERIOD = st.fixed_dictionaries(
    {}, optional={"schedule_start_date": _DATES, "schedule_end_date": _DATES}
)
_ONCE = st.sampled_from(
    [
        *("2041-02-28T02:30:00", "2042-03-30T02:30:00", "2041-06-01T12:00:00Z"),
        "2041-06-01T12:00:00+05:30",
    ]
).map(lambda date: {"schedule_date": date})

SCHEDULES: st.SearchStrategy[dict[str, Any]] = (
    st.builds(lambda trigger, period: trigger | period, _CRON | _INTERVAL, _PERIOD)
    | _ONCE
    | st.just({})
)
"""Schedules of every kind of trigger, as v2 documents."""


def due_columns(number: int) -> dict[str, Any]:
    """Return the columns of a next run, or of none, as a gateway writes them."""
    at = [None, 0, 1_700_000_000, 4_000_000_000][number % 4]
    basis = None if at is None else ["observed", "estimated"][number // 4 % 2]
    return {"due_at": at, "due_basis": basis, "due_zone": [None, "Europe/Berlin"][number % 2]}

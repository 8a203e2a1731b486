"""Buckets of time: the hours, days, weeks and months of a time zone, as whole seconds since 1970.

Their bounds are worked out here, from the zone's rules, and databases only compare numbers: so both
count alike, whatever they know of time zones.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway.catalogue.vocabularies import Vocabulary
from gateway.errors import BadInput


class Bucket(Vocabulary):
    """A unit of the calendar, in the time zone that a question names."""

    HOUR = (
        "HOUR",
        "An hour of the clock: one that is repeated when clocks are put back is two buckets.",
    )
    DAY = "DAY", "A day from midnight to midnight: of 23 or 25 hours when clocks change."
    WEEK = "WEEK", "A week from Monday to Sunday."
    MONTH = "MONTH", "A month of the calendar."


_LENGTH = {
    Bucket.HOUR: timedelta(hours=1),
    Bucket.DAY: timedelta(days=1),
    Bucket.WEEK: timedelta(weeks=1),
}


class Span(NamedTuple):
    """A bucket: from a second on, and up to but not including another one."""

    begin: int
    end: int


def spans(bucket: Bucket, since: int, until: int, zone: ZoneInfo, most: int) -> list[Span]:
    """Return the buckets, each of them whole, that have the seconds from one to before another.

    Raises BadInput for more than `most` of them, and outside of the years 1 to 9999.
    """
    try:
        first, last = (datetime.fromtimestamp(at, zone) for at in (since, until - 1))
        label = _label(bucket, first.replace(tzinfo=None, fold=0))
        count = _between(bucket, label, last.replace(tzinfo=None, fold=0)) + 1
        if count > most:
            raise BadInput(
                f"from 'since' to 'until' are {count} buckets of {bucket.value}, the limit is "
                f"{most}",
                field="bucket",
            )
        starts = sorted(_starts(bucket, label, until, zone))
        datetime.fromtimestamp(starts[0], UTC)  # or its beginning has no year
    except (OverflowError, ValueError):
        raise BadInput(
            "'since' and 'until' must be of the years 1 to 9999 in the time zone, with a whole "
            "bucket around them",
            field="since",
        ) from None
    return [Span(*pair) for pair in pairwise(starts) if pair[1] > since and pair[0] < until]


def _starts(bucket: Bucket, label: datetime, until: int, zone: ZoneInfo) -> set[int]:
    """Return the seconds at which buckets begin, from that of a label to the first after `until`.

    A label is the local time that a bucket is named by. One that clocks leave out begins when they
    change, and has no time if the next one does so, too.
    """
    starts: set[int] = set()
    while True:
        moments = _moments(label, zone)
        starts.update(moments if bucket is Bucket.HOUR else moments[:1])
        if moments[0] >= until:
            return starts
        label = _next(bucket, label)


def _moments(label: datetime, zone: ZoneInfo) -> list[int]:
    """Return the seconds at which clocks come to a local time: once, or twice, in this order."""
    first, second = (
        int(label.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (False, True)
    )
    if first <= second:
        return [first] if first == second else [first, second]
    # Left out: clocks come to a later time at the change, which is after `second`.
    before = _offset(second - 1, zone)
    low, high = second - 1, first
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    return [high]


def _offset(second: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(second, zone).utcoffset()


def _label(bucket: Bucket, local: datetime) -> datetime:
    """Return the local time by which the bucket of a local time is named."""
    if bucket is Bucket.HOUR:
        return local.replace(minute=0, second=0, microsecond=0)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if bucket is Bucket.DAY:
        return midnight
    days = local.weekday() if bucket is Bucket.WEEK else local.day - 1
    return midnight - timedelta(days=days)


def _next(bucket: Bucket, label: datetime) -> datetime:
    if bucket is Bucket.MONTH:
        return (label + timedelta(days=31)).replace(day=1)
    return label + _LENGTH[bucket]


def _between(bucket: Bucket, label: datetime, local: datetime) -> int:
    """Return how many buckets after one of this label a local time is."""
    if bucket is Bucket.MONTH:
        return (local.year - label.year) * 12 + local.month - label.month
    return (local - label) // _LENGTH[bucket]

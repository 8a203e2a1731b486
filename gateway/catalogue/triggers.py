"""When freezer-scheduler runs jobs: the values of a schedule's keys that it can read.

A function of this module takes a key and a text of the key's form, and returns the text to store:
the one given if freezer-scheduler 19 reads it, else one that means the same, or None for none. It
raises BadInput naming the form for any other, of which the scheduler dies or which it never runs.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gateway.catalogue.tables import NAME_BYTES
from gateway.catalogue.vocabularies import CONTINUOUS, JobEvent
from gateway.errors import BadInput, shown

Trigger = Callable[[str, str], str | None]

# A longer interval begins after the end of the calendar, where no date can be computed.
_MAX_DAYS = 1_000_000
_MAX_DIGITS = 20

_DATE_TIME = re.compile(
    r"(?P<seconds>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.(?P<fraction>[0-9]+))?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?"
)
_MICROSECONDS = 6

_COMMA = re.compile(" *, *")
_NUMBERS = re.compile(r"(?:(?P<all>\*)|(?P<first>\d+)(?:-(?P<last>\d+))?)(?:/(?P<step>\d+))?$")
# Behind names, APScheduler ignores anything.
_NAMES = re.compile(r"(?P<first>[a-z]+)(?:-(?P<last>[a-z]+))?", re.IGNORECASE)
_WEEKDAY_OF_MONTH = re.compile(r"(?:1st|2nd|3rd|4th|5th|last) +(?P<first>\w+)", re.IGNORECASE)
_LAST_DAY = re.compile("last", re.IGNORECASE)

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def interval(key: str, text: str) -> str:
    """Return an interval with one blank, at which the scheduler splits it. Raises BadInput."""
    if text == CONTINUOUS:
        return text
    number, unit = text.split()
    length = timedelta(**{unit: 1})
    digits = number.lstrip("0") or "0"
    if len(digits) > _MAX_DIGITS or int(digits) > timedelta(days=_MAX_DAYS) / length:
        raise BadInput(
            f"'{key}': {shown(text)} is longer than an interval may be, {_MAX_DAYS} days", field=key
        )
    return f"{number} {unit}"


def instant(key: str, text: str) -> str:
    """Return a date and time in UTC without an offset, as the scheduler reads one without.

    Raises BadInput.
    """
    moment, fraction, zone = _date_time(key, text)
    try:
        if zone:
            moment = moment.replace(tzinfo=datetime.fromisoformat(f"2000-01-01T00:00{zone}").tzinfo)
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        if fraction:
            moment + timedelta(seconds=1)  # to which the scheduler rounds it up
    except OverflowError:
        raise _no_date_time(key, text) from None
    return f"{moment.isoformat(timespec='seconds')}{fraction}"


def local_time(key: str, text: str) -> str:
    """Return a date and time as given, which without an offset is one of the host's time zone.

    Raises BadInput.
    """
    moment, fraction, zone = _date_time(key, text)
    try:
        moment - timedelta(days=1), moment + timedelta(days=1)  # in any time zone
    except OverflowError:
        raise _no_date_time(key, text) from None
    return f"{moment.isoformat(timespec='seconds')}{fraction}{zone}"


def _date_time(key: str, text: str) -> tuple[datetime, str, str]:
    """Return the whole seconds, and the texts of the fraction and the offset. Raises BadInput."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise _no_date_time(key, text)
    fraction = match["fraction"] or ""
    if len(fraction) > _MICROSECONDS or not fraction.strip("0"):
        fraction = fraction.rstrip("0")
    if len(fraction) > _MICROSECONDS:
        raise _no_date_time(key, text)
    try:
        moment = datetime.fromisoformat(match["seconds"])
    except ValueError:
        raise _no_date_time(key, text) from None
    return moment, fraction and f".{fraction}", match["zone"] or ""


def _no_date_time(key: str, text: str) -> BadInput:
    return BadInput(
        f"'{key}': {shown(text)} is not an ISO 8601 date and time (YYYY-MM-DDThh:mm:ss) of the "
        "years 0001 to 9999 that the calendar has, in whole microseconds",
        field=key,
    )


def cron(low: int, high: int, names: tuple[str, ...] = (), *, day: bool = False) -> Trigger:
    """Return the check of a list of numbers and ranges between two numbers, as APScheduler's.

    `names` stand for the numbers from `low` on; days of a month may also be such as `2nd fri`.
    """
    numbers = {name: number for number, name in enumerate(names, low)}
    also = f", '{names[0]}-{names[-1]}'" if names else ", '2nd fri', 'last'" if day else ""

    def check(key: str, text: str) -> str | None:
        if not text:
            return None  # v2 writes it for none
        fits = len(text) <= NAME_BYTES and all(
            _is_named(part, numbers) or (day and _is_day(part)) or _is_range(part, low, high)
            for part in _COMMA.split(text.strip())
        )
        if not fits:
            raise BadInput(
                f"'{key}': {shown(text)} is not cron-like ('*', '*/2', '{low}', '{low}-{high}/2'"
                f"{also}, or a list of these; from {low} to {high})",
                field=key,
            )
        return text

    return check


def _is_range(text: str, low: int, high: int) -> bool:
    """Return True for numbers, ranges and steps in which there is more than one step."""
    match = _NUMBERS.match(text)
    if match is None:
        return False
    step = None if match["step"] is None else int(match["step"])
    if match["all"]:
        return step is None or 0 < step <= high - low
    first, last = int(match["first"]), None if match["last"] is None else int(match["last"])
    if last is None and step is None:
        last = first
    if not low <= first <= (high if last is None else last) <= high:
        return False
    return step is None or 0 < step <= (last or high) - first


def _is_named(text: str, numbers: dict[str, int]) -> bool:
    match = _NAMES.match(text)
    if match is None:
        return False
    first = numbers.get(match["first"].lower())
    last = numbers.get((match["last"] or match["first"]).lower())
    return first is not None and last is not None and first <= last


def _is_day(text: str) -> bool:
    if match := _WEEKDAY_OF_MONTH.match(text):
        return match["first"].lower() in WEEKDAYS
    return _LAST_DAY.match(text) is not None


def event(key: str, text: str) -> str:
    """Return an event that a scheduler carries out; it waits for ever with `remove`.

    Raises BadInput.
    """
    if text == JobEvent.REMOVE:
        raise BadInput(
            f"'{key}': a scheduler hangs at {shown(text)}: delete the job instead", field=key
        )
    return text

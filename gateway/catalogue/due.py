"""When a job's next run is due, worked out from what its scheduler reports and from its schedule.

Whoever writes a job writes these columns with it, so that what is overdue is a matter of SQL. A
scheduler reports that it has armed a job (`scheduled`), and each run, at its beginning and its end;
it reports neither that a changed schedule has been armed anew, nor runs that it drops.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.catalogue import schedules
from gateway.catalogue.column_types import now
from gateway.catalogue.health_words import ScheduleFault
from gateway.catalogue.tables import NOT_YET
from gateway.catalogue.timetables import GRACE, KEYS, UNREADABLE, Timetable, timetable
from gateway.catalogue.vocabularies import JobEvent, JobStatus, NextRunBasis, ScheduleTrigger

Columns = Mapping[str, Any]

COLUMNS = ("due_at", "due_basis", "due_zone", "due_fault")
"""The columns of a job that `Due` works out; `due_version` says of which version."""
STATE = ("client_id", "status", "event", "time_started", "time_ended")
INPUTS = (*KEYS, *STATE, *COLUMNS, "job_schedule", "due_version", "version", "updated_at")
"""The columns of a job that they are worked out from."""

_ARMED = frozenset({None, JobStatus.SCHEDULED, JobStatus.RUNNING})
"""The statuses of jobs that a scheduler runs, or will: one without it has not been seen yet."""


class Due:
    """The next run of a job after a write, given the job before it.

    `zone` is the time zone of the job's host, None if it isn't known; `at` the time of the write.
    """

    def __init__(
        self, before: Columns | None, after: Columns, zone: str | None, at: datetime | None = None
    ) -> None:
        self.before = before
        self.after = after
        self.zone = zone
        self.now = at or now()
        self.timetable: Timetable = timetable(after, zone)
        self.started = _time(after["time_started"])

    @property
    def is_slow(self) -> bool:
        """True if `columns` can take long, and must not be called on the event loop."""
        return self.timetable.is_slow

    def columns(self, *, reported: bool = False) -> dict[str, Any]:
        """Return the columns of `COLUMNS`; `reported` is True for what a scheduler reports."""
        return self._shown(lambda: self._next(reported=reported))

    def columns_of_stored(self) -> dict[str, Any]:
        """Return the columns of `COLUMNS` of a job that was written without knowing them.

        They are counted from the last change, or the last run where that says more. The phase of an
        interval that has been worked out doesn't depend on the time zone, and stays.
        """
        after = self.after
        if after["due_version"] == after["version"] and not self._depends_on_zone:
            return {**{name: after[name] for name in COLUMNS}, "due_zone": self.zone}
        self.now = after["updated_at"]
        return self._shown(self._of_stored)

    def _shown(self, work: Callable[[], tuple[int | None, NextRunBasis]]) -> dict[str, Any]:
        at, basis, fault = None, NextRunBasis.ESTIMATED, None
        if _is_awaited(self.after):
            with suppress(*UNREADABLE):
                at, basis = work()
            if not self._was_sound:
                fault = self._fault
        return {
            "due_at": at,
            "due_basis": None if at is None else basis.value,
            "due_zone": self.zone,
            "due_fault": fault,
        }

    @property
    def _was_sound(self) -> bool:
        """True if the schedule has been looked at, and stays: what is written new is checked."""
        before = self.before
        return (
            before is not None
            and before["due_version"] == before["version"]
            and before["due_fault"] is None
            and _is_awaited(before)
            and not self._has_changed(*KEYS)
        )

    @property
    def _fault(self) -> str | None:
        """The fault of the schedule, as a scheduler reads it; None for none."""
        try:
            schedules.readable(orjson.loads(self.after["job_schedule"]), {})
            is_impossible = self.timetable.is_impossible
            self.timetable.first(self.now)
        except UNREADABLE:
            return ScheduleFault.UNREADABLE.value
        return ScheduleFault.NEVER_RUNS.value if is_impossible else None

    @property
    def _depends_on_zone(self) -> bool:
        with suppress(*UNREADABLE):
            return self.timetable.depends_on_zone
        return False

    def _next(self, *, reported: bool) -> tuple[int | None, NextRunBasis]:
        before, after = self.before, self.after
        if before is None or self._has_changed(*KEYS, "client_id"):
            return self._first(), NextRunBasis.ESTIMATED
        if after["status"] == JobStatus.RUNNING and self._has_changed("status", "time_started"):
            return self._after_run(), self._seen
        if after["status"] == JobStatus.SCHEDULED and reported:
            if before["status"] == JobStatus.RUNNING and _time(after["time_ended"]) is not None:
                return self._after_end(), self._seen
            if not self._is_acknowledged():
                return self._first(), self._seen
        is_fresh = before["due_version"] == before["version"]
        if not is_fresh or (before["due_at"] is None and not _is_awaited(before)):
            return self._first(), NextRunBasis.ESTIMATED
        return before["due_at"], NextRunBasis(before["due_basis"] or NextRunBasis.ESTIMATED)

    def _of_stored(self) -> tuple[int | None, NextRunBasis]:
        plan, status = self.timetable, self.after["status"]
        is_seen = status in {JobStatus.SCHEDULED, JobStatus.RUNNING} and plan.depends_on_zone
        basis = self._seen if is_seen else NextRunBasis.ESTIMATED
        if plan.trigger is ScheduleTrigger.INTERVAL and self.started is not None:
            if status == JobStatus.RUNNING or not plan.is_continuous:
                return self._after_run(), basis
        elif plan.trigger is ScheduleTrigger.AT_ONCE and status == JobStatus.RUNNING:
            return None, basis
        return self._first(), basis

    @property
    def _seen(self) -> NextRunBasis:
        """The basis of what the scheduler has reported."""
        if self.zone is None and self.timetable.depends_on_zone:
            return NextRunBasis.ESTIMATED
        return NextRunBasis.OBSERVED

    def _first(self) -> int | None:
        """Return the first run of a job that is armed now; one of a date runs only once."""
        first = _seconds(self.timetable.first(self.now))
        is_over = (
            first is not None
            and self.timetable.trigger is ScheduleTrigger.ONCE
            and self.started is not None
            and self.started >= first
        )
        return None if is_over else first

    def _is_acknowledged(self) -> bool:
        """Return True for the acknowledgement of a start, which changes no armed job's trigger."""
        before = self.before or {}
        return (
            before["event"] == JobEvent.START
            and before["due_basis"] == NextRunBasis.OBSERVED
            and before["due_at"] is not None
        )

    def _after_run(self) -> int | None:
        """Return the next run after one that has begun; of a continuous job its end decides."""
        if self.timetable.is_continuous:
            return None
        begun = self.now if self.started is None else datetime.fromtimestamp(self.started, UTC)
        due: int | None = (self.before or {}).get("due_at")
        # It may have waited for another job's end: the scheduler counts from when it was due.
        if self.started is not None and due is not None and due <= self.started <= due + GRACE:
            begun = datetime.fromtimestamp(due, UTC)
        return _seconds(self.timetable.after(begun, self.now))

    def _after_end(self) -> int | None:
        """Return the next run after one that has ended: runs that came due meanwhile are none."""
        due: int | None = (self.before or {}).get("due_at")
        if self.timetable.is_continuous:
            return _seconds(self.timetable.after(self.now, self.now))
        if due is None:
            return self._after_run()
        if due > self.now.timestamp():
            return due
        return _seconds(self.timetable.after(datetime.fromtimestamp(due, UTC), self.now))

    def _has_changed(self, *names: str) -> bool:
        before = self.before or {}
        return any(before[name] != self.after[name] for name in names)


def _is_awaited(job: Columns) -> bool:
    """Return True for a job that a scheduler runs again, or for the first time."""
    if not job["client_id"] or job["event"] in {JobEvent.STOP, JobEvent.ABORT, JobEvent.REMOVE}:
        return False
    return job["event"] == JobEvent.START or job["status"] in _ARMED


def _time(seconds: int | None) -> int | None:
    """Return the epoch seconds of a report, or None for none."""
    return None if seconds is None or seconds == NOT_YET else seconds


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() // 1)

"""The next runs of jobs in GraphQL, and what schedules mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from math import ceil
from typing import Annotated, Any, Optional

import orjson
import strawberry

from gateway.catalogue import schedule_texts
from gateway.catalogue.column_types import now
from gateway.catalogue.schedule_texts import Warned, columns_of
from gateway.catalogue.timetables import GRACE, KEYS, UNREADABLE, Timetable, timetable
from gateway.catalogue.vocabularies import ScheduleTrigger as Trigger
from gateway.chains import job_warnings
from gateway.errors import BadInput
from gateway.query.filters import Condition, Not, Where
from gateway.resolvers import due_times
from gateway.schema.enums import NextRunBasis, ScheduleTrigger, ScheduleWarningCode
from gateway.schema.fields import declare
from gateway.schema.views import DerivedField

MAX_LATER = 50
"""How many runs after the next one may be asked for."""

_AS_OF = "The moment as of which; now if absent."
AsOf = Annotated[Optional[datetime], strawberry.argument(description=_AS_OF, name="asOf")]
First = Annotated[int, strawberry.argument(description=f"The number of runs, at most {MAX_LATER}.")]

_SCHEDULE = tuple(key.removeprefix("schedule_") for key in KEYS)


@strawberry.type(
    description="The next run of a job, as its scheduler keeps it: that of its trigger. A run "
    "that can't begin within an hour is dropped by the scheduler without a word."
)
class NextRun:
    """The fields of `DueRun`."""

    at: datetime = strawberry.field(
        description="The time at which the run is due, in whole seconds. A run that has not begun "
        "yet stays the next one until its scheduler reports."
    )
    basis: NextRunBasis = strawberry.field(description="The knowledge that it is worked out from.")
    overdue_since = declare(
        None,
        Optional[datetime],
        "The time an hour after the run was due, at which the scheduler drops it; null before.",
        {"as_of": (AsOf, None)},
        clock=("as_of",),
    )
    later = declare(
        None,
        list[datetime],
        "The runs after it, as long as the scheduler isn't restarted and the schedule stays.",
        {"first": (First, 5)},
    )


@strawberry.type(description="Something that a job surely does, and one may not expect.")
class ScheduleWarning:
    """The fields of `Warned`."""

    code: ScheduleWarningCode = strawberry.field(description="The kind of warning.")
    message: str = strawberry.field(description="The warning in words.")


@strawberry.type(
    description="The meaning of a schedule to a scheduler, whether the job is armed or not."
)
class ScheduleMeaning:
    """The fields of `Meaning`."""

    text: str = strawberry.field(description="The schedule in a sentence.")
    trigger: ScheduleTrigger = strawberry.field(description="The thing that makes runs begin.")
    time_zone: str | None = strawberry.field(
        description="The host's time zone: the client's own, or else the project's, or the "
        "gateway's setting; null if it isn't known."
    )
    warnings = declare(
        None,
        list[ScheduleWarning],
        "Things that the schedule and the actions surely do, and one may not expect.",
        {"as_of": (AsOf, None)},
        clock=("as_of",),
    )


@dataclass(frozen=True, slots=True)
class DueRun:
    """The next run of a row."""

    due_at: int
    basis: NextRunBasis
    plan: Timetable

    @property
    def at(self) -> datetime:
        """The time at which it is due."""
        return datetime.fromtimestamp(self.due_at, UTC)

    def overdue_since(self, as_of: datetime | None = None) -> datetime | None:
        """Return the time at which it became overdue, or None if it isn't."""
        moment = int(now().timestamp()) if as_of is None else as_of.timestamp()
        since = self.due_at + GRACE
        return datetime.fromtimestamp(since, UTC) if since < moment else None

    def later(self, first: int) -> list[datetime]:
        """Return the runs after it. Raises BadInput for a number of them out of bounds."""
        if not 0 <= first <= MAX_LATER:
            raise BadInput(f"'first' must be between 0 and {MAX_LATER}, not {first}", field="first")
        if self.plan.is_continuous:
            return []  # the ends of runs decide
        try:
            return [run.replace(microsecond=0) for run in islice(self.plan.later(self.at), first)]
        except UNREADABLE:
            # As where the calendar has ended.
            return []


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of a row's schedule."""

    values: Mapping[str, Any]

    @property
    def time_zone(self) -> str | None:
        """The host's time zone."""
        zone: str | None = self.values["due_zone"]
        return zone

    @property
    def _plan(self) -> Timetable:
        return timetable(columns_of(self.values), self.time_zone)

    @property
    def trigger(self) -> Trigger:
        """The kind of trigger."""
        return Trigger.SESSION if self.values["session_id"] else self._plan.trigger

    @property
    def text(self) -> str:
        """The schedule in a sentence."""
        try:
            return schedule_texts.text(self._plan, self.time_zone)
        except UNREADABLE:
            return "It can't be read."

    def warnings(self, as_of: datetime | None = None) -> list[Warned]:
        """Return what to be warned of."""
        document = orjson.loads(self.values["stored_schedule"])
        columns = columns_of(self.values)
        found = schedule_texts.warnings(columns, document, self.time_zone, as_of or now())
        actions = [orjson.loads(text) for text in orjson.loads(self.values["stored_actions"])]
        return [
            *found,
            *(Warned(c, c.description) for c in job_warnings.codes(actions, self._plan)),
        ]


def _next_run(values: Mapping[str, Any]) -> DueRun | None:
    if values["next_run_at"] is None:
        return None
    plan = timetable(columns_of(values), values["due_zone"])
    return DueRun(values["next_run_at"], NextRunBasis(values["next_run_basis"]), plan)


def _next_of_session(values: Mapping[str, Any]) -> DueRun | None:
    if values["first_due"] is None:
        return None
    job = dict(zip(due_times.OF_NEXT_RUN, orjson.loads(values["first_due"]), strict=True))
    own = {key.removeprefix("schedule_"): value for key, value in job.items()}
    return _next_run(own | {"next_run_at": job["due_at"], "next_run_basis": job["due_basis"]})


NEXT_RUN = declare(
    DerivedField(
        ("next_run_at", "next_run_basis", "due_zone", *_SCHEDULE),
        _next_run,
        slow=frozenset({"later"}),
    ),
    Optional[NextRun],
    "The next run; null if there is none: the job is stopped or completed, has no client, or its "
    "schedule has ended.",
)
NEXT_RUN_OF_SESSION = declare(
    DerivedField(("first_due",), _next_of_session, slow=frozenset({"later"})),
    Optional[NextRun],
    "The next run of the first of its jobs that is due, which begins the session's run; null if "
    "none of its jobs has a next run. If it is overdue, others may begin the session without it.",
)
MEANING = declare(
    DerivedField(
        ("due_zone", "session_id", "stored_schedule", "stored_actions", *_SCHEDULE),
        Meaning,
        slow=frozenset({"warnings"}),
    ),
    ScheduleMeaning,
    "The schedule in words, and warnings of what it, and the job's actions, surely do.",
)


@strawberry.input(description="A condition on the next run being overdue: an hour late or more.")
class OverdueFilter:
    """A condition of its own, on the clock."""

    eq: bool = strawberry.field(description="True for jobs that are overdue, false for all others.")
    as_of: datetime | None = strawberry.field(
        default=None, description="The moment as of which; that of the list if absent."
    )

    @property
    def reads_clock(self) -> bool:
        """True if it has no moment of its own."""
        return self.as_of is None

    def where_in(self, _view: str) -> Where:
        """Return the condition."""
        overdue: Where = due_times.OVERDUE
        if self.as_of is not None:
            bound = ceil(self.as_of.timestamp()) - GRACE
            overdue = Condition(due_times.COLUMNS.due_at, "lt", bound)
        return overdue if self.eq else Not(overdue)

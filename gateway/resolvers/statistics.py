"""Statistics: counts, failures, durations and sizes of runs and of backups, worked out by SQL.

One statement, whatever is asked: for each bucket of time, a subquery finds the bucket's rows by the
index on their times, and groups them. There are no roll-ups that could be out of date.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from gateway.catalogue.bookkeeping_tables import Revision
from gateway.catalogue.column_types import JSONText
from gateway.catalogue.tables import columns
from gateway.catalogue.timetables import zone
from gateway.catalogue.vocabularies import BackupStatus, RunOutcome, Vocabulary
from gateway.context import Context
from gateway.errors import BadInput
from gateway.query.buckets import Bucket, Span, spans
from gateway.query.filters import Where
from gateway.query.selects import Query
from gateway.resolvers import backups, runs
from gateway.resolvers.collection import Collection, Column, Columns


class StatisticsOf(Vocabulary):
    """The rows that statistics are of."""

    RUNS = "RUNS", "Runs of jobs, by the time at which they began."
    BACKUPS = "BACKUPS", "Backups, by their time stamps."


class StatisticsKey(Vocabulary):
    """A property of runs or backups that they are grouped by."""

    OUTCOME = "OUTCOME", "The outcome of runs."
    JOB = "JOB", "The job of runs, and of backups."
    CLIENT = "CLIENT", "The client of runs, and of backups."
    SESSION = "SESSION", "The session of runs."
    HOSTNAME = "HOSTNAME", "The host of backups."
    BACKUP_NAME = "BACKUP_NAME", "The name of backups."
    STORAGE = "STORAGE", "The storage of backups."
    CONTAINER = "CONTAINER", "The container of backups."
    ENGINE = "ENGINE", "The engine of backups."
    MODE = "MODE", "The mode of backups."
    LEVEL = "LEVEL", "The level of backups as reported, which is 0 by agents of release 19."
    CHAIN_LEVEL = "CHAIN_LEVEL", "The level of backups as the agent chose it."
    STATUS = "STATUS", "The status of backups."
    RESTORABILITY = "RESTORABILITY", "The verdict on the restore of backups."
    PROJECT = "PROJECT", "The project of runs, and of backups."


MAX_ROWS = 10_000
"""The number of rows that may be asked for."""

Values = tuple[Any, ...]
"""The values of a group's keys."""

_HALF = 2**32
"""Sizes are summed in halves: sums of whole ones might overflow."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Subject:
    """The rows that statistics are of, and their measures; `sizes` and `duration` may be none."""

    collection: Collection
    time: Column
    failed: Column
    """1 for a row that failed, else 0."""
    duration: Columns = ()
    sizes: Columns = ()

    @property
    def measures(self) -> Columns:
        """The columns that are counted and summed."""
        return (self.failed, *self.duration, *self.sizes)


def _if(predicate: Column, name: str) -> Column:
    one, zero = sa.literal_column("1", sa.Integer), sa.literal_column("0", sa.Integer)
    return sa.case((predicate, one), else_=zero).label(name)


def _among(column: Column, *words: str) -> Column:
    return column.in_([sa.literal_column(f"'{word}'") for word in words])


RUNS = Subject(
    runs.COLLECTION,
    runs.COLUMNS.started_at,
    _if(_among(runs.COLUMNS.outcome, RunOutcome.FAIL, RunOutcome.LOST), "failed"),
    duration=(runs.DURATION.label("duration"),),
)
BACKUPS = Subject(
    backups.COLLECTION,
    # By the agent's clock.
    backups.COLUMNS.calendar_time,
    _if(_among(backups.COLUMNS.status, BackupStatus.ERROR), "failed"),
    sizes=(
        backups.COLUMNS.compressed_size.label("compressed_size"),
        backups.COLUMNS.uncompressed_size.label("uncompressed_size"),
    ),
)


class Period(NamedTuple):
    """A time, and the buckets that it is divided into; None for one of all of it."""

    since: datetime
    until: datetime
    bucket: Bucket | None
    time_zone: str

    def spans(self, most: int) -> list[Span]:
        """Return the buckets, the oldest first.

        Raises BadInput for no time at all, for more than `most` buckets, and for no time zone.
        """
        host = zone(self.time_zone, field="timeZone")
        begin, end = _second(self.since), _second(self.until)
        if begin >= end:
            raise BadInput("'since' must be before 'until', which is now if absent", field="since")
        if self.bucket is None:
            return [Span(begin, end)]
        return spans(self.bucket, begin, end, host, most)

    def within(self, span: Span) -> Span:
        """Return the part of a bucket that is in the period."""
        return Span(max(span.begin, _second(self.since)), min(span.end, _second(self.until)))


def _second(moment: datetime) -> int:
    """Return the first whole second that isn't before a moment."""
    return -((_EPOCH - moment) // timedelta(seconds=1))


class Durations(NamedTuple):
    """The durations of those of some runs that have ended, in seconds."""

    number: int = 0
    total: int = 0
    longest: int | None = None
    median: int | None = None
    p95: int | None = None


class Sizes(NamedTuple):
    """A sum of the sizes that agents told, and how many did; None if none did."""

    number: int = 0
    total: int | None = None


class Group(NamedTuple):
    """The rows of a bucket that have the same keys."""

    span: Span
    values: Values | None
    """None where there is no row in any bucket."""
    number: int
    failures: int
    durations: Durations | None
    """None of rows that have none, or where they aren't wanted; so are sizes."""
    sizes: tuple[Sizes, ...]


async def groups(  # noqa: PLR0913 - all that a question can say
    ctx: Context,
    subject: Subject,
    keys: Columns,
    period: Period,
    where: Where | None,
    *,
    all_projects: bool,
    max_rows: int,
    wanted: frozenset[str],
) -> list[Group]:
    """Return the groups by these keys of every bucket, the oldest first; then by their keys.

    Every key is in every bucket. Of `duration` and `sizes`, those are worked out that are `wanted`.
    Raises BadInput for more than `max_rows`, Forbidden and Unavailable.
    """
    if not 1 <= max_rows <= MAX_ROWS:
        raise BadInput(
            f"'maxRows' must be between 1 and {MAX_ROWS}, not {max_rows}", field="maxRows"
        )
    buckets = period.spans(max_rows)
    most = max_rows // len(buckets)
    form = Groups(subject, len(keys), wanted & _PARTS, all_projects, ctx.db.is_sqlite)
    collection = subject.collection.all_projects if all_projects else subject.collection
    counted = [(number, *period.within(span)) for number, span in enumerate(buckets)]
    parameters = {"buckets": orjson.dumps(counted).decode(), "groups": most + 1}
    found: dict[tuple[int, Values], list[Any]] = {}
    for number, document in await collection.rows(
        ctx, form, (*keys, *subject.measures), where, also=parameters
    ):
        cells = orjson.loads(document or "[]")
        if len(cells) > most:
            raise _too_many(len(buckets), f"more than {most}", max_rows)
        for cell in cells:
            found[number, tuple(cell[: len(keys)])] = cell[len(keys) :]
    values = sorted({of for _, of in found}, key=_sort_key)
    if len(values) > most:
        raise _too_many(len(buckets), str(len(values)), max_rows)
    if not values:
        if period.bucket is None and keys:
            return []
        return [form.group(span, None if keys else (), None) for span in buckets]
    return [
        form.group(span, of, found.get((number, of)))
        for number, span in enumerate(buckets)
        for of in values
    ]


def _too_many(buckets: int, groups: str, max_rows: int) -> BadInput:
    return BadInput(
        f"there are {groups} groups in each of {buckets} buckets, the limit is {max_rows} rows in "
        "all ('maxRows')",
        field="maxRows",
    )


def _sort_key(values: Values) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is not None, value) for value in values)


_PARTS = frozenset({"duration", "sizes"})
_BUCKETS = sa.bindparam("buckets", None, type_=sa.Text)
_PROJECTS = sa.select(columns(Revision).project_id)
_LIMIT = sa.bindparam("groups", None, type_=sa.BigInteger)


@dataclass(frozen=True)
class Groups:
    """The form of SELECT that groups the rows of each bucket, and the reading of its cells.

    The statement has a row for each bucket: its number, and its groups in a JSON document.
    """

    subject: Subject
    keys: int
    """The number of keys, which are the first columns."""
    wanted: frozenset[str]
    all_projects: bool
    is_sqlite: bool

    @property
    def durations(self) -> Columns:
        """The column with the durations, if there is one, and they are wanted."""
        return self.subject.duration if "duration" in self.wanted else ()

    @property
    def sizes(self) -> Columns:
        """The columns with sizes, if there are any, and they are wanted."""
        return self.subject.sizes if "sizes" in self.wanted else ()

    def __call__(self, query: Query, _page_request: None, _keys: sa.FromClause) -> Query:
        """Select the groups of each bucket."""
        buckets = self._buckets()
        time = self.subject.time
        rows = query.where(time >= buckets.c.begins, time < buckets.c.ends).correlate(buckets)
        if self.all_projects:
            # Every project that has ever changed: so the index finds the rows of each.
            rows = rows.where(self.subject.collection.key[0].in_(_PROJECTS))
        # Or the groups make a database read the project in the order of its jobs.
        rows = rows.offset(sa.literal_column("0"))
        items: sa.FromClause = rows.subquery("items")
        if self.is_sqlite and self.durations:
            items = self._ranked(items)
        keys = list(items.c)[: self.keys]
        grouped = sa.select(*keys, *self._measures(items)).group_by(*keys).limit(_LIMIT)
        cells = grouped.subquery("cells")
        array, aggregate = (
            (sa.func.json_array, sa.func.json_group_array)
            if self.is_sqlite
            else (sa.func.json_build_array, sa.func.json_agg)
        )
        document = sa.select(aggregate(array(*cells.c), type_=JSONText())).correlate(buckets)
        return sa.select(buckets.c.number, document.scalar_subquery())

    def _buckets(self) -> sa.FromClause:
        """Return the buckets as a table, from one parameter."""
        if self.is_sqlite:
            one = sa.func.json_each(_BUCKETS).table_valued("value").c.value
            parts: list[Column] = [
                sa.func.json_extract(one, f"$[{at}]", type_=sa.BigInteger) for at in range(3)
            ]
        else:
            document = sa.cast(_BUCKETS, JSONText())
            one = sa.func.json_array_elements(document).table_valued("value").c.value
            parts = [
                sa.cast(
                    one.op("->>", return_type=sa.Text())(sa.literal_column(str(at))), sa.BigInteger
                )
                for at in range(3)
            ]
        names = ("number", "begins", "ends")
        labelled = (part.label(name) for part, name in zip(parts, names, strict=True))
        return sa.select(*labelled).subquery("buckets")

    def _ranked(self, items: sa.FromClause) -> sa.FromClause:
        """Add the place of each row's duration in its group, and the number of durations there."""
        (duration,) = self.durations
        own = items.c[str(duration.key)]
        keys = list(items.c)[: self.keys]
        place = sa.func.row_number().over(
            partition_by=keys or None, order_by=own.asc().nulls_last()
        )
        number = sa.func.count(own).over(partition_by=keys or None)
        return sa.select(*items.c, place.label("place"), number.label("number")).subquery("ranked")

    def _measures(self, items: sa.FromClause) -> Iterator[Column]:
        yield sa.func.count()
        yield sa.func.coalesce(sa.func.sum(items.c.failed), 0)
        for duration in self.durations:
            column = items.c[str(duration.key)]
            yield sa.func.count(column)
            yield sa.func.coalesce(sa.func.sum(column), 0)
            yield sa.func.max(column)
            for percent in (50, 95):
                yield self._percentile(items, column, percent)
        for size in self.sizes:
            column = items.c[str(size.key)]
            high = column // sa.literal_column(str(_HALF), sa.BigInteger)
            yield sa.func.count(column)
            yield sa.func.sum(high)
            yield sa.func.sum(column - high * sa.literal_column(str(_HALF), sa.BigInteger))

    def _percentile(self, items: sa.FromClause, column: Column, percent: int) -> Column:
        """Return the least duration that so many percent of all aren't longer than."""
        if not self.is_sqlite:
            fraction: Column = sa.literal_column(str(percent / 100))
            return sa.func.percentile_disc(fraction).within_group(column)
        hundred = sa.literal_column("100", sa.Integer)
        place = (items.c.number * percent + 99) // hundred
        return sa.func.max(sa.case((items.c.place == place, column)))

    def group(self, span: Span, values: Values | None, cell: Sequence[Any] | None) -> Group:
        """Return a group of a cell; of none, one without rows."""
        durations = Durations() if self.durations else None
        if cell is None:
            return Group(span, values, 0, 0, durations, tuple(Sizes() for _ in self.sizes))
        count, failures, *more = cell
        if self.durations:
            durations, more = Durations(*more[:5]), more[5:]
        sizes = []
        for at in range(len(self.sizes)):
            told, high, low = more[3 * at : 3 * at + 3]
            sizes.append(Sizes(told, high * _HALF + low if told else None))
        return Group(span, values, count, failures, durations, tuple(sizes))

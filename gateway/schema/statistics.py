"""Statistics in GraphQL: runs and backups, counted and summed by keys and by buckets of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Optional

import strawberry

from gateway.catalogue.column_types import now
from gateway.catalogue.tables import INT32, INT64
from gateway.context import Context
from gateway.errors import BadInput
from gateway.resolvers import statistics
from gateway.resolvers.collection import Column
from gateway.resolvers.statistics import MAX_ROWS, Durations, Group, Period, Sizes, Subject
from gateway.schema.backups import BackupWhere
from gateway.schema.connections import ALL_PROJECTS
from gateway.schema.enums import Bucket, StatisticsKey, StatisticsOf
from gateway.schema.fields import Node, declare
from gateway.schema.filter_inputs import condition
from gateway.schema.runs import RunWhere
from gateway.schema.scalars import BigInt
from gateway.schema.views import VIEWS, AnsweredField, AnyItemField, AnyKey

DEFAULT_ROWS = 1000


@strawberry.type(description="A key of a group, and the value that its rows have in common.")
class StatisticKeyValue:
    """The value, and the item that it is the id of."""

    key: StatisticsKey = strawberry.field(description="The key.")
    value: str | None = strawberry.field(
        description="The value as a text: a number, an id, a name, or the word of an enum; null "
        "where rows have none."
    )
    item: strawberry.Private[AnyKey | None] = None
    node = declare(
        AnyItemField("item"),
        Optional[Node],
        "The job, client or session whose id it is; null for other keys, and for one that was "
        "deleted.",
    )


@strawberry.type(description="The durations of runs that have ended, whatever their outcome.")
class DurationStatistic:
    """The attributes of Durations."""

    count: int = strawberry.field(description="The number of runs that they are of.")
    total: BigInt = strawberry.field(description="The seconds that they took together.")
    median: int | None = strawberry.field(description="Half of them took no longer, in seconds.")
    p95: int | None = strawberry.field(description="19 of 20 took no longer, in seconds.")
    longest: int | None = strawberry.field(description="The seconds that the longest took.")


@strawberry.type(
    description="The sizes that agents told. Those of release 19 tell none, so that a sum is of as "
    "many backups as `count` says."
)
class SizeStatistic:
    """The attributes of Sizes."""

    count: int = strawberry.field(description="The number of backups whose size is told.")
    total: BigInt | None = strawberry.field(
        description="The sum of their sizes, in bytes; null if none is told, or it is larger than "
        "64 bits."
    )


@strawberry.type(description="The rows of one bucket of time that have the same keys.")
class Statistic:
    """A Group."""

    at: datetime | None = strawberry.field(
        description="The beginning of the bucket; null without `bucket`. The first and the last "
        "one count only what is from `since` to `until`."
    )
    until: datetime | None = strawberry.field(
        description="The end of the bucket, which is the beginning of the next one."
    )
    key: list[StatisticKeyValue] = strawberry.field(
        description="The keys, in the order of `by`; none where no row is found in any bucket."
    )
    count: int = strawberry.field(description="The number of rows.")
    failures: int = strawberry.field(
        description="The number of runs that have failed or are lost, or of backups in error."
    )
    duration: DurationStatistic | None = strawberry.field(
        description="The durations of runs; null for backups."
    )
    compressed_size: SizeStatistic | None = strawberry.field(
        description="The sizes of the stored data of backups; null for runs."
    )
    uncompressed_size: SizeStatistic | None = strawberry.field(
        description="The sizes of the original data of backups; null for runs."
    )


@dataclass(frozen=True, eq=False)
class Key:
    """A key of a kind of rows: the column that is grouped by, and the view whose ids it has."""

    column: Column
    words: Mapping[str, str] | None
    """The names of an enum's members, by their words."""
    view: str | None

    def text(self, value: Any) -> str | None:
        """Return a value as it is shown."""
        if value is None or self.words is None:
            return None if value is None else str(value)
        return self.words.get(value)


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of rows: what is counted of them, and by which keys."""

    subject: Subject
    project: Column
    keys: Mapping[StatisticsKey, Key]


_NODES = {"JOB": "Job", "CLIENT": "Client", "SESSION": "Session"}


def _kind(subject: Subject, view: str, **fields: str) -> Kind:
    """Return the kind of a view's rows; `fields` are its fields by the names of keys."""
    keys = {}
    for name, field in fields.items():
        known = VIEWS[view].own[field]
        words = getattr(known.kind, "__members__", None)
        keys[StatisticsKey(name)] = Key(
            known.or_null.label(f"key_{name.lower()}"),  # type: ignore[union-attr]
            words and {member.value: one for one, member in words.items()},
            _NODES.get(name),
        )
    project = VIEWS[view].own["project_id"].column
    return Kind(subject, project, keys)


_RUNS = _kind(
    statistics.RUNS,
    "Run",
    OUTCOME="outcome",
    JOB="job_id",
    CLIENT="client_id",
    SESSION="session_id",
    PROJECT="project_id",
)
_BACKUPS = _kind(
    statistics.BACKUPS,
    "Backup",
    JOB="job_id",
    CLIENT="client_id",
    HOSTNAME="hostname",
    BACKUP_NAME="backup_name",
    STORAGE="storage",
    CONTAINER="container",
    ENGINE="engine",
    MODE="mode",
    LEVEL="level",
    CHAIN_LEVEL="chain_level",
    STATUS="status",
    RESTORABILITY="restorability",
    PROJECT="project_id",
)
KINDS = {StatisticsOf.RUNS: _RUNS, StatisticsOf.BACKUPS: _BACKUPS}


async def _statistics(
    ctx: Context, selected: frozenset[str], of: StatisticsOf, **given: Any
) -> list[Statistic]:
    """Count and sum, and return the rows. Raises BadInput, Forbidden and Unavailable."""
    kind, all_projects = KINDS[of], given["all_projects"]
    keys = _keys(kind, of, given["by"])
    where = _where(of, given.get("runs"), given.get("backups"))
    columns = [key.column for _, key in keys]
    if all_projects and any(key.view for _, key in keys):
        columns.append(kind.project)
    bucket = given.get("bucket")
    groups = await statistics.groups(
        ctx,
        kind.subject,
        tuple(columns),
        Period(given["since"], given.get("until") or now(), bucket, given["time_zone"]),
        where,
        all_projects=all_projects,
        max_rows=given["max_rows"],
        wanted=frozenset(_PARTS[name] for name in selected & _PARTS.keys()),
    )
    project = None if all_projects else ctx.project_id
    return [_shown(group, keys, project, bucket) for group in groups]


_PARTS = {"duration": "duration", "compressed_size": "sizes", "uncompressed_size": "sizes"}
"""The fields that cost something, and the parts that they are of."""


def _argument(type_: Any, description: str, *default: Any, name: str | None = None) -> Any:
    annotated = Annotated[type_, strawberry.argument(description=description, name=name)]
    return (annotated, *default) if default else annotated


_ARGUMENTS = {
    "of": _argument(StatisticsOf, "The rows to count."),
    "by": _argument(
        list[StatisticsKey],
        "The keys to group by. Jobs, clients and sessions of several projects are groups of their "
        "own, also where they have the same id.",
        (),
    ),
    "bucket": _argument(
        Optional[Bucket],
        "The buckets to count in; without, there is one, from `since` to `until`.",
        None,
    ),
    "since": _argument(
        datetime,
        "The first moment: of the beginning of runs by the hosts' clocks, and of the time stamps "
        "of backups by their agents'.",
    ),
    "until": _argument(Optional[datetime], "The end, which isn't included; now if absent.", None),
    "time_zone": _argument(
        str, "The time zone of the buckets, such as `Europe/Berlin`.", "UTC", name="timeZone"
    ),
    "runs": _argument(Optional[RunWhere], "Conditions on the runs.", None),
    "backups": _argument(Optional[BackupWhere], "Conditions on the backups.", None),
    "all_projects": _argument(bool, ALL_PROJECTS, False, name="allProjects"),  # noqa: FBT003
    "max_rows": _argument(
        int,
        f"The most rows to return, at most {MAX_ROWS}: as many buckets times groups. The query "
        "costs as many points, and is refused if there are more.",
        DEFAULT_ROWS,
        name="maxRows",
    ),
}


@strawberry.type
class Query:
    """The root field for statistics."""

    statistics = declare(
        AnsweredField(_statistics, knows_selection=True),
        list[Statistic],
        "Runs or backups, counted and summed: a row for each bucket and key, those without any "
        "included; the oldest bucket first.",
        _ARGUMENTS,
        clock=("until",),
    )


def _keys(
    kind: Kind, of: StatisticsOf, by: Sequence[StatisticsKey]
) -> list[tuple[StatisticsKey, Key]]:
    """Return the keys to group by. Raises BadInput."""
    for key in by:
        if key not in kind.keys:
            known = ", ".join(one.value for one in kind.keys)
            raise BadInput(f"{of.value} have no key {key.value}, but {known}", field="by")
    if len(set(by)) < len(by):
        raise BadInput("'by' has a key twice", field="by")
    return [(key, kind.keys[key]) for key in by]


def _where(of: StatisticsOf, runs: Any, backups: Any) -> Any:
    """Return the condition on the rows. Raises BadInput for one on rows of another kind."""
    given = {
        StatisticsOf.RUNS: ("runs", "Run", runs),
        StatisticsOf.BACKUPS: ("backups", "Backup", backups),
    }
    _, view, own = given.pop(of)
    ((name, _, other),) = given.values()
    if other is not None:
        raise BadInput(f"'{name}' are conditions on other rows than {of.value}", field=name)
    return None if own is None else condition(VIEWS[view], own)


def _shown(
    group: Group,
    keys: Sequence[tuple[StatisticsKey, Key]],
    project: str | None,
    bucket: Bucket | None,
) -> Statistic:
    """Return what is shown of a group; without a project, their last value is its project."""
    values = group.values
    shown = []
    for (name, key), value in zip(keys, values or (), strict=False):
        item = None
        if key.view is not None and value is not None:
            of = project if project is not None else (values or ())[-1]
            item = AnyKey(key.view, (of, value), all_projects=project is None)
        shown.append(StatisticKeyValue(key=name, value=key.text(value), item=item))
    compressed, uncompressed = (*group.sizes, None, None)[:2]
    return Statistic(
        at=_moment(group.span.begin) if bucket else None,
        until=_moment(group.span.end) if bucket else None,
        key=shown,
        count=group.number,
        failures=group.failures,
        duration=_durations(group.durations),
        compressed_size=_size(compressed),
        uncompressed_size=_size(uncompressed),
    )


def _durations(durations: Durations | None) -> DurationStatistic | None:
    if durations is None:
        return None
    longest, median, p95 = (
        seconds if seconds is None or seconds < INT32 else None
        for seconds in (durations.longest, durations.median, durations.p95)
    )
    return DurationStatistic(
        count=durations.number,
        total=BigInt(durations.total),
        median=median,
        p95=p95,
        longest=longest,
    )


def _size(sizes: Sizes | None) -> SizeStatistic | None:
    if sizes is None:
        return None
    total = sizes.total
    if total is not None and not -INT64 <= total < INT64:
        total = None
    return SizeStatistic(count=sizes.number, total=None if total is None else BigInt(total))


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)

"""Statistics are what a plain count in Python says, on both databases, in every time zone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.identity import Identity
from gateway.catalogue.derivations import calendar_time
from gateway.catalogue.history import Run
from gateway.catalogue.tables import INT64, Backup
from gateway.context import Context
from gateway.db.database import Database
from gateway.errors import Forbidden
from gateway.resolvers import clients, jobs
from gateway.resolvers.clients import ClientDraft
from gateway.resolvers.jobs import JobDraft
from gateway.resolvers.statistics import BACKUPS, RUNS, Period, Subject, groups
from tests.support.apps import GraphQL, MakeContext
from tests.support.lists import BACKUP, examples, fresh_project, names, store
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

Fields = Mapping[str, Any]

ZONES = ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia"]
CHANGES = {
    # Around changes of clocks: forwards, back, at midnight, by a whole day.
    "Europe/Berlin": ["2026-03-29T01:00Z", "2026-10-25T01:00Z"],
    "America/Sao_Paulo": ["2018-11-04T03:00Z", "2018-02-18T02:00Z"],
    "Pacific/Apia": ["2011-12-30T10:00Z"],
}
MOMENTS = [datetime.fromisoformat(text) for texts in CHANGES.values() for text in texts]

ASK = """
query($of: StatisticsOf!, $by: [StatisticsKey!]!, $bucket: Bucket, $since: DateTime!,
      $until: DateTime, $zone: String!, $runs: RunWhere, $backups: BackupWhere) {
  statistics(of: $of, by: $by, bucket: $bucket, since: $since, until: $until, timeZone: $zone,
             runs: $runs, backups: $backups, maxRows: 10000) {
    at until count failures key { key value }
    duration { count total median p95 longest }
    compressedSize { count total } uncompressedSize { count total }
  }
}
"""


@st.composite
def questions(draw: st.DrawFn, *keys: str) -> dict[str, Any]:
    """Return a question about a few days around a change of clocks."""
    moment = draw(st.sampled_from(MOMENTS))
    seconds = st.integers(-4 * 86_400, 4 * 86_400)
    since, until = sorted(draw(st.lists(seconds, min_size=2, max_size=2, unique=True)))
    return {
        "by": draw(st.lists(st.sampled_from(keys), max_size=2, unique=True)),
        "bucket": draw(st.sampled_from([None, "HOUR", "DAY", "WEEK", "MONTH"])),
        "since": (moment + timedelta(seconds=since)).isoformat(),
        "until": (moment + timedelta(seconds=until)).isoformat(),
        "zone": draw(st.sampled_from(ZONES)),
        "moment": moment,
    }


@st.composite
def times(draw: st.DrawFn, moment: datetime) -> int:
    """Return a second that may be in a question's period."""
    hours = draw(st.integers(-100, 100))
    return int(moment.timestamp()) + hours * 3600 + draw(st.sampled_from([-1, 0, 1, 1800]))


def label(second: int, bucket: str, zone: ZoneInfo) -> Any:
    """Return a name of the bucket that a second is in."""
    local = datetime.fromtimestamp(second, zone)
    match bucket:
        case "HOUR":
            return local.replace(tzinfo=None, minute=0, second=0, fold=0), local.utcoffset()
        case "DAY":
            return local.date()
        case "WEEK":
            return local.isocalendar()[:2]
    return local.year, local.month


def rank(percent: int, values: Sequence[int]) -> int | None:
    """Return the least value that so many percent of the values aren't above."""
    ordered = sorted(values)
    enough = (n for n, _ in enumerate(ordered, 1) if 100 * n >= percent * len(ordered))
    return ordered[next(enough) - 1] if ordered else None


def second_of(text: str | None) -> int:
    assert text is not None
    return int(datetime.fromisoformat(text).timestamp())


def size(rows: Sequence[Fields], name: str) -> dict[str, Any]:
    """Return what is told of the sizes of backups."""
    told = [row[name] for row in rows if row[name] is not None]
    fits = told and -INT64 <= sum(told) < INT64
    return {"count": len(told), "total": sum(told) if fits else None}


def of_runs(rows: Sequence[Fields]) -> dict[str, Any]:
    """Return what is told of these runs."""
    took = [max(r["ended_at"] - r["started_at"], 0) for r in rows if r["ended_at"] is not None]
    return {
        "count": len(rows),
        "failures": sum(row["outcome"] in {"fail", "lost"} for row in rows),
        "duration": {
            "count": len(took),
            "total": sum(took),
            "median": rank(50, took),
            "p95": rank(95, took),
            "longest": max(took, default=None),
        },
        "compressedSize": None,
        "uncompressedSize": None,
    }


def of_backups(rows: Sequence[Fields]) -> dict[str, Any]:
    """Return what is told of these backups."""
    return {
        "count": len(rows),
        "failures": sum(row["status"] == "error" for row in rows),
        "duration": None,
        "compressedSize": size(rows, "compressed_size"),
        "uncompressedSize": size(rows, "uncompressed_size"),
    }


def check(
    question: Fields,
    rows: Sequence[tuple[int, Sequence[str | None], Fields]],
    told: Any,
    shown: Sequence[Any],
) -> None:
    """Check what is shown of rows, each with its time and the values of its keys."""
    since, until = second_of(question["since"]), second_of(question["until"])
    zone = ZoneInfo(question["zone"])
    bucket = question["bucket"]
    expected: dict[Any, list[Fields]] = defaultdict(list)
    for second, values, row in rows:
        if since <= second < until:
            at = label(second, bucket, zone) if bucket else None
            expected[at, tuple(values)].append(row)
    values_found = {values for _, values in expected}
    buckets = list(dict.fromkeys((row["at"], row["until"]) for row in shown))
    if bucket:
        seconds = [(second_of(at), second_of(end)) for at, end in buckets]
        assert seconds[0][0] <= since
        assert seconds[-1][1] >= until
        assert all(one[1] == other[0] for one, other in pairwise(seconds))
        assert len({label(begin, bucket, zone) for begin, _ in seconds}) == len(seconds)
    groups = {}
    for row in shown:
        at = label(second_of(row["at"]), bucket, zone) if bucket else None
        assert [key["key"] for key in row["key"]] in (question["by"], [])
        values = tuple(key["value"] for key in row["key"])
        groups[at, values] = {name: row[name] for name in told([])}
    assert len(groups) == len(shown) == len(buckets) * (len(values_found) or 1) or not (
        values_found or bucket
    )
    for key, found in groups.items():
        assert found == told(expected.pop(key, []))
    assert not expected


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[str, Any], list[Fields]]:
    """Return a question, and runs of the time that it is about."""
    question = draw(questions("OUTCOME", "JOB", "CLIENT", "SESSION", "PROJECT"))
    columns = {
        "job_id": names,
        "client_id": names | st.none(),
        "session_id": names | st.none(),
        "outcome": st.sampled_from(["running", "success", "fail", "aborted", "lost"]),
        "started_at": times(question.pop("moment")),
        "ended_at": st.none() | st.integers(-5, 20) | st.just(2**33),
    }
    rows = draw(st.lists(st.fixed_dictionaries(columns), max_size=25))
    for number, row in enumerate(rows):
        took = row["ended_at"]
        row["ended_at"] = None if took is None else row["started_at"] + took
        row["id"] = str(number)
    question["runs"] = draw(st.sampled_from([None, {"outcome": {"ne": "SUCCESS"}}]))
    return question, rows


@examples
@given(case=histories())
async def test_statistics_of_runs(
    graphql: GraphQL, database: Database, case: tuple[dict[str, Any], list[Fields]]
) -> None:
    project = fresh_project()
    question, rows = case
    await store(database, Run, project, rows)
    if question["runs"]:
        rows = [row for row in rows if row["outcome"] != "success"]
    body = await graphql(ASK, question | {"of": "RUNS"}, project=project)
    assert "errors" not in body, body

    def values(row: Fields) -> list[str | None]:
        known = {"OUTCOME": row["outcome"].upper(), "PROJECT": project}
        return [known[key] if key in known else row[f"{key.lower()}_id"] for key in question["by"]]

    def told(of: Sequence[Fields]) -> dict[str, Any]:
        counted = of_runs(of)
        for name in ("median", "p95", "longest"):
            if (counted["duration"][name] or 0) >= 2**31:
                counted["duration"][name] = None
        return counted

    found = [(row["started_at"], values(row), row) for row in rows]
    check(question, found, told, body["data"]["statistics"])


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[dict[str, Any], list[Fields]]:
    """Return a question, and backups of the time that it is about."""
    question = draw(questions("HOSTNAME", "BACKUP_NAME", "STATUS", "LEVEL", "CONTAINER", "PROJECT"))
    columns = BACKUP | {
        "time_stamp": times(question.pop("moment")) | st.none(),
        "uncompressed_size": BACKUP["compressed_size"],
        "level": st.sampled_from([0, 1, 2**40]) | st.none(),
        "status": st.sampled_from(["available", "error", "another"]),
    }
    rows = draw(st.lists(st.fixed_dictionaries(columns), max_size=25))
    fixed = {"user_id": "u", "container": "c", "backup_metadata": "{}"}
    return question, [
        {**fixed, **row, "id": str(number), "calendar_time": calendar_time(row["time_stamp"])}
        for number, row in enumerate(rows)
    ]


@examples
@given(case=catalogues())
async def test_statistics_of_backups(
    graphql: GraphQL, database: Database, case: tuple[dict[str, Any], list[Fields]]
) -> None:
    project = fresh_project()
    question, rows = case
    await store(database, Backup, project, rows)
    body = await graphql(ASK, question | {"of": "BACKUPS"}, project=project)
    assert "errors" not in body, body

    def values(row: Fields) -> list[str | None]:
        known = {"available": "AVAILABLE", "error": "ERROR"}
        shown = {
            # As GraphQL shows them: what is no word of the enum, or no Int, is null.
            "STATUS": known.get(row["status"]),
            "LEVEL": None if row["level"] in {None, 2**40} else str(row["level"]),
            "PROJECT": project,
        }
        return [shown[key] if key in shown else row[key.lower()] for key in question["by"]]

    found = [(row["calendar_time"], values(row), row) for row in rows]
    check(question, found, of_backups, body["data"]["statistics"])


async def ask(graphql: GraphQL, arguments: str, fields: str = "at until count", **more: Any) -> Any:
    """Return what is answered to a question."""
    body = await graphql(f"{{ statistics({arguments}) {{ {fields} }} }}", **more)
    assert "errors" not in body, body
    return body["data"]["statistics"]


async def hours(graphql: GraphQL, arguments: str) -> list[float]:
    """Return the lengths of buckets."""
    found = await ask(graphql, f"of: RUNS, {arguments}")
    return [(second_of(one["until"]) - second_of(one["at"])) / 3600 for one in found]


@pytest.mark.parametrize(
    ("arguments", "lengths"),
    [
        ('bucket: DAY, since: "2026-03-28T23:00Z", until: "2026-03-30T22:00Z"', [23, 24]),
        ('bucket: DAY, since: "2026-10-24T22:00Z", until: "2026-10-26T23:00Z"', [25, 24]),
        ('bucket: WEEK, since: "2026-03-29T12:00Z", until: "2026-03-30T12:00Z"', [167, 168]),
        ('bucket: MONTH, since: "2026-02-28T23:00Z", until: "2026-04-30T22:00Z"', [743, 720]),
        ('bucket: HOUR, since: "2026-10-25T00:30Z", until: "2026-10-25T01:30Z"', [1, 1]),
    ],
)
async def test_buckets_follow_the_clocks_of_berlin(
    graphql: GraphQL, arguments: str, lengths: list[float]
) -> None:
    assert await hours(graphql, f'{arguments}, timeZone: "Europe/Berlin"') == lengths


async def test_hours_where_clocks_change_by_half_of_one(graphql: GraphQL) -> None:
    zone = 'bucket: HOUR, timeZone: "Australia/Lord_Howe"'
    back = 'since: "2026-04-04T14:00Z", until: "2026-04-04T16:30Z"'
    assert await hours(graphql, f"{zone}, {back}") == [1.5, 1]
    forwards = 'since: "2026-10-03T14:30Z", until: "2026-10-03T17:00Z"'
    assert await hours(graphql, f"{zone}, {forwards}") == [1, 0.5, 1]


async def test_a_day_that_a_zone_left_out_has_no_bucket(graphql: GraphQL) -> None:
    arguments = (
        'of: RUNS, bucket: DAY, since: "2011-12-29T10:00Z", until: "2011-12-31T09:00Z", '
        'timeZone: "Pacific/Apia"'
    )
    found = await ask(graphql, arguments, "at")
    assert [one["at"] for one in found] == [
        "2011-12-29T10:00:00+00:00",
        "2011-12-30T10:00:00+00:00",
    ]


async def test_without_anything_there_is_a_row_for_each_bucket(graphql: GraphQL) -> None:
    day = 'since: "2026-01-01", until: "2026-01-03"'
    nothing = {"count": 0, "key": [], "duration": {"total": 0, "median": None}}
    fields = "count key { value } duration { total median }"
    for by in ("[]", "[JOB, OUTCOME]"):
        found = await ask(graphql, f"of: RUNS, by: {by}, bucket: DAY, {day}", fields)
        assert found == [nothing, nothing]
    assert await ask(graphql, f"of: RUNS, {day}", fields) == [nothing]
    assert await ask(graphql, f"of: RUNS, by: [JOB], {day}", fields) == []


async def test_until_now_where_nothing_is_said(graphql: GraphQL, database: Database) -> None:
    now = int(datetime.now(UTC).timestamp())
    rows = [{"id": str(at), "job_id": "j", "started_at": now + at} for at in (-10, 1000)]
    await store(database, Run, "p1", rows)
    since = datetime.fromtimestamp(now - 60, UTC).isoformat()
    assert await ask(graphql, f'of: RUNS, since: "{since}"') == [
        {"at": None, "until": None, "count": 1}
    ]


@pytest.mark.parametrize(
    ("arguments", "field", "message"),
    [
        ('of: RUNS, since: "2026-01-02", until: "2026-01-02"', "since", "before 'until'"),
        ('of: RUNS, since: "2126-01-02"', "since", "before 'until'"),
        ('of: RUNS, since: "2026-01-01", timeZone: "Mars"', "timeZone", "'Mars' is no time zone"),
        ('of: RUNS, since: "2026-01-01", timeZone: "../x"', "timeZone", "is no time zone"),
        ('of: RUNS, since: "2026-01-01", by: [STORAGE]', "by", "RUNS have no key STORAGE"),
        ('of: BACKUPS, since: "2026-01-01", by: [SESSION]', "by", "BACKUPS have no key SESSION"),
        ('of: RUNS, since: "2026-01-01", by: [JOB, JOB]', "by", "a key twice"),
        ('of: RUNS, since: "2026-01-01", backups: {}', "backups", "other rows than RUNS"),
        ('of: BACKUPS, since: "2026-01-01", runs: {}', "runs", "other rows than BACKUPS"),
        ('of: RUNS, since: "2026-01-01", maxRows: 0', "maxRows", "between 1 and 10000, not 0"),
        ('of: RUNS, since: "2026-01-01", maxRows: 10001', "maxRows", "not 10001"),
        (
            'of: RUNS, bucket: HOUR, since: "2025-01-01", until: "2026-01-01"',
            "bucket",
            "8760 buckets of HOUR, the limit is 1000",
        ),
        (
            'of: RUNS, bucket: MONTH, since: "0001-01-01", until: "9999-12-31", maxRows: 10000',
            "bucket",
            "119988 buckets",
        ),
        (
            'of: RUNS, bucket: DAY, since: "0001-01-01", until: "0001-01-09", timeZone: "Japan"',
            "since",
            "the years 1 to 9999",
        ),
        (
            'of: RUNS, bucket: DAY, since: "9999-12-31", until: "9999-12-31T12:00Z"',
            "since",
            "the years 1 to 9999",
        ),
    ],
)
async def test_a_question_that_cannot_be_answered_says_why(
    graphql: GraphQL, arguments: str, field: str, message: str
) -> None:
    body = await graphql(f"{{ statistics({arguments}) {{ count }} }}")
    (error,) = body["errors"]
    assert message in error["message"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_USER_INPUT", field)


async def test_too_many_groups_are_refused(graphql: GraphQL, database: Database) -> None:
    day = 1_767_225_600
    rows = [{"id": str(n), "job_id": str(n), "started_at": day + n % 2 * 86_400} for n in range(8)]
    await store(database, Run, "p1", rows)
    period = 'of: RUNS, by: [JOB], since: "2026-01-01", until: "2026-01-03"'
    assert len(await ask(graphql, f"{period}, bucket: DAY, maxRows: 16")) == 16
    query = f"{{ statistics({period}, bucket: DAY, maxRows: %s) {{ count }} }}"
    for most, told in ((15, "are 8 groups"), (8, "are 8 groups"), (6, "are more than 3 groups")):
        (error,) = (await graphql(query % most))["errors"]
        assert f"there {told} in each of 2 buckets, the limit is {most}" in error["message"]
    assert len(await ask(graphql, f"{period}, maxRows: 8")) == 8


ITEMS = (
    "count key { key value node { __typename id ... on Job { description runs { totalCount } } } }"
)


async def ran(ctx: Context, job_id: str, start: int, client_id: str | None = None) -> None:
    """Have a job run."""
    if not await jobs.COLLECTION.get(ctx, job_id, (jobs.COLUMNS.id,)):
        await jobs.create(ctx, JobDraft([], job_id=job_id, description=job_id, client_id=client_id))
    await jobs.update(ctx, job_id, {"schedule": {"status": "running", "time_started": start}})


async def test_keys_have_their_items_in_a_constant_number_of_statements(
    graphql: GraphQL, ctx: Context, recorder: QueryRecorder
) -> None:
    await clients.create(ctx, ClientDraft("host"))
    counts = set()
    for number in range(3):
        await ran(ctx, f"job{number}", 1_767_225_600 + number, "host")
        with recorder:
            found = await ask(
                graphql, 'of: RUNS, by: [JOB, CLIENT], since: "2026-01-01", bucket: MONTH', ITEMS
            )
        counts.add(len(recorder.statements))
    assert counts == {4}
    (job, client) = found[0]["key"]
    assert job["node"] == {
        "__typename": "Job",
        "id": job["node"]["id"],
        "description": "job0",
        "runs": {"totalCount": 1},
    }
    assert (client["value"], client["node"]["__typename"]) == ("host", "Client")
    await jobs.delete(ctx, "job0")
    found = await ask(graphql, 'of: RUNS, by: [JOB], since: "2026-01-01"', ITEMS)
    assert found[0]["key"] == [{"key": "JOB", "value": "job0", "node": None}]


async def test_projects_are_apart(graphql: GraphQL, make_ctx: MakeContext) -> None:
    central = make_ctx("p0")
    await clients.create(central, ClientDraft("central", is_central=True))
    for project, number in (("p1", 1), ("p2", 2)):
        ctx = make_ctx(project)
        for at in range(number):
            await ran(ctx, "same", 1_767_225_600 + at, "central")
    since = 'of: RUNS, since: "2026-01-01"'
    assert [one["count"] for one in await ask(graphql, since)] == [1]
    (found,) = await ask(graphql, f"{since}, by: [CLIENT]", ITEMS)
    assert found["key"][0]["node"]["__typename"] == "Client"
    for other in ("p2", "p0"):
        narrowed = f'{since}, runs: {{projectId: {{eq: "{other}"}}}}'
        assert [one["count"] for one in await ask(graphql, narrowed)] == [0]
    every = f"{since}, allProjects: true"
    assert [one["count"] for one in await ask(graphql, every)] == [3]
    found = await ask(graphql, f"{every}, by: [JOB]", ITEMS)
    assert [(one["count"], one["key"][0]["value"]) for one in found] == [(1, "same"), (2, "same")]
    assert [one["key"][0]["node"]["runs"]["totalCount"] for one in found] == [1, 2]
    ids = {one["key"][0]["node"]["id"] for one in found}
    assert len(ids) == 2
    found = await ask(graphql, f"{every}, by: [PROJECT, OUTCOME]", ITEMS)
    values = [[key["value"] for key in one["key"]] for one in found]
    assert values == [["p1", "LOST"], ["p2", "LOST"], ["p2", "RUNNING"]] or len(values) == 3


@pytest.mark.parametrize(("subject", "rule"), [(RUNS, "jobs"), (BACKUPS, "backups")])
async def test_who_reads_lists_reads_statistics(ctx: Context, subject: Subject, rule: str) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    period = Period(moment, moment + timedelta(days=1), None, "UTC")

    async def asked(*roles: str, across: bool) -> None:
        caller = replace(ctx, identity=Identity("u", "u", "p1", frozenset(roles)))
        await groups(
            caller,
            subject,
            (),
            period,
            None,
            all_projects=across,
            max_rows=1,
            wanted=frozenset(),
        )

    await asked("reader", across=False)
    await asked("admin", across=True)
    with pytest.raises(Forbidden, match=rule):
        await asked("reader", across=True)
    with pytest.raises(Forbidden, match=rule):
        await asked(across=False)


async def test_a_part_that_fails_is_null(graphql: GraphQL, ctx: Context) -> None:
    await ran(ctx, "one", 1_767_225_600)
    fields = "count key { node { ... on Job { runs(first: -1) { totalCount nodes { id } } } } }"
    arguments = 'of: RUNS, by: [JOB], since: "2026-01-01"'
    body = await graphql(f"{{ statistics({arguments}) {{ {fields} }} }}")
    assert body["data"] == {"statistics": [{"count": 1, "key": [{"node": None}]}]}
    (error,) = body["errors"]
    assert error["path"] == ["statistics", 0, "key", 0, "node", "runs"]

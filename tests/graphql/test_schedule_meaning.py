"""Schedules in words, and each warning of what they surely do."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from gateway.catalogue.tables import Job, columns, source
from gateway.context import Context
from gateway.resolvers import clients, jobs, sessions
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.clients import ClientDraft
from gateway.resolvers.jobs import JobDraft
from gateway.resolvers.sessions import SessionDraft
from tests.support.apps import GraphQL
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

UNKNOWN = "in the host's time zone, which isn't known (UTC is assumed)"
DATES = {"start_date": "2026-01-01T00:00:00", "end_date": "2027-01-01T00:00:00"}
PERIOD = "from 2026-01-01 00:00:00 UTC on"
MEANINGS: dict[str, tuple[dict[str, str], str | None, str, str, set[str]]] = {
    "nothing": (
        {},
        None,
        "AT_ONCE",
        "Once, two seconds after the scheduler arms the job.",
        {"RUNS_AT_RESTART"},
    ),
    "interval": (
        {"interval": "1 days"},
        None,
        "INTERVAL",
        "Every day, the first time one interval after the scheduler arms the job.",
        {"PHASE_RESETS"},
    ),
    "interval with dates": (
        {"interval": "02 hours", **DATES},
        None,
        "INTERVAL",
        (
            f"Every 2 hours {PERIOD}; armed after that, the first time two seconds later, "
            "until 2027-01-01 00:00:00 UTC."
        ),
        {"PHASE_RESETS", "RUNS_AT_RESTART"},
    ),
    "continuous": (
        {"interval": "continuous"},
        None,
        "INTERVAL",
        "Again as soon as the run before has ended.",
        set(),
    ),
    "date": (
        {"date": "2027-03-29T02:30:00+02:00"},
        None,
        "ONCE",
        "Once, at 2027-03-29T02:30:00+02:00.",
        set(),
    ),
    "local date": (
        {"date": "2027-03-29T02:30:00"},
        None,
        "ONCE",
        f"Once, at 2027-03-29T02:30:00 {UNKNOWN}.",
        {"TIME_ZONE_UNKNOWN"},
    ),
    "date that has passed": (
        {"date": "2026-11-01T00:00:00"},
        "Asia/Tokyo",
        "ONCE",
        "Once, at 2026-11-01T00:00:00 in the time zone Asia/Tokyo.",
        {"DATE_PASSED"},
    ),
    "weekdays": (
        {"day_of_week": "0-4", "hour": "20"},
        "Asia/Tokyo",
        "CRON",
        "At 20:00:00 on mon-fri, in the time zone Asia/Tokyo.",
        set(),
    ),
    "clocks that change": (
        {"hour": "2", "minute": "30"},
        "Europe/Berlin",
        "CRON",
        "At 02:30:00, in the time zone Europe/Berlin.",
        {"HOUR_LEFT_OUT", "HOUR_REPEATED"},
    ),
    "end that has passed": (
        {"minute": "*/5", **DATES, "end_date": "2026-02-01T00:00:00"},
        "UTC",
        "CRON",
        (
            f"At minute */5 of every hour, in the time zone UTC, {PERIOD}, "
            "until 2026-02-01 00:00:00 UTC."
        ),
        {"ENDED"},
    ),
    "end without a start": (
        {"second": "7", "hour": "1-3", "end_date": "2027-01-01T00:00:00"},
        "UTC",
        "CRON",
        "At second 7 of every minute of hour 1-3, in the time zone UTC.",
        {"END_IGNORED"},
    ),
    "impossible": (
        {"month": "feb", "day": "30"},
        "UTC",
        "CRON",
        "At 00:00:00 on day 30 of the month in feb, in the time zone UTC.",
        {"NEVER_RUNS"},
    ),
    "everything": (
        {"year": "2027", "month": "1,12", "day": "last", "week": "4", "day_of_week": "*/2"},
        "UTC",
        "CRON",
        (
            "At 00:00:00 on days */2 of the week on the last of the month in week 4 of the year in "
            "jan,dec in 2027, in the time zone UTC."
        ),
        set(),
    ),
}
QUERY = """query($at: DateTime!) { jobs { nodes {
  scheduleMeaning { text trigger timeZone warnings(asOf: $at) { code message } } } } }"""
AS_OF = {"at": "2026-11-27T12:00:00Z"}


async def meaning(graphql: GraphQL) -> Any:
    """Return what the project's only job means."""
    body = await graphql(QUERY, AS_OF)
    assert "errors" not in body, body
    (node,) = body["data"]["jobs"]["nodes"]
    return node["scheduleMeaning"]


@pytest.mark.parametrize("name", MEANINGS)
async def test_a_schedule_in_words(name: str, ctx: Context, graphql: GraphQL) -> None:
    keys, zone, trigger, text, warnings = MEANINGS[name]
    await clients.create(ctx, ClientDraft(client_id="host"))
    await clients.set_time_zone(ctx, "host", zone)
    schedule = {f"schedule_{key}": value for key, value in keys.items()}
    await jobs.create(ctx, JobDraft([], client_id="host", schedule=schedule))
    shown = await meaning(graphql)
    assert shown["text"] == text
    assert (shown["trigger"], shown["timeZone"]) == (trigger, zone)
    assert {warning["code"] for warning in shown["warnings"]} == warnings
    assert all(warning["message"].endswith(".") for warning in shown["warnings"])


async def test_a_job_in_a_session_has_its_schedule(ctx: Context, graphql: GraphQL) -> None:
    session = await sessions.create(ctx, SessionDraft({"schedule_interval": "2 days"}))
    job = await jobs.create(ctx, JobDraft([]))
    await sessions.add_job(ctx, session.id, job.id)
    shown = await meaning(graphql)
    assert shown["trigger"] == "SESSION"
    assert shown["text"].startswith("Every 2 days")


@pytest.mark.parametrize(
    ("document", "column", "word"),
    [
        ('{"schedule_hour":"often","event":""}', "often", "often"),
        ('{"schedule_interval":"soon","event":""}', None, "soon"),
        ('{"schedule_month":13,"event":""}', None, "13"),
    ],
)
async def test_a_schedule_of_older_times_is_told_to_be_unreadable(
    ctx: Context, graphql: GraphQL, document: str, column: str | None, word: str
) -> None:
    job = await jobs.create(ctx, JobDraft([]))
    own = columns(Job)
    async with ctx.write() as transaction:
        statement = sa.update(source(Job)).where(own.id == sa.bindparam("the_id"))
        statement = statement.values(
            job_schedule=sa.bindparam("document"), schedule_hour=sa.bindparam("hour")
        )
        values = {"document": document, "hour": column, "the_id": job.id}
        await transaction.execute_many(statement, [values])
    shown = await meaning(graphql)
    (warning,) = shown["warnings"]
    assert warning["code"] == "UNREADABLE"
    assert word in warning["message"]


async def test_only_so_many_later_runs_may_be_asked_for(ctx: Context, graphql: GraphQL) -> None:
    await clients.create(ctx, ClientDraft(client_id="host"))
    await jobs.create(
        ctx, JobDraft([], client_id="host", schedule={"schedule_date": "2040-01-01T00:00:00Z"})
    )
    body = await graphql("{ jobs { nodes { nextRun { at later(first: 51) } } } }")
    (error,) = body["errors"]
    assert error["path"] == ["jobs", "nodes", 0, "nextRun", "later"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert body["data"] == {"jobs": {"nodes": [{"nextRun": None}]}}
    body = await graphql("{ jobs { nodes { nextRun { at later(first: 50) } } } }")
    later = body["data"]["jobs"]["nodes"][0]["nextRun"]
    assert later == {"at": "2040-01-01T00:00:00+00:00", "later": []}


async def test_what_takes_too_long_is_refused_for_the_rest_of_the_page(
    ctx: Context, graphql: GraphQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clients.create(ctx, ClientDraft(client_id="host"))
    await jobs.create(ctx, JobDraft([], client_id="host", schedule={"schedule_hour": "1"}))
    monkeypatch.setattr("gateway.schema.execution.derived.SECONDS", -1)
    body = await graphql("{ jobs { nodes { jobId nextRun { later } } } }")
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "UNPROCESSABLE"
    assert body["data"]["jobs"]["nodes"][0]["nextRun"] is None


async def test_another_project_s_client_keeps_its_time_zone(client: httpx.AsyncClient) -> None:
    async def ask(project: str, text: str) -> Any:
        asked = await client.post(
            "/graphql", json={"query": text}, headers={"X-Project-Id": project}
        )
        return asked.json()

    register = (
        'mutation { registerClient(input: {clientId: "c", isCentral: true}) { client { id } } }'
    )
    owned = (await ask("owner", register))["data"]["registerClient"]["client"]["id"]
    change = "mutation { setClientTimeZone(input: {id: %s, timeZone: %s}) { client { id } } }"
    refused = await ask("other", change % (f'"{owned}"', '"UTC"'))
    assert refused["errors"][0]["extensions"]["code"] in {"NOT_FOUND", "FORBIDDEN"}
    shown = await ask("owner", "{ clients { nodes { timeZone version } } }")
    assert shown["data"]["clients"]["nodes"] == [{"timeZone": None, "version": 0}]


INCREMENTAL = {"incremental": True, "restart_always_level": 3, "storage": "ssh"}
NEVER = {"NEVER_RESTARTS"}
OPTIONS: dict[str, tuple[dict[str, Any], dict[str, str], set[str]]] = {
    "daily": (INCREMENTAL, {"hour": "2"}, NEVER),
    "daily, by an interval": (INCREMENTAL, {"interval": "1 days"}, NEVER),
    "often": (INCREMENTAL, {"minute": "*/7"}, NEVER),
    "with a level that is repeated, sorted": (
        INCREMENTAL | {"always_level": 2},
        {"hour": "2"},
        NEVER,
    ),
    "with a level that is repeated, not sorted": (
        INCREMENTAL | {"always_level": 2, "storage": "local"},
        {"hour": "2"},
        set(),
    ),
    "not sorted": (INCREMENTAL | {"storage": "local"}, {"hour": "2"}, NEVER),
    "with a highest level": (INCREMENTAL | {"max_level": 7}, {"hour": "2"}, set()),
    "full": (INCREMENTAL | {"incremental": False}, {"hour": "2"}, set()),
    "of instances": (INCREMENTAL | {"mode": "nova"}, {"hour": "2"}, set()),
    "weekly": (INCREMENTAL, {"day_of_week": "sun", "hour": "2"}, set()),
    "every third day": (INCREMENTAL, {"interval": "3 days"}, set()),
    "on weekdays": (INCREMENTAL | {"restart_always_level": 2.5}, {"day_of_week": "0-4"}, set()),
    "on weekdays, and long": (
        INCREMENTAL | {"restart_always_level": 3.5},
        {"day_of_week": "0-4", "hour": "12"},
        NEVER,
    ),
    "days of 25 hours": (INCREMENTAL | {"restart_always_level": 1}, {"hour": "2"}, set()),
    "once": (INCREMENTAL, {"date": "2127-01-01T00:00:00"}, set()),
    "continuous": (INCREMENTAL, {"interval": "continuous"}, set()),
    "never": (INCREMENTAL, {"month": "2", "day": "30"}, set()),
    "restore": (INCREMENTAL | {"action": "restore"}, {"hour": "2"}, set()),
    "false days": ({"remove_older_than": False}, {}, {"REMOVES_EVERYTHING"}),
    "a word for false": (
        {"remove_older_than": "None", "action": "admin"},
        {},
        {"REMOVES_EVERYTHING"},
    ),
    "no days": ({"remove_older_than": "", "remove_before_date": None}, {}, set()),
    "no date": ({"remove_before_date": ""}, {}, {"NOT_REGISTERED"}),
    "a false date": ({"remove_before_date": False}, {}, {"NOT_REGISTERED"}),
    "no level": (
        {"incremental": True, "restart_always_level": ""},
        {"hour": "2"},
        {"FAILS_AT_INCREMENTS"},
    ),
}
"""The options of an action, a schedule, and what is said of the action."""
OF_ACTIONS = {"NEVER_RESTARTS", "REMOVES_EVERYTHING", "NOT_REGISTERED", "FAILS_AT_INCREMENTS"}


@pytest.mark.parametrize(("options", "schedule", "codes"), OPTIONS.values(), ids=OPTIONS)
async def test_actions_are_warned_of(
    graphql: GraphQL,
    ctx: Context,
    options: dict[str, Any],
    schedule: dict[str, str],
    codes: set[str],
) -> None:
    given = {f"schedule_{key}": value for key, value in schedule.items()}
    action = {"action": "backup", "backup_name": "b", "container": "c"} | options
    drafts = [ActionDraft({"action": "info"}), ActionDraft(action), ActionDraft(action)]
    await jobs.create(ctx, JobDraft(drafts, schedule=given))
    await jobs.create(ctx, JobDraft([], description="without"))
    query = "{ jobs { nodes { scheduleMeaning { warnings { code message } } } } }"
    body = await graphql(query)
    first, second = (
        [warning["code"] for warning in node["scheduleMeaning"]["warnings"]]
        for node in body["data"]["jobs"]["nodes"]
    )
    told = {*first, *second} & OF_ACTIONS
    assert told == codes
    assert len(first) == len(set(first))


async def test_warnings_of_actions_cost_no_statement_more(
    graphql: GraphQL, ctx: Context, recorder: QueryRecorder
) -> None:
    for number in range(3):
        draft = ActionDraft({"action": "backup", "number": number})
        await jobs.create(ctx, JobDraft([draft]))
        with recorder:
            await graphql("{ jobs { nodes { scheduleMeaning { warnings { code } } } } }")
        assert len(recorder.statements) == 1

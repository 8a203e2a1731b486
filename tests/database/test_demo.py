"""The sample data: what there is, that loading it is harmless, and that it is what writes make."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway import demo
from gateway.catalogue import checks, history, projections
from gateway.catalogue.checks import check_lengths
from gateway.catalogue.column_types import now
from gateway.catalogue.history import ClientHeartbeat, Run
from gateway.catalogue.schedule_texts import warnings
from gateway.catalogue.series_tables import Restore, Series
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session, columns
from gateway.catalogue.timetables import GRACE, timetable
from gateway.catalogue.vocabularies import (
    ACTIONS,
    CAPABILITY_OF,
    MODES,
    BackupStatus,
    JobEvent,
    JobResult,
    JobStatus,
    RunOutcome,
    ScheduleWarningCode,
)
from gateway.chains import job_warnings
from gateway.chains.places import OWN_MEDIA
from gateway.chains.vocabularies import (
    ChainState,
    LevelSource,
    Restorability,
    RestorabilityReason,
)
from gateway.db.database import Database
from gateway.db.rows import Row
from gateway.db.statements import SQL
from gateway.demo import EXAMPLES, Summary
from gateway.resolvers.series import CHAINS, LAST_TESTED, STATE
from gateway.settings import load
from tests.support.databases import Server

pytestmark = pytest.mark.anyio

TABLES: Sequence[type[SQLModel]] = (Client, Session, Action, Job, JobAction, Backup)
NOTHING = Summary(clients=0, sessions=0, actions=0, jobs=0, backups=0)
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
async def sample(server: Server, demo_template: str) -> AsyncIterator[Database]:
    """Return a database with the sample data, for reading."""
    url = await server.create(demo_template)
    database = Database(load(database_url=url))
    yield database
    await database.close()
    await server.drop(url)


@pytest.fixture
async def own_sample(server: Server, demo_template: str) -> AsyncIterator[Database]:
    """Return a database with the sample data, for changing."""
    url = await server.create(demo_template)
    database = Database(load(database_url=url))
    yield database
    await database.close()
    await server.drop(url)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let weeks pass since the sample was loaded first."""
    day = now() + timedelta(days=23)
    monkeypatch.setattr(demo, "now", lambda: day)


async def rows(
    database: Database, table: type[SQLModel], project: str | None = None
) -> Sequence[Row]:
    """Return the rows of a table, or of one project in it, by their ids."""
    own = columns(table)
    query = sa.select(*own).order_by(*sa.inspect(table).primary_key)
    return await database.rows(query.where(own.project_id == project) if project else query)


def values(row: Row, table: type[SQLModel]) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in columns(table)}


async def everything(database: Database) -> dict[str, Sequence[Row]]:
    """Return all rows of all tables."""
    return {table.__name__: await rows(database, table) for table in TABLES}


async def change(database: Database, *statements: SQL) -> None:
    """Do to the sample what a user might do."""
    async with database.write(EXAMPLES) as transaction:
        for statement in statements:
            await transaction.rows(statement)


@pytest.mark.parametrize(
    ("project", "counts"),
    [
        (EXAMPLES, [1, 0, 1, 1, 1, 2]),
        ("demo", [14, 3, 72, 60, 72, 4495]),
        ("demo-lab", [3, 0, 6, 5, 6, 155]),
    ],
)
async def test_counts(sample: Database, project: str, counts: list[int]) -> None:
    assert [len(await rows(sample, table, project)) for table in TABLES] == counts


async def test_examples(sample: Database) -> None:
    """The documented documents, in the order and with the keys of the documented lists."""
    golden = json.loads((GOLDEN / "backups-list.json").read_text())["backups"]
    found = {row.id: row for row in await rows(sample, Backup, EXAMPLES)}
    for item in golden:
        row = found[item.pop("backup_id")]
        metadata = item.pop("backup_metadata")
        assert list(json.loads(row.backup_metadata).items()) == list(metadata.items())
        assert {key: getattr(row, key) for key in item} == item
        assert row.status == "available"
    (item,) = json.loads((GOLDEN / "jobs-list.json").read_text())["jobs"]
    (job,) = await rows(sample, Job, EXAMPLES)
    (step,) = item.pop("job_actions")
    (action,) = await rows(sample, Action, EXAMPLES)
    assert job.id == item.pop("job_id")
    assert job.session_id is None
    assert list(json.loads(job.job_schedule).items()) == list(item.pop("job_schedule").items())
    assert {key: getattr(job, key) for key in item} == item
    assert action.id == step.pop("action_id")
    document = json.loads(action.freezer_action)
    assert list(document.items()) == list(step.pop("freezer_action").items())
    assert {key: getattr(action, key) for key in step} == step
    (client,) = await rows(sample, Client, EXAMPLES)
    assert (client.id, client.hostname) == (f"{EXAMPLES}_szaher", "szaher")


async def test_summary_counts_what_was_added(database: Database) -> None:
    added = await demo.load(database)
    assert added == Summary(clients=18, sessions=3, actions=79, jobs=66, backups=4652)
    assert added


@pytest.mark.usefixtures("later")
async def test_loading_again_changes_nothing(own_sample: Database) -> None:
    before = await everything(own_sample)
    again = await demo.load(own_sample)
    assert again == NOTHING
    assert not again
    assert await everything(own_sample) == before


@pytest.mark.usefixtures("later")
async def test_what_users_did_stays(own_sample: Database) -> None:
    before = await everything(own_sample)
    job = next(row for row in before["Job"] if row.description == "db1: MySQL, nightly")
    action = next(row for row in before["Action"] if row.action == "info")
    backup = next(row for row in before["Backup"] if row.backup_name == "crm")
    jobs, links, backups = columns(Job), columns(JobAction), columns(Backup)
    foreign = values(before["Client"][0], Client) | {
        "project_id": "p1",
        "id": "demo_db1.example.org",
    }
    await change(
        own_sample,
        sa.update(Job).where(jobs.id == job.id).values(description="mine", version=1),
        sa.delete(JobAction).where(links.job_id == job.id),
        sa.delete(Action).where(columns(Action).id == action.id),
        sa.delete(Backup).where(backups.id == backup.id),
        sa.update(Backup).where(backups.backup_name == "billing").values(backup_name="paid"),
        sa.insert(Client).values(foreign),
    )
    changed = await everything(own_sample)
    added = Summary(clients=0, sessions=0, actions=1, jobs=0, backups=1)
    assert await demo.load(own_sample) == added
    after = await everything(own_sample)
    # What was deleted is back as it was, the days of the first load included; a job's list isn't.
    assert set(after.pop("Action")) == set(changed.pop("Action")) | {action}
    assert set(after.pop("Backup")) == set(changed.pop("Backup")) | {backup}
    assert after == changed


@pytest.mark.usefixtures("later")
async def test_what_is_missing_comes_back(own_sample: Database) -> None:
    """Also a job's list of actions, when the job is gone as well."""
    before = await everything(own_sample)
    await change(
        own_sample,
        sa.delete(Job),
        sa.delete(Action).where(columns(Action).action == "exec"),
        sa.delete(Backup).where(columns(Backup).level > 2),
        sa.delete(Client).where(columns(Client).hostname == "db1.example.org"),
    )
    assert await demo.load(own_sample)
    after = await everything(own_sample)
    assert list(map(without_runs, after.pop("Job"))) == list(map(without_runs, before.pop("Job")))
    assert after == before


def without_runs(job: Row) -> dict[str, Any]:
    """Return a job without what it says of its runs: what ran when it was deleted is lost."""
    return {name: getattr(job, name) for name in set(columns(Job).keys()) - history.OF_JOB}


@pytest.mark.usefixtures("later")
async def test_ids_do_not_depend_on_the_day(own_sample: Database) -> None:
    """Without a client to tell the day of the first load, nothing is there twice."""
    await change(own_sample, sa.delete(Client))
    clients = Summary(clients=18, sessions=0, actions=0, jobs=0, backups=0)
    assert await demo.load(own_sample) == clients


async def test_columns_agree_with_documents(sample: Database) -> None:
    for row in await rows(sample, Backup):
        metadata = orjson.loads(row.backup_metadata)
        for key, value in projections.backup(metadata, row.status).items():
            assert getattr(row, key) == value
        check_lengths(Backup(**values(row, Backup)))
    for row in await rows(sample, Job):
        for key, value in projections.job(orjson.loads(row.job_schedule)).items():
            assert getattr(row, key) == value
        assert "event" in row.job_schedule
        check_lengths(Job(**values(row, Job)))
    for row in await rows(sample, Action):
        for key, value in projections.action(orjson.loads(row.freezer_action)).items():
            assert getattr(row, key) == value
        check_lengths(Action(**values(row, Action)))


async def test_clients_can_do_their_jobs(sample: Database) -> None:
    clients = {(row.project_id, row.id): row for row in await rows(sample, Client)}
    jobs = {(row.project_id, row.id): row for row in await rows(sample, Job)}
    actions = {(row.project_id, row.id): row for row in await rows(sample, Action)}
    for link in await rows(sample, JobAction):
        job = jobs[link.project_id, link.job_id]
        action = actions[link.project_id, link.action_id]
        if job.client_id is not None:
            client = clients[job.project_id, job.client_id]
            for key, able in CAPABILITY_OF.items():
                assert getattr(action, key) in [None, *orjson.loads(getattr(client, able))]
    for row in clients.values():
        checks.client_identifier("client_id", row.id)


async def test_every_kind_is_there(sample: Database) -> None:
    jobs = await rows(sample, Job, "demo")
    assert {row.status for row in jobs} == {None, *JobStatus}
    assert {row.result for row in jobs} == {None, *JobResult}
    assert {row.event for row in jobs} >= {None, JobEvent.START, JobEvent.STOP, JobEvent.ABORT}
    assert len({row.description for row in jobs}) == len(jobs)
    assert [row.description for row in jobs if row.client_id is None] == [
        "unassigned: first backup of a new host"
    ]
    actions = await rows(sample, Action, "demo")
    assert {row.action for row in actions} == set(ACTIONS)
    assert {row.mode for row in actions} == {None, *MODES}
    links = await rows(sample, JobAction, "demo")
    assert sorted(set(Counter(link.action_id for link in links).values())) == [1, 2]
    assert {row.id for row in actions} - {link.action_id for link in links}
    backups = await rows(sample, Backup, "demo")
    assert {row.status for row in backups} == set(BackupStatus)


async def last_night(sample: Database) -> datetime:
    """Return the midnight before the load."""
    own = columns(Client)
    created = sa.select(sa.func.min(own.created_at)).where(own.project_id == "demo")
    night: datetime = await sample.scalar(created) + demo.AGE
    return night


async def test_every_verdict_is_there(sample: Database) -> None:
    backups = await rows(sample, Backup, "demo")
    assert {row.restorability for row in backups} == set(Restorability)
    assert {row.restorability_reason for row in backups} == set(RestorabilityReason) - {
        # No agent makes such backups in the order of time, or somebody has to delete some.
        RestorabilityReason.NO_TIME,
        RestorabilityReason.LEVEL_UNKNOWN,
        RestorabilityReason.REQUIRED_FORGOTTEN,
        RestorabilityReason.NOT_DERIVED,
        # Of two jobs that run at once, and of a plan.
        RestorabilityReason.REMOVED_MEANWHILE,
        RestorabilityReason.VOLUMES_MIXED,
    }
    assert {row.level_source for row in backups} == {None, *LevelSource}
    derived = [row for row in backups if row.hostname == "nas1.example.org"]
    assert {row.level for row in derived} == {0}
    assert {row.chain_level for row in derived} == {None, *range(9)}
    series = await rows(sample, Series, "demo")
    assert {row.restorability for row in series} == set(Restorability)
    assert {row.media for row in series} == {"fs", *OWN_MEDIA}
    states = await sample.rows(
        sa.select(STATE).where(CHAINS.visible, columns(Backup).chain_level == 0).distinct(),
        {"project_id": "demo"},
    )
    assert {row[0] for row in states} == set(ChainState)


async def test_schedules_and_actions_are_warned_of_in_every_way(sample: Database) -> None:
    night = await last_night(sample)
    documents = {row.id: row.freezer_action for row in await rows(sample, Action, "demo")}
    actions = defaultdict(list)
    for link in await rows(sample, JobAction, "demo"):
        actions[link.job_id].append(orjson.loads(documents[link.action_id]))
    codes: set[ScheduleWarningCode] = set()
    for row in await rows(sample, Job, "demo"):
        own, zone = values(row, Job), row.due_zone
        found = warnings(own, orjson.loads(row.job_schedule), zone, night)
        codes.update(warning.code for warning in found)
        codes.update(job_warnings.codes(actions[row.id], timetable(own, zone)))
    assert codes == set(ScheduleWarningCode)


async def test_a_restore_was_tested(sample: Database) -> None:
    own = columns(Series)
    query = sa.select(own.backup_name, LAST_TESTED).where(LAST_TESTED.is_not(None))
    ((name, tested),) = await sample.rows(query)
    jobs = {row.description: row for row in await rows(sample, Job, "demo")}
    assert (name, tested) == (
        "nas1_drafts",
        jobs["nas1: restore test of the drafts"].time_ended,
    )
    (test,) = await rows(sample, Restore)
    (backup,) = [row for row in await rows(sample, Backup, "demo") if row.id == test.backup_id]
    assert backup.series == test.series
    documents = [orjson.loads(row.freezer_action) for row in await rows(sample, Action, "demo")]
    (date,) = [one["restore_from_date"] for one in documents if "restore_from_date" in one]
    at = datetime.fromisoformat(f"{date}Z").timestamp()
    assert at - 86400 < backup.time_stamp <= at


async def test_one_client_is_silent_and_its_job_late(sample: Database) -> None:
    beats = columns(ClientHeartbeat)
    morning = int((await last_night(sample) + demo.MORNING).timestamp())
    silent = await sample.rows(sa.select(beats.client_id).where(beats.seen_at < morning))
    assert [row[0] for row in silent] == ["demo_till1.example.org"]
    jobs = columns(Job)
    late = await sample.rows(
        sa.select(jobs.description)
        .where(jobs.project_id == "demo", jobs.due_at < morning - GRACE)
        .order_by(jobs.description)
    )
    assert [row[0] for row in late] == ["till1: close the books", "till1: journal, nightly"]


async def test_sessions_agree_with_their_jobs(sample: Database) -> None:
    jobs = await rows(sample, Job, "demo")
    for session in await rows(sample, Session, "demo"):
        members = [job for job in jobs if job.session_id == session.id]
        schedule = orjson.loads(session.schedule)
        assert {job.session_tag for job in members} == {session.session_tag}
        for job in members:
            assert schedule.items() <= orjson.loads(job.job_schedule).items()
        states = orjson.loads(session.job_states)
        assert states.keys() == {job.id for job in members}
        results = {state["result"] for state in states.values()}
        expected = "fail" if "fail" in results else "success"
        assert session.result == (expected if session.status == "completed" else None)


async def test_chains_are_plausible(sample: Database) -> None:
    """Incremental backups are smaller and mostly stand on the one before; nothing is to come."""
    chains: dict[str, list[Row]] = defaultdict(list)
    backups = await rows(sample, Backup, "demo")
    for row in backups:
        chains[row.job_id].append(row)
    jobs = {row.id: row for row in await rows(sample, Job, "demo")}
    broken = 0
    for job_id, chain in chains.items():
        chain.sort(key=lambda row: row.time_stamp)
        assert chain[0].level == 0
        if job_id is None:
            # Of an agent that was run by hand.
            continue
        job = jobs[job_id]
        assert {row.client_id for row in chain} == {job.client_id}
        assert chain[-1].time_stamp <= job.time_started <= time.time()
        assert max(row.created_at for row in chain) <= now()
        for older, newer in pairwise(chain):
            assert older.time_stamp < newer.time_stamp
            stands = older.level == newer.level - 1 and older.status != "error"
            broken += newer.level != 0 and not stands
        sizes = [row for row in chain if row.uncompressed_size is not None]
        assert all(row.compressed_size <= row.uncompressed_size for row in sizes)
        full = [row.uncompressed_size for row in sizes if row.level == 0] or [1]
        assert max((row.uncompressed_size for row in sizes if row.level), default=0) < min(full)
        if job.result == "success" and job.status != "stop":
            assert chain[-1].status == "available"
            assert chain[-1].time_stamp == job.time_started
    assert 20 <= broken <= 60
    assert time.time() - min(row.time_stamp for row in backups) < 367 * 86400
    assert Counter(row.status for row in backups)["error"] < len(backups) * 0.02


async def test_jobs_have_a_history_and_some_fail(sample: Database) -> None:
    own, jobs = columns(Run), columns(Job)
    outcomes = Counter(row[0] for row in await sample.rows(sa.select(own.outcome)))
    assert set(outcomes) == set(RunOutcome)
    assert outcomes["success"] > 20 * outcomes["fail"] > 100
    failing = sa.select(jobs.failures_in_a_row).where(jobs.failures_in_a_row > 2)
    assert len(await sample.rows(failing)) >= 2
    # The last run of a job is the one that its row tells of.
    query = sa.select(jobs.id).where(jobs.last_run_start != jobs.time_started)
    assert await sample.rows(query) == []

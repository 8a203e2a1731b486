"""Every transaction leaves an entry in the change log that tells all that it has changed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import demo
from gateway.catalogue.bookkeeping_tables import ChangeLogEntry, Revision
from gateway.catalogue.tables import Backup, Client, columns, source
from gateway.changes.cursors import Cursor, Place
from gateway.changes.log import Change, ChangeLog, Head
from gateway.changes.trimming import ChangeLogTrimming
from gateway.context import Context
from gateway.db.changes import MAX_CHANGES
from gateway.db.database import Database
from gateway.db.revisions import EVERYBODY
from gateway.errors import BadInput, NotFound
from gateway.resolvers import (
    actions,
    backups,
    clients,
    health_settings,
    jobs,
    project_settings,
    retentions,
    sessions,
)
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.backups import BackupDraft
from gateway.resolvers.clients import ClientDraft
from gateway.resolvers.jobs import JobDraft
from gateway.resolvers.sessions import SessionDraft
from gateway.settings import load
from gateway.upkeep.runs import RunsUpkeep
from tests.support.queries import metadata
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

LOG, REVISIONS = columns(ChangeLogEntry), columns(Revision)
Told = tuple[str, str, str, int | None]


class Reader:
    """Follows the changes of a project."""

    def __init__(self, database: Database, project_id: str) -> None:
        self.log, self.project_id = ChangeLog(database), project_id
        self.at = Place()

    async def head(self) -> Head:
        """Return the place that the project is at."""
        return (await self.log.heads([self.project_id]))[self.project_id]

    async def read(self) -> Sequence[Change] | None:
        """Return what has happened since the last time; None: nobody knows."""
        head, found = await self.head(), []
        while self.at != head.place:
            step = await self.log.step(self.project_id, self.at, head)
            self.at = step.to
            if step.changes is None:
                return None
            found += step.changes
        return found

    async def told(self) -> list[Told]:
        """Return the same, without times."""
        found = await self.read()
        assert found is not None
        return [(str(one.kind), str(one.operation), one.id, one.version) for one in found]


@pytest.fixture
def reader(ctx: Context) -> Reader:
    """Return a reader of the test's project."""
    return Reader(ctx.db, ctx.project_id)


async def test_what_is_written_of_items_is_told(ctx: Context, reader: Reader) -> None:
    await clients.create(ctx, ClientDraft("host", description="a"))
    assert await reader.told() == [("CLIENT", "CREATED", "host", 0)]
    await clients.create(ctx, ClientDraft("host", description="b"))
    assert await reader.told() == [("CLIENT", "UPDATED", "host", 1)]
    # A scheduler registers at every start, mostly without changes.
    await clients.create(ctx, ClientDraft("host", description="b"))
    assert await reader.told() == []
    action = await actions.create(ctx, ActionDraft({"action": "admin"}))
    draft = JobDraft([ActionDraft(action_id=action.id)], job_id="job", client_id="host")
    await jobs.create(ctx, draft)
    assert await reader.told() == [
        ("ACTION", "CREATED", action.id, 0),
        ("JOB", "CREATED", "job", 0),
    ]
    await actions.delete(ctx, action.id)
    assert sorted(await reader.told()) == [
        ("ACTION", "DELETED", action.id, 0),
        ("JOB", "UPDATED", "job", 1),
    ]
    session = await sessions.create(ctx, SessionDraft({}))
    await sessions.add_job(ctx, session.id, "job")
    assert [one[:3] for one in await reader.told()] == [
        ("SESSION", "CREATED", session.id),
        ("SESSION", "UPDATED", session.id),
        ("JOB", "UPDATED", "job"),
    ]
    await sessions.delete(ctx, session.id)
    assert await reader.told() == [
        ("JOB", "UPDATED", "job", 3),
        ("SESSION", "DELETED", session.id, 1),
    ]
    await jobs.delete(ctx, "job")
    assert await reader.told() == [("JOB", "DELETED", "job", 3)]


async def test_what_is_derived_of_backups_is_told_by_their_series(
    ctx: Context, reader: Reader
) -> None:
    first = await backups.create(ctx, BackupDraft(metadata(0)))
    told = await reader.told()
    assert ("BACKUP", "CREATED", first.id, 0) in told
    (series,) = {one[2] for one in told if one[0] == "SERIES"}
    # Before the first one: both are derived anew.
    earlier = metadata(0, time_stamp=1_600_000_000)
    second = await backups.create(ctx, BackupDraft(earlier))
    assert sorted(await reader.told()) == [
        ("BACKUP", "CREATED", second.id, 0),
        ("SERIES", "UPDATED", series, None),
    ]
    await backups.delete(ctx, first.id)
    assert sorted(await reader.told()) == [
        ("BACKUP", "DELETED", first.id, 0),
        ("SERIES", "UPDATED", series, None),
    ]
    await backups.delete(ctx, second.id)
    assert ("SERIES", "DELETED", series, None) in await reader.told()


async def test_settings_are_told_without_an_id(ctx: Context, reader: Reader) -> None:
    await clients.create(ctx, ClientDraft("host"))
    await jobs.create(ctx, JobDraft([], job_id="job", client_id="host"))
    await reader.read()
    settings: Sequence[Callable[[], Awaitable[object]]] = (
        lambda: health_settings.mute(ctx, "Job", "job", "known", None),
        lambda: health_settings.unmute(ctx, "Job", "job"),
        lambda: health_settings.set_objective(ctx, None, 60),
        lambda: health_settings.set_hosts(ctx, ["a", "b"]),
    )
    for change in settings:
        await change()
        assert await reader.told() == [("SETTINGS", "UPDATED", "", None)]
    await project_settings.set_time_zone(ctx, "Europe/Berlin")
    assert ("SETTINGS", "UPDATED", "", None) in await reader.told()


async def test_a_central_client_is_told_to_all_projects(ctx: Context, reader: Reader) -> None:
    everybody = Reader(ctx.db, EVERYBODY)
    await everybody.read()
    await clients.create(ctx, ClientDraft("central", is_central=True))
    await clients.create(ctx, ClientDraft("own"))
    (change,) = await everybody.read() or ()
    assert (change.kind, change.id, change.project_id) == ("CLIENT", "central", ctx.project_id)
    assert [one[2] for one in await reader.told()] == ["central", "own"]
    await health_settings.mute(ctx, "Client", "central", "known", None)
    assert [one[0] for one in await everybody.told()] == ["SETTINGS"]
    await clients.delete(ctx, "central")
    assert await everybody.told() == [("CLIENT", "DELETED", "central", 0)]


async def test_what_changes_nothing_has_no_entry(ctx: Context, reader: Reader) -> None:
    await clients.create(ctx, ClientDraft("host"))
    before = await reader.head()
    with pytest.raises(NotFound):
        await jobs.delete(ctx, "nothing")
    assert await reader.head() == before


async def test_positions_have_no_gaps_whoever_writes(ctx: Context, reader: Reader) -> None:
    async def write(number: int) -> str:
        return (await backups.create(ctx, BackupDraft(metadata(number)))).id

    written = await asyncio.gather(*map(write, range(20)))
    (head,) = (await ChangeLog(ctx.db).heads([ctx.project_id])).values()
    assert head.place.position == len(written)
    told = await reader.told()
    assert {one[2] for one in told if one[0] == "BACKUP"} == set(written)


async def test_a_transaction_of_many_changes_has_one_entry_that_tells_none(
    ctx: Context, reader: Reader
) -> None:
    async with ctx.write() as transaction:
        rows = [
            Client(
                project_id=ctx.project_id,
                id=f"host{number}",
                user_id="u",
                **dict.fromkeys(
                    (f"supported_{kind}" for kind in ("actions", "modes", "storages", "engines")),
                    "[]",
                ),
            )
            for number in range(MAX_CHANGES + 1)
        ]
        await transaction.insert(*rows)
    assert await reader.read() is None
    assert reader.at == (await reader.head()).place


async def test_a_statement_that_nobody_tells_of_is_no_secret(ctx: Context, reader: Reader) -> None:
    backup = await backups.create(ctx, BackupDraft(metadata(0)))
    await reader.read()
    own = columns(Backup)
    async with ctx.write() as transaction:
        statement = sa.update(source(Backup)).where(own.id == backup.id)
        await transaction.rows(statement.values(status="deleted").returning(own.id))
    assert await reader.read() is None


async def test_the_sample_data_is_told_as_a_whole(ctx: Context) -> None:
    reader = Reader(ctx.db, "demo")
    await demo.load(ctx.db)
    assert await reader.read() is None


async def test_a_run_that_is_lost_or_forgotten_is_told(ctx: Context, reader: Reader) -> None:
    day, start = 86_400, 86_400_000
    running = {"status": "running", "time_started": start, "time_ended": -1, "result": ""}
    await jobs.create(ctx, JobDraft([], job_id="job"))
    await jobs.update(ctx, "job", {"schedule": running})
    await jobs.update(ctx, "job", {"schedule": running | {"time_started": start + day}})
    await reader.read()
    upkeep = RunsUpkeep(ctx.db, load(run_lost_after=day, run_history_days=10))
    assert await upkeep.lose(knows_silence=False, now=start + 9 * day) == 1
    assert await reader.told() == [("JOB", "UPDATED", "job", None)]
    assert await upkeep.lose(knows_silence=False, now=start + 9 * day) == 0
    assert await reader.told() == []
    assert await upkeep.forget(now=start + 20 * day) == 1
    assert await reader.told() == [("JOB", "UPDATED", "job", None)]


async def test_expired_backups_that_are_deleted_are_told(ctx: Context, reader: Reader) -> None:
    await backups.create(ctx, BackupDraft(metadata(0)))
    (series,) = {one[2] for one in await reader.told() if one[0] == "SERIES"}
    own = columns(Backup)
    async with ctx.write() as transaction:
        expired = sa.update(source(Backup)).values(restorability="EXPIRED")
        await transaction.rows(expired.where(own.project_id == ctx.project_id))
    await reader.read()
    await retentions.delete_expired(ctx, series)
    told = await reader.told()
    assert [one[1] for one in told if one[0] in {"BACKUP", "SERIES"}] == ["DELETED"] * 2


async def unlogged(ctx: Context) -> None:
    """Renew the revision as a gateway without a log does."""
    values = {"revision": REVISIONS.revision + 1}
    statement = sa.update(source(Revision)).where(REVISIONS.project_id == ctx.project_id)
    async with ctx.db.transaction() as connection:
        await connection.execute(statement.values(values))


async def test_the_writes_of_a_gateway_without_a_log_are_noticed(
    ctx: Context, reader: Reader
) -> None:
    await clients.create(ctx, ClientDraft("one"))
    await reader.read()
    at = reader.at
    await unlogged(ctx)
    assert await reader.read() is None
    await clients.create(ctx, ClientDraft("two"))
    # Also by those who look only after the next write of this one.
    reader.at = at
    assert await reader.read() is None
    await clients.create(ctx, ClientDraft("three"))
    assert [one[2] for one in await reader.told()] == ["three"]


async def test_a_place_that_the_log_has_never_had_is_not_gone_on_from(
    ctx: Context, reader: Reader
) -> None:
    for name in ("one", "two", "three"):
        await clients.create(ctx, ClientDraft(name))
    head = (await reader.head()).place
    for place in (
        Place(2, 12345),
        Place(head.position, 12345),
        Place(head.position + 1, head.revision),
    ):
        reader.at = place
        assert await reader.read() is None
        assert reader.at == head


async def test_the_log_is_trimmed_by_age_and_by_number(ctx: Context, reader: Reader) -> None:
    for number in range(6):
        await clients.create(ctx, ClientDraft(f"host{number}"))
    head = (await reader.head()).place
    settings = load(change_log_seconds=60, change_log_transactions=100)
    trimming = ChangeLogTrimming(ctx.db, settings)
    assert await trimming.trim() == 0
    few = settings.model_copy(update={"change_log_transactions": 2})
    assert await ChangeLogTrimming(ctx.db, few).trim() == 4
    assert await positions(ctx) == [5, 6]
    assert await reader.read() is None
    # Somebody who has read everything goes on, whatever is left of it.
    assert await trimming.trim(now=time.time() + 61) == 1
    assert await positions(ctx) == [6]
    assert reader.at == head
    await clients.create(ctx, ClientDraft("more"))
    assert [one[2] for one in await reader.told()] == ["more"]


async def positions(ctx: Context) -> list[int]:
    query = sa.select(LOG.position).where(LOG.project_id == ctx.project_id).order_by(LOG.position)
    return [row[0] for row in await ctx.db.rows(query)]


async def test_the_log_costs_no_statement_on_a_server(
    ctx: Context, recorder: QueryRecorder
) -> None:
    with recorder:
        await actions.create(ctx, ActionDraft({"action": "admin"}))
    assert len(recorder.matching("change_log")) == 1
    assert len(recorder) == (3 if ctx.db.is_sqlite else 2)


async def test_the_places_of_many_projects_are_one_statement(
    ctx: Context, recorder: QueryRecorder
) -> None:
    await clients.create(ctx, ClientDraft("host"))
    names = [ctx.project_id, *(f"p{number}" for number in range(100))]
    with recorder:
        heads: dict[str, Any] = dict(await ChangeLog(ctx.db).heads(names))
    assert len(recorder) == 1
    assert heads.pop(ctx.project_id).place.position == 1
    assert set(heads.values()) == {Head()}


@pytest.mark.parametrize(
    "text", ["", "x", "1-2-3", "1-g-1-1", "-1-0-0-0", f"{10**18}-0-0-0", "1-1-1-1\n", "٣-1-1-1"]
)
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="after"):
        Cursor.read(text, "after")


def test_a_cursor_is_read_as_it_is_written() -> None:
    cursor = Cursor(Place(5, 2**62 - 1), Place())
    assert Cursor.read(str(cursor), "after") == cursor

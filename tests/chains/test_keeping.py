"""What is kept with the backups is what the rules say of all of them, whatever was written when."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.catalogue.series_tables import ForgottenBackup, Removal, Series
from gateway.catalogue.tables import Backup, columns
from gateway.chains.filling import fill
from gateway.chains.keeping import MAX_LEVEL
from gateway.chains.places import place_of
from gateway.chains.policies import NEVER_INCREMENTAL, Policy
from gateway.chains.states import NEVER, Entry
from gateway.db.database import Database
from gateway.resolvers import backups, jobs
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.backups import BackupDraft
from gateway.resolvers.jobs import JobDraft
from tests.support.apps import MakeContext
from tests.support.folding import fold

pytestmark = pytest.mark.anyio

OWN, SERIES, FORGOTTEN = columns(Backup), columns(Series), columns(ForgottenBackup)
REMOVALS = columns(Removal)
DAY = 86_400
DERIVED = ("chain_time", "chain_level", "level_source", "restorability", "restorability_reason")


def metadata(day: float, **values: Any) -> dict[str, Any]:
    """Return the metadata of a backup of this day, as freezer-agent 19 sends it."""
    given = {
        "backup_name": "etc",
        "hostname": "web1",
        "container": "/backups",
        "storage": "local",
        "engine_name": "tar",
        "mode": "fs",
        "backup_media": "fs",
        "curr_backup_level": 0,
        "time_stamp": int(day * DAY),
        "max_level": "",
        "always_level": "",
    }
    return given | values


async def stored(database: Database, project: str = "p1") -> list[Any]:
    """Return the backups of a project, in the order of their series and time."""
    query = sa.select(*OWN).where(OWN.project_id == project)
    return list(await database.rows(query.order_by(OWN.series, OWN.calendar_time, OWN.id)))


async def check(database: Database) -> None:
    """Compare what is kept with what the rules say of each series as a whole."""
    rows = await stored(database)
    forgotten = list(await database.rows(sa.select(*FORGOTTEN)))
    removals = list(await database.rows(sa.select(*REMOVALS)))
    series = {row.id: row for row in await database.rows(sa.select(*SERIES))}
    assert set(series) == {row.series for row in rows}
    for one in series.values():
        own = [row for row in rows if row.series == one.id]
        gone = [row for row in forgotten if row.series == one.id]
        expect(own, gone, [row for row in removals if row.series == one.id], one)


def removed(row: Any, rows: Sequence[Any]) -> int:
    """Return the time up to which a removal has removed chains."""
    own = [one.calendar_time for one in rows if one.job_id == row.job_id]
    own = [time for time in own if row.began_at <= time <= row.ended_at and row.own_came_first]
    policy = Policy.load(row.policy)
    assert policy is not None
    return policy.removed_at(max([row.began_at, *own]))


def before(
    time: int | None, job_id: str | None, removals: Sequence[Any], rows: Sequence[Any]
) -> tuple[int, int]:
    """Return the time up to which chains were removed before a backup, and about then."""
    sure, unsure = [NEVER], [NEVER]
    for row in removals:
        is_own = row.job_id == job_id and row.own_came_first is not None
        is_before = time is None or row.ended_at < time
        if is_before or (row.began_at <= time and is_own and not row.own_came_first):
            sure.append(removed(row, rows))
        elif row.began_at <= time and not is_own:
            unsure.append(removed(row, rows))
    return max(sure), max(unsure)


def expect(
    rows: Sequence[Any], forgotten: Sequence[Any], removals: Sequence[Any], series: Any
) -> None:
    told = any(row.level is not None and 0 < row.level < MAX_LEVEL for row in rows)
    place = place_of(rows[0], orjson.loads(rows[0].backup_metadata))
    assert place.id == series.id
    media = place.rules(is_told=told)
    entries: list[tuple[tuple[Any, ...], Entry, Any]] = [
        (
            (row.calendar_time, 0, row.id),
            Entry(
                row.calendar_time,
                row.status,
                row.level,
                Policy.load(row.policy),
                has_cinder_backup="cinder_backup_id" in orjson.loads(row.backup_metadata),
            ),
            row,
        )
        for row in rows
    ]
    entries += [
        (
            (row.calendar_time, 1, ""),
            Entry(row.calendar_time, row.status, None, Policy.load(row.policy), is_forgotten=True),
            None,
        )
        for row in forgotten
    ]
    entries.sort(key=lambda one: one[0])
    removing = [
        *(before(entry.time, row and row.job_id, removals, rows) for _, entry, row in entries),
        before(None, None, removals, rows),
    ]
    found = fold([entry for _, entry, _ in entries], media, removing)
    for (_, _, row), verdict in zip(entries, found, strict=True):
        if row is None:
            continue
        kept = tuple(getattr(row, name) for name in DERIVED)
        source = verdict.source and verdict.source.value
        said = (verdict.chain, verdict.level, source, verdict.restorability, verdict.reason)
        if kept[3] == "EXPIRED" and verdict.chain <= series.removed_time:
            # A retention has run that nothing tells of any more.
            said = (*said[:3], "EXPIRED", "RETENTION")
        assert kept == said, (row.calendar_time / DAY, kept, said)
        assert row.derived_version == row.version
    newest = max(rows, key=lambda row: (row.calendar_time, row.id))
    assert series.newest_time == newest.calendar_time
    assert series.restorability == newest.restorability
    assert series.is_told == told or place.media in NEVER_INCREMENTAL | {"cindernative"}


LEVELS = st.sampled_from(
    [
        {},
        {"max_level": 2},
        {"max_level": 2},
        {"max_level": 3},
        {"always_level": 2},
        {"always_level": 1, "max_level": 3},
        {"mode": "mysql"},
        {"curr_backup_level": 1},
        {"curr_backup_level": 2},
    ]
)
BACKUPS = st.fixed_dictionaries(
    {
        "day": st.integers(1, 12),
        "status": st.sampled_from(["available"] * 5 + ["error", "creating", "deleted"]),
        "levels": LEVELS,
        "job": st.sampled_from(
            [None, "full", "incremental", "restarting", "retention", "saving", "tidying", "both"]
        ),
        "storage": st.sampled_from(["local", "local", "local", "ssh"]),
        "told": st.booleans(),
    }
)
ACTIONS = {
    "full": {},
    "incremental": {"incremental": True},
    "restarting": {"incremental": "True", "always_level": 1, "restart_always_level": 2.0},
    "retention": {"incremental": True, "max_level": 1, "remove_older_than": "5"},
}
PLACE = {
    "backup_name": "etc",
    "container": "/backups",
    "storage": "local",
    "hostname": "web1",
    "engine_name": "tar",
}
SAVING = {"action": "backup", "mode": "fs", "incremental": True, **PLACE}
REMOVING = {"action": "admin", "remove_older_than": 3, **PLACE}
REMOVERS = {
    "removing": [{"action": "admin", "remove_before_date": "1970-01-05T00:00:00", **PLACE}],
    # Everything goes.
    "saving": [SAVING, REMOVING | {"remove_older_than": False}],
    "tidying": [REMOVING, SAVING],
    "both": [SAVING, REMOVING, SAVING],
}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("register"), BACKUPS),
        st.tuples(st.just("register"), BACKUPS),
        st.tuples(st.just("delete"), st.integers(0, 30)),
        st.tuples(st.just("update"), st.tuples(st.integers(0, 30), BACKUPS)),
        st.tuples(
            st.just("remove"),
            st.tuples(
                st.sampled_from(["removing", "saving", "tidying", "both"]),
                st.integers(1, 12),
                st.sampled_from([0, 0.5, 2]),
            ),
        ),
    ),
    min_size=1,
    max_size=16,
)


def written(backup: Mapping[str, Any], *, may_tell: bool) -> dict[str, Any]:
    levels = dict(backup["levels"])
    if not may_tell:
        levels.pop("curr_backup_level", None)
    return metadata(backup["day"], storage=backup["storage"], **levels)


@pytest.fixture
async def acting(make_ctx: MakeContext) -> None:
    """Store jobs with a backup action each."""
    ctx = make_ctx("p1")
    for name, policy in ACTIONS.items():
        action = {"action": "backup", "backup_name": "etc", "mode": "fs", **policy}
        await jobs.create(ctx, JobDraft([ActionDraft(action)], job_id=name))
    for name, actions in REMOVERS.items():
        await jobs.create(ctx, JobDraft([ActionDraft(dict(one)) for one in actions], job_id=name))


@pytest.mark.usefixtures("acting")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, may_tell=st.booleans())
async def test_any_order_of_writes(
    database: Database, make_ctx: MakeContext, steps: Sequence[Any], may_tell: Any
) -> None:
    ctx, ids = make_ctx("p1"), list[str]()
    try:
        for kind, what in steps:
            if kind == "register":
                document = written(what, may_tell=may_tell)
                draft = BackupDraft(document, what["status"], job_id=what["job"])
                ids.append((await backups.create(ctx, draft)).id)
            elif kind == "delete" and ids:
                await backups.delete(ctx, ids.pop(what % len(ids)))
            elif kind == "update" and ids:
                at, backup = what
                document = written(backup, may_tell=may_tell)
                changes = {"status": backup["status"], "metadata": document}
                await backups.update(ctx, ids[at % len(ids)], changes)
            elif kind == "remove":
                name, day, days = what
                times = {"time_started": day * DAY, "time_ended": int((day + days) * DAY)}
                schedule = {"status": "scheduled", "result": "success", **times}
                await jobs.update(ctx, name, {"schedule": schedule})
            await check(database)
    finally:
        for one in ids:
            await backups.delete(ctx, one)
    assert not await database.rows(sa.select(*SERIES))
    assert not await database.rows(sa.select(*FORGOTTEN))
    assert not await database.rows(sa.select(*REMOVALS))


async def test_a_catalogue_of_before_is_filled(database: Database, make_ctx: MakeContext) -> None:
    ctx = make_ctx("p1")
    for day in (3, 1, 2, 5, 4):
        await backups.create(ctx, BackupDraft(metadata(day, max_level=2)))
        await backups.create(make_ctx("p2"), BackupDraft(metadata(day, max_level=1)))
    before = await stored(database), await stored(database, "p2")
    async with database.write("p1") as transaction:
        await transaction.execute_many(
            sa.update(Backup).values(
                series=None,
                policy=None,
                chain_time=None,
                chain_level=None,
                level_source=None,
                restorability="UNKNOWN",
                restorability_reason="NOT_DERIVED",
                chain_state=None,
                derived_version=None,
            ),
            [{}],
        )
        await transaction.execute_many(sa.delete(Series), [{}])
    told: list[str] = []
    assert await fill(database, told.append) == 2
    assert (await stored(database), await stored(database, "p2")) == before
    assert told == ["10 of 10 backups have their series", "2 of 2 series have been derived"]
    assert await fill(database) == 0

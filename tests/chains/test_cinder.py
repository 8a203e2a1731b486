"""Backups that Cinder itself holds: what the removals have removed that ride on them."""

import random
from typing import Any

import pytest

from gateway.chains.policies import Policy
from gateway.chains.states import Entry, Media
from gateway.db.database import Database
from gateway.resolvers import backups, jobs
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.backups import BackupDraft
from gateway.resolvers.jobs import JobDraft
from tests.chains.test_keeping import DAY, check, metadata
from tests.chains.test_past import PLAN
from tests.chains.test_questions import asked
from tests.chains.test_removals import EXPIRED, THERE, UNKNOWN, Catalogue
from tests.chains.test_restores import series_id
from tests.support.apps import MakeContext
from tests.support.cinder_rules import Volume
from tests.support.folding import fold

pytestmark = pytest.mark.anyio

MEDIA = Media("cindernative", is_sorted=False, is_local=False, is_told=False)
HISTORIES = 1500
GAPS = (DAY // 24, DAY // 2, DAY, DAY, DAY, 4 * DAY)
VOLUME: dict[str, Any] = {
    "mode": "cindernative",
    "backup_media": "cindernative",
    "cindernative_vol_id": "v1",
}


@pytest.mark.parametrize("seed", range(3))
def test_verdicts_are_what_is_left_in_cinder(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - histories, not secrets
    expired = 0
    for _ in range(HISTORIES):
        volume, entries, time = Volume(), list[Entry](), 1_700_000_000
        share, days = chance.choice([0, 0.5, 0.9]), chance.choice([None, 0, 1, 2.5, 6])
        for _ in range(chance.randint(1, 20)):
            time += chance.choice(GAPS)
            removal = chance.choice([days, days, None])
            policy = Policy(incremental=chance.random() < share, remove_older_than=removal)
            status = volume.back_up(time, incremental=policy.incremental, older_than=removal)
            entries.append(Entry(time, status, 0, policy, has_cinder_backup=True))
        there = {at for at, _ in volume.held}
        failed = any(entry.status == "creating" for entry in entries)
        for entry, verdict in zip(entries, fold(entries, MEDIA), strict=True):
            if entry.status == "creating":
                continue
            context = (seed, entry, verdict, entries)
            if entry.time in there:
                assert verdict.restorability == THERE, context
            elif not failed:
                # A run that failed has removed something, perhaps, and the next one will.
                assert verdict.restorability == EXPIRED, context
                expired += 1
    assert expired > HISTORIES


def action(**options: Any) -> dict[str, Any]:
    return {"action": "backup", "backup_name": "etc", "mode": "cindernative", **options}


async def made(catalogue: Catalogue, day: float, job_id: str, **values: Any) -> None:
    """Register a backup as the scheduler does: before it is made, and changed when it is."""
    begun = {"backup_name": "etc", "time_stamp": int(day * DAY), "status": "creating", **VOLUME}
    answer = await catalogue.send("POST", "backups", begun | {"action": "backup"})
    given = {"cinder_backup_id": f"c{day}", "status": "available", "job_id": job_id}
    document = metadata(day, **VOLUME) | given | values
    await catalogue.send("PATCH", f"backups/{answer.json()['backup_id']}", document)


@pytest.fixture
async def catalogue(client: Any, graphql: Any) -> Catalogue:
    """Return a catalogue with jobs that back up a volume."""
    found = Catalogue(client, graphql)
    await found.host()
    await found.job("full", action(remove_older_than=2.5))
    await found.job("daily", action(remove_older_than=2.5, incremental=True))
    await found.job("plain", action())
    return found


async def test_full_backups_expire_one_by_one(catalogue: Catalogue) -> None:
    for day in range(1, 7):
        await made(catalogue, day, "full")
    assert await catalogue.words() == [EXPIRED] * 3 + [THERE] * 3
    plan = {"series": await series_id(catalogue.graphql), "asOf": "1970-01-03T12:00:00Z"}
    found = (await asked(catalogue.graphql, PLAN, plan))["restorePlan"]
    assert (found["restorability"], found["restorabilityReason"]) == (THERE, "CINDER_BACKUP")


async def test_a_chain_goes_when_its_newest_backup_is_old_enough(catalogue: Catalogue) -> None:
    for day in range(1, 5):
        await made(catalogue, day, "daily")
    # The first one is older than two and a half days, but the others need it.
    assert await catalogue.words() == [THERE] * 4
    await made(catalogue, 5, "full")
    await made(catalogue, 6, "full")
    assert await catalogue.words() == [THERE] * 6
    await made(catalogue, 7, "daily")
    assert await catalogue.words() == [EXPIRED] * 4 + [THERE] * 3
    # It is based on the newest one, whose chain stays.
    await made(catalogue, 9, "daily")
    assert await catalogue.words() == [EXPIRED] * 5 + [THERE] * 3


async def test_only_a_job_that_removes_does(catalogue: Catalogue) -> None:
    for day in range(1, 7):
        await made(catalogue, day, "plain")
    assert await catalogue.words() == [THERE] * 6


async def test_the_policy_is_that_of_when_the_job_was_told(catalogue: Catalogue) -> None:
    for day in range(1, 6):
        await made(catalogue, day, "plain")
    edited = {"job_actions": [{"freezer_action": action(remove_older_than=1)}]}
    await catalogue.send("PATCH", "jobs/plain", edited)
    for one in (await catalogue.client.get("/v2/p1/backups")).json()["backups"]:
        change = {"backup_metadata": {"note": "seen"}}
        await catalogue.send("PATCH", f"backups/{one['backup_id']}", change)
    assert await catalogue.words() == [THERE] * 5
    await made(catalogue, 6, "plain")
    assert await catalogue.words() == [EXPIRED] * 5 + [THERE]


async def test_what_an_older_agent_made_is_not_removed(catalogue: Catalogue) -> None:
    """Removed is only what the agent has marked, and those that did told Cinder's id as well."""
    await made(catalogue, 1, "full", cinder_backup_id="")
    for day in range(5, 9):
        await made(catalogue, day, "full")
    assert await catalogue.words() == [UNKNOWN, EXPIRED, THERE, THERE, THERE]


@pytest.mark.parametrize("seed", range(6))
async def test_the_order_of_writes_does_not_matter(
    database: Database, make_ctx: MakeContext, seed: int
) -> None:
    chance, ctx = random.Random(seed), make_ctx("p1")  # noqa: S311 - histories, not secrets
    for name, options in {
        "full": {"remove_older_than": 3},
        "daily": {"remove_older_than": 2, "incremental": True},
        "plain": {"incremental": True},
    }.items():
        await jobs.create(ctx, JobDraft([ActionDraft(action(**options))], job_id=name))
    drafts = [
        BackupDraft(
            metadata(day, cinder_backup_id=f"c{day}", **VOLUME),
            chance.choice(["available"] * 6 + ["creating", "error", "deleted"]),
            job_id=chance.choice(["full", "daily", "daily", "plain", None]),
        )
        for day in range(1, 16)
    ]
    chance.shuffle(drafts)
    ids = []
    for draft in drafts:
        ids.append((await backups.create(ctx, draft)).id)
        await check(database)
    for one in chance.sample(ids, 8):
        if chance.random() < 0.5:
            await backups.delete(ctx, one)
        else:
            await backups.update(ctx, one, {"status": chance.choice(["available", "error"])})
        await check(database)

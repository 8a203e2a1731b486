"""Schedules: what freezer-scheduler dies of isn't stored, but in a form that means the same."""

from typing import Any

import httpx
import orjson
import pytest
import sqlalchemy as sa

from gateway.catalogue.tables import Job, Session, columns, source
from gateway.context import Context
from gateway.errors import Code
from gateway.resolvers import sessions
from gateway.resolvers.sessions import SessionDraft
from tests.support.surfaces import GraphQL, RefusedError, Rest, Surface

pytestmark = pytest.mark.anyio

EQUIVALENTS = (
    ("schedule_start_date", "2027-03-29T02:30:00.000Z", "2027-03-29T02:30:00"),
    ("schedule_start_date", "2027-03-29T02:30:00Z", "2027-03-29T02:30:00"),
    ("schedule_start_date", "2027-03-29T02:30:00+02:00", "2027-03-29T00:30:00"),
    ("schedule_end_date", "2027-03-29T23:30:00.250-02:00", "2027-03-30T01:30:00.250"),
    ("schedule_end_date", "2027-03-29T02:30:00.1234560000", "2027-03-29T02:30:00.123456"),
    # Without an offset it is read in the time zone of the host, with one it isn't.
    ("schedule_date", "2027-03-29T02:30:00.000Z", "2027-03-29T02:30:00Z"),
    ("schedule_date", "2027-03-29T02:30:00+02:00", "2027-03-29T02:30:00+02:00"),
    ("schedule_interval", "5  minutes", "5 minutes"),
    ("schedule_hour", "", None),
)
AS_SENT = (
    ("schedule_interval", "continuous"),
    ("schedule_interval", "05 hours"),
    ("schedule_interval", "1000000 days"),
    ("schedule_start_date", "2027-03-29T02:30:00"),
    ("schedule_end_date", "9999-12-31T23:59:59"),
    ("schedule_year", "1970"),
    ("schedule_month", "jan-mar, 12"),
    ("schedule_day", "2nd fri,last"),
    ("schedule_week", "*/2"),
    ("schedule_day_of_week", "MON-fri"),
    ("schedule_hour", "0-23/2"),
    ("schedule_minute", " 5 , 10-20"),
    ("event", "abort"),
)
REFUSED = (
    ("schedule_start_date", "2027-02-30T02:30:00"),
    ("schedule_start_date", "-2027-03-29T02:30:00"),
    ("schedule_start_date", "12027-03-29T02:30:00"),
    ("schedule_end_date", "0000-03-29T02:30:00"),
    ("schedule_end_date", "9999-12-31T23:59:59-01:00"),
    ("schedule_end_date", "2027-03-29T02:30:00.1234567"),
    ("schedule_date", "2027-02-29T02:30:00Z"),
    ("schedule_date", "9999-12-31T23:59:59"),
    ("schedule_interval", "1000001 days"),
    ("schedule_interval", f"{'9' * 400} seconds"),
    ("schedule_year", "1969"),
    ("schedule_month", "13"),
    ("schedule_month", "march"),
    ("schedule_day", "9th fri"),
    ("schedule_day", "5-5/1"),
    ("schedule_week", "54"),
    ("schedule_day_of_week", "7"),
    ("schedule_day_of_week", "fri-mon"),
    ("schedule_hour", "*/24"),
    ("schedule_hour", "often"),
    ("schedule_minute", "1,,2"),
    ("schedule_second", "*/0"),
    ("event", "remove"),
)


@pytest.fixture(params=[Rest, GraphQL])
def surface(request: pytest.FixtureRequest, client: httpx.AsyncClient) -> Surface:
    """Return either surface."""
    made: Surface = request.param(client)
    return made


async def written(surface: Surface, schedule: dict[str, Any]) -> list[dict[str, Any]]:
    """Write a schedule in a new job, and in one that had none; return both of what is shown."""
    new = await surface.create("job", {"job_actions": [], "job_schedule": dict(schedule)})
    old = await surface.create("job", {"job_actions": []})
    await surface.update("job", old, {"job_schedule": dict(schedule)})
    return [(await surface.show("job", job_id))["job_schedule"] for job_id in (new, old)]


@pytest.mark.parametrize(("key", "sent", "stored"), EQUIVALENTS)
async def test_an_equivalent_is_stored(surface: Surface, key: str, sent: str, stored: str) -> None:
    for shown in await written(surface, {key: sent}):
        assert shown.get(key) == stored


@pytest.mark.parametrize(("key", "sent"), AS_SENT)
async def test_what_a_scheduler_reads_is_stored_as_sent(
    surface: Surface, key: str, sent: str
) -> None:
    for shown in await written(surface, {key: sent}):
        assert shown[key] == sent


@pytest.mark.parametrize(("key", "sent"), REFUSED)
async def test_what_a_scheduler_dies_of_is_refused(surface: Surface, key: str, sent: str) -> None:
    job_id = await surface.create("job", {"job_actions": []})
    before = await surface.show("job", job_id)
    bad = {"job_schedule": {key: sent}}
    for asked in (
        surface.create("job", {"job_actions": [], **bad}),
        surface.update("job", job_id, {"description": "changed", **bad}),
    ):
        with pytest.raises(RefusedError) as caught:
            await asked
        assert caught.value.code is Code.BAD_USER_INPUT
        assert key in caught.value.message
        assert sent[:20] in caught.value.message
    assert await surface.list("job") == [job_id]
    assert await surface.show("job", job_id) == before


async def test_a_session_s_schedule_is_held_to_the_same(
    client: httpx.AsyncClient, ctx: Context
) -> None:
    session = await sessions.create(ctx, SessionDraft({"schedule_interval": "5  minutes"}))
    address = f"/v2/p1/sessions/{session.id}"
    assert (await client.get(address)).json()["schedule"] == {"schedule_interval": "5 minutes"}
    for key, sent in REFUSED:
        # The scheduler would not read it beside an interval.
        patch = {"schedule_interval": None} | {key: sent}
        changed = await client.patch(address, json={"schedule": patch})
        assert changed.status_code == 400
        made = await client.post("/v2/p1/sessions", json={"schedule": {key: sent}})
        assert made.status_code == 400
    # One that was imported as it was is mended, or refused, when a job gets it.
    job_id = (await client.post("/v2/p1/jobs", json={"job_actions": []})).json()["job_id"]
    for imported, status, stored in (
        ({"schedule_interval": "7   minutes"}, 204, "7 minutes"),
        ({"schedule_start_date": "2027-02-30T00:00:00"}, 400, "7 minutes"),
    ):
        text = orjson.dumps(imported).decode()
        async with ctx.write() as transaction:
            await transaction.rows(sa.update(source(Session)).values(schedule=text))
        added = await client.put(f"{address}/jobs/{job_id}")
        assert added.status_code == status
        schedule = (await client.get(f"/v2/p1/jobs/{job_id}")).json()["job_schedule"]
        assert schedule["schedule_interval"] == stored


@pytest.mark.parametrize("read", ["schedule_date", "schedule_interval"])
async def test_what_the_scheduler_does_not_read_is_kept_as_sent(
    client: httpx.AsyncClient, read: str
) -> None:
    trigger = {"schedule_date": "2015-06-02T16:20:00", "schedule_interval": "5 days"}[read]
    # As published: days of the week are no days of the month.
    unread = {"schedule_month": "1-6, 9-12", "schedule_day": "mon, wed, fri"}
    body = {"job_actions": [], "job_schedule": {read: trigger} | unread}
    made = await client.post("/v2/p1/jobs", json=body)
    assert made.status_code == 201
    address = f"/v2/p1/jobs/{made.json()['job_id']}"
    schedule = (await client.get(address)).json()["job_schedule"]
    assert {key: schedule[key] for key in (read, *unread)} == {read: trigger} | unread
    # Without the date or the interval, it would be read.
    patch = {"job_schedule": {read: None}}
    assert (await client.patch(address, json=patch)).status_code == 400
    patch = {"job_schedule": {read: None, "schedule_day": "1st mon"}}
    assert (await client.patch(address, json=patch)).status_code == 200


async def test_what_is_not_changed_is_not_refused(surface: Surface, ctx: Context) -> None:
    """A job from before these rules can be stopped, changed and mended."""
    job_id = await surface.create("job", {"job_actions": []})
    stored = {"schedule_hour": "99", "schedule_minute": "x", "event": "remove"}
    async with ctx.write() as transaction:
        text = orjson.dumps(stored).decode()
        await transaction.rows(
            sa.update(source(Job)).where(columns(Job).id == job_id).values(job_schedule=text)
        )
    await surface.update("job", job_id, {"job_schedule": stored | {"status": "stop"}})
    assert await surface.request(job_id, "stop")
    await surface.update("job", job_id, {"job_schedule": {"schedule_hour": "9"}})
    assert (await surface.show("job", job_id))["job_schedule"] == {
        "schedule_hour": "9",
        "schedule_minute": "x",
        "event": "stop",
        "status": "stop",
    }
    with pytest.raises(RefusedError):
        await surface.update("job", job_id, {"job_schedule": {"schedule_minute": "y"}})

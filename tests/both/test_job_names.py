"""The names of jobs: the dialect decides how long they may be, on both surfaces alike."""

from typing import Any

import pytest
import sqlalchemy as sa

from gateway.catalogue.tables import Job, source
from gateway.context import Context
from gateway.errors import Code
from tests.support.apps import MakeClient
from tests.support.surfaces import GraphQL, RefusedError, Rest, Surface

pytestmark = pytest.mark.anyio

JAPANESE = "毎日のバックアップを実行するための仕事です。"
CLONE = "a job with a long name, as Horizon calls the copy of one, is._clone"
LONGEST = "é" * 255


@pytest.fixture(params=[Rest, GraphQL])
def surface(request: pytest.FixtureRequest) -> Any:
    """Return either surface's class."""
    return request.param


async def write(surface: Surface, job_id: str, name: str) -> list[str]:
    """Give a new job and an old one this name; return what is wrong with it."""
    said = []
    for asked in (
        surface.create("job", {"job_actions": [], "description": name}),
        surface.update("job", job_id, {"description": name}),
    ):
        try:
            await asked
        except RefusedError as error:
            said.append(f"{error.code} {error.message}")
    return said


async def test_documented(make_client: MakeClient, surface: Any) -> None:
    assert (len(JAPANESE), len(JAPANESE.encode())) == (22, 66)
    assert len(CLONE) == 67
    it: Surface = surface(await make_client())
    job_id = await it.create("job", {"job_actions": []})
    assert await write(it, job_id, "é" * 32) == []
    for name in (JAPANESE, CLONE, LONGEST):
        for said in await write(it, job_id, name):
            assert said.startswith(f"{Code.BAD_USER_INPUT} 'description'")
            assert name[:10] in said
            assert "64" in said
        assert len(await write(it, job_id, name)) == 2


async def test_freezer_19(make_client: MakeClient, surface: Any) -> None:
    it: Surface = surface(await make_client(rest_dialect="freezer-19"))
    job_id = await it.create("job", {"job_actions": []})
    for name in (JAPANESE, CLONE, LONGEST, "😀" * 255):
        assert await write(it, job_id, name) == []
        assert (await it.show("job", job_id))["description"] == name
    said = await write(it, job_id, "x" * 256)
    assert len(said) == 2
    assert all("255" in each for each in said)


async def test_a_name_that_is_not_changed_is_not_refused(
    make_client: MakeClient, surface: Any, ctx: Context
) -> None:
    client = await make_client()
    it: Surface = surface(client)
    job_id = await it.create("job", {"job_actions": []})
    async with ctx.write() as transaction:
        await transaction.rows(sa.update(source(Job)).values(description=JAPANESE))
    await it.update("job", job_id, {"description": JAPANESE, "job_schedule": {"status": "stop"}})
    await it.update("job", job_id, {"job_actions": []})
    assert await it.request(job_id, "start")
    document = {"job_actions": [], "description": JAPANESE}
    replaced = await client.post(f"/v2/p1/jobs/{job_id}", json=document)
    assert replaced.status_code == 201
    replaced = await client.post("/v2/p1/jobs/another", json=document)
    assert replaced.status_code == 400
    assert len(await write(it, job_id, f"{JAPANESE}_clone")) == 2

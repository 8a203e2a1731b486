"""Writers at the same time: nobody's change is lost, and one id has one item."""

import asyncio

import pytest

from gateway.context import Context
from gateway.db.database import Database
from gateway.resolvers import actions
from tests.support.apps import GraphQL
from tests.support.tell import DO, METADATA, Teller

pytestmark = pytest.mark.anyio


@pytest.fixture
def tell(graphql: GraphQL, database: Database) -> Teller:
    """Return what sends mutations to the application."""
    return Teller(graphql, database)


async def test_updates_at_the_same_time_lose_nothing(tell: Teller) -> None:
    job = (await tell("createJob", actions=[]))["id"]
    backup = (await tell("registerBackup", metadata=METADATA))["id"]
    parts = {"hour": "1", "minute": "2", "second": "3", "week": "4", "day": "5", "year": "2026"}
    await asyncio.gather(
        *(tell("updateJob", id=job, schedule={name: value}) for name, value in parts.items()),
        *(tell("updateBackup", id=backup, metadata={f"k{n}": n}) for n in range(6)),
        tell("updateJob", id=job, description="new"),
        tell("startJob", id=job),
    )
    data = await tell.ask(
        "{ jobs { nodes { description event version schedule { hour minute second week day year }"
        " } } backups { nodes { metadata version } } }"
    )
    (row,) = data["jobs"]["nodes"]
    assert row == {"description": "new", "event": "START", "version": 8, "schedule": parts}
    (row,) = data["backups"]["nodes"]
    assert row["version"] == 6
    assert {f"k{n}": n for n in range(6)}.items() <= row["metadata"].items()


async def test_of_two_that_take_one_id_one_gets_it(tell: Teller) -> None:
    answers = await asyncio.gather(
        *(tell.send("createJob", jobId="mine", description=f"{n}", actions=[DO]) for n in range(5))
    )
    failed = [answer for answer in answers if "errors" in answer]
    assert [f["errors"][0]["extensions"]["code"] for f in failed] == ["CONFLICT"] * 4
    data = await tell.ask("{ jobs { totalCount } actions { totalCount } }")
    assert data == {"jobs": {"totalCount": 1}, "actions": {"totalCount": 1}}


async def test_a_client_that_registers_many_times_at_once_is_one(tell: Teller) -> None:
    both = [{"supportedModes": ["fs"]}, {"description": "d"}] * 3
    await asyncio.gather(*(tell("registerClient", clientId="host", **given) for given in both))
    data = await tell.ask("{ clients { nodes { supportedModes description } } }")
    assert data["clients"]["nodes"] == [{"supportedModes": ["fs"], "description": "d"}]


async def test_mutations_of_one_request_happen_in_their_order(tell: Teller) -> None:
    data = await tell.ask(
        """mutation {
          a: registerClient(input: {clientId: "h", description: "1"}) { client { version } }
          b: registerClient(input: {clientId: "h", description: "2"}) { client { version } }
          c: registerClient(input: {clientId: "h", description: "3"}) { client { description } }
        }"""
    )
    assert [data[name]["client"] for name in "abc"] == [
        {"version": 0},
        {"version": 1},
        {"description": "3"},
    ]


async def test_what_nobody_waits_for_any_more_is_not_written(ctx: Context) -> None:
    for _ in range(12):  # more than there are connections
        written = asyncio.Event()

        async def write(written: asyncio.Event) -> None:
            async with ctx.write() as transaction:
                await transaction.insert(actions.build_row(ctx, actions.ActionDraft({})))
                written.set()
                await asyncio.Event().wait()

        writing = asyncio.create_task(write(written))
        await written.wait()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert await actions.COLLECTION.count(ctx, None) == 0
    await actions.create(ctx, actions.ActionDraft({}))
    assert await actions.COLLECTION.count(ctx, None) == 1


async def test_an_action_may_go_while_a_job_is_given_it(tell: Teller) -> None:
    for _ in range(10):
        action = await tell("createAction", **DO)
        run = {"actionId": action["actionId"]}
        job = (await tell("createJob", actions=[run] * 20))["id"]
        given, gone = await asyncio.gather(
            tell.send("updateJob", id=job, actions=[run] * 30),
            tell.send("deleteAction", id=action["id"]),
        )
        assert "errors" not in gone
        codes = [error["extensions"]["code"] for error in given.get("errors", ())]
        assert codes in ([], ["UNPROCESSABLE"])
        data = await tell.ask(
            "{ actions { totalCount } jobs { nodes { actions { totalCount } } } }"
        )
        assert data["actions"] == {"totalCount": 0}
        assert all(node["actions"] == {"totalCount": 0} for node in data["jobs"]["nodes"])

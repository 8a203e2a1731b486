"""Writers that meet on PostgreSQL: who loses a race tries again, and is told of no outage."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import combinations_with_replacement
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
import sqlalchemy as sa

from gateway.app import create_app
from gateway.catalogue.tables import Job, Session, columns, source
from gateway.context import Context
from gateway.db.counting import count_statements
from gateway.db.database import Database
from gateway.db.transactions import Transaction
from gateway.errors import Code, GatewayError, LostRace
from gateway.resolvers import actions, clients, jobs, sessions, writing
from gateway.resolvers.actions import ActionDraft
from gateway.resolvers.jobs import JobDraft
from gateway.resolvers.sessions import SessionDraft
from gateway.resolvers.writing import get_for_update
from gateway.settings import load
from tests.support.apps import MakeContext, opened
from tests.support.databases import Server

pytestmark = [
    pytest.mark.anyio,
    # SQLite lets one transaction write at a time.
    pytest.mark.parametrize("server", ["postgresql"], indirect=True),
]

RUN = {"action": "backup", "mode": "fs", "backup_name": "n", "container": "c"}
STEP_SECONDS = 0.02
"""The time after which a statement goes on alone: the other one waits for a lock."""


@asynccontextmanager
async def made(server: Server, template: str, **options: str) -> AsyncIterator[str]:
    """Yield the URL of a database with these settings of PostgreSQL's."""
    url = await server.create(template)
    connection = await asyncpg.connect(url)
    for name, value in options.items():
        await connection.execute(
            f'ALTER DATABASE "{sa.make_url(url).database}" SET {name} = {value}'
        )
    await connection.close()
    yield url
    await server.drop(url)


@asynccontextmanager
async def served(server: Server, template: str, **options: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an application on such a database."""
    async with (
        made(server, template, **options) as url,
        opened(create_app(load(database_url=url))) as client,
    ):
        yield client


@pytest.fixture(scope="module")
async def database(server: Server, template: str) -> AsyncIterator[Database]:
    """Return a database that notices deadlocks soon; each test has a project of its own."""
    async with made(server, template, deadlock_timeout="'20ms'") as url:
        database = Database(load(database_url=url))
        yield database
        await database.close()


class Turns:
    """Lets two transactions run their statements by turns, as far as locks let them."""

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self._waiting: list[asyncio.Future[None]] = []

    async def take(self) -> None:
        """Wait until the other one wants to run a statement, too, or waits for a lock."""
        if self._waiting:
            self._waiting.pop().set_result(None)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await asyncio.wait([turn], timeout=STEP_SECONDS)
        if turn in self._waiting:
            self._waiting.remove(turn)

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have every statement of every transaction take turns."""
        for name in ("rows", "_execute_many"):
            monkeypatch.setattr(Transaction, name, self._taking(getattr(Transaction, name)))

    def _taking(self, method: Any) -> Any:
        async def run(transaction: Transaction, *given: Any, **options: Any) -> Any:
            await self.take()
            return await method(transaction, *given, **options)

        return run


Write = Callable[[Context], Awaitable[object]]

DO = ActionDraft(RUN)
WRITES: dict[str, Write] = {
    "add a job of A to B": lambda ctx: sessions.add_job(ctx, "b", "1"),
    "add a job of B to A": lambda ctx: sessions.add_job(ctx, "a", "2"),
    "remove a job from A": lambda ctx: sessions.remove_job(ctx, "a", "1"),
    "move a job to B": lambda ctx: jobs.update(ctx, "1", {"session_id": "b"}),
    "move a job to A": lambda ctx: jobs.update(ctx, "2", {"session_id": "a"}),
    "replace a job": lambda ctx: jobs.replace(
        ctx, "1", JobDraft([ActionDraft(action_id="y"), DO], session_id="b")
    ),
    "delete a job of A": lambda ctx: jobs.delete(ctx, "1"),
    "delete A": lambda ctx: sessions.delete(ctx, "a"),
    "delete B": lambda ctx: sessions.delete(ctx, "b"),
    "start A": lambda ctx: sessions.start(ctx, "a", "1", 0),
    "give a job its actions": lambda ctx: jobs.update(
        ctx, "1", {"actions": [ActionDraft(action_id=each) for each in "yx"]}
    ),
    "give another job its actions": lambda ctx: jobs.update(
        ctx, "2", {"actions": [ActionDraft(action_id=each) for each in "xyx"]}
    ),
    "change an action": lambda ctx: actions.update(ctx, "x", {"max_retries": 7}),
    "replace an action": lambda ctx: actions.replace(ctx, "y", ActionDraft(RUN)),
    "delete an action": lambda ctx: actions.delete(ctx, "x"),
    "register a client": lambda ctx: clients.create(ctx, clients.ClientDraft("h", description="d")),
}
"""Every write that locks several rows, and some that lock one of these."""


async def fill(ctx: Context) -> None:
    """Make sessions A and B, with two jobs each, that all run the actions X and Y."""
    for name in "xy":
        await actions.replace(ctx, name, ActionDraft(RUN))
    await clients.create(ctx, clients.ClientDraft("h"))
    for session_id, names in (("a", "13"), ("b", "42")):
        await sessions.replace(ctx, session_id, SessionDraft({}))
        for name in names:
            run = [ActionDraft(action_id=each) for each in "xy"]
            await jobs.create(ctx, JobDraft(run, job_id=name))
            await sessions.add_job(ctx, session_id, name)


def expected_failures(outcomes: Iterable[object]) -> list[GatewayError]:
    """Return the failures, all of which concern the request; raise the others."""
    failures = []
    for outcome in outcomes:
        if isinstance(outcome, GatewayError) and not isinstance(outcome, LostRace):
            failures.append(outcome)
        elif isinstance(outcome, BaseException):
            raise outcome
    return failures


async def check_sessions(ctx: Context) -> None:
    """Check that the states in sessions are those of their jobs."""
    rows = await ctx.db.rows(
        sa.select(columns(Job).id, columns(Job).session_id).where(
            columns(Job).project_id == ctx.project_id
        )
    )
    session_of = {row[0]: row[1] for row in rows}
    query = sa.select(source(Session)).where(columns(Session).project_id == ctx.project_id)
    for session in await ctx.db.rows(query):
        for job_id in orjson.loads(session.job_states):
            assert session_of.get(job_id) == session.id


@pytest.mark.parametrize(
    ("one", "other"),
    [*combinations_with_replacement(WRITES, 2)],
    ids=lambda name: str(name).replace(" ", "-"),
)
async def test_two_writes_at_once(
    make_ctx: MakeContext, monkeypatch: pytest.MonkeyPatch, one: str, other: str
) -> None:
    ctx = make_ctx(f"{one} and {other}")
    await fill(ctx)
    with monkeypatch.context() as patched:
        Turns().patch(patched)
        writes = [WRITES[name](ctx) for name in (one, other)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
    codes = {failure.code for failure in expected_failures(outcomes)}
    assert codes <= {Code.NOT_FOUND, Code.UNPROCESSABLE, Code.BAD_USER_INPUT}
    await check_sessions(ctx)


async def test_jobs_that_change_places_between_sessions(make_ctx: MakeContext) -> None:
    ctx = make_ctx("places")
    await fill(ctx)
    for _ in range(10):
        await asyncio.gather(
            sessions.add_job(ctx, "b", "1"),
            sessions.add_job(ctx, "a", "2"),
            sessions.add_job(ctx, "b", "3"),
            sessions.add_job(ctx, "a", "4"),
        )
        await asyncio.gather(
            sessions.add_job(ctx, "a", "1"),
            sessions.add_job(ctx, "b", "2"),
            sessions.add_job(ctx, "a", "3"),
            sessions.add_job(ctx, "b", "4"),
        )
    await check_sessions(ctx)
    rows = await ctx.db.rows(
        sa.select(source(Session)).where(columns(Session).project_id == "places")
    )
    states = {row.id: {*orjson.loads(row.job_states)} for row in rows}
    assert states == {"a": {"1", "3"}, "b": {"2", "4"}}


async def test_who_loses_a_deadlock_runs_the_whole_function_again(make_ctx: MakeContext) -> None:
    ctx = make_ctx("deadlock")
    await fill(ctx)
    both_hold_one = asyncio.Barrier(2)
    seen: dict[str, list[int]] = {"ab": [], "ba": []}

    async def cross(order: str) -> int:
        counter = count_statements()

        async def work(transaction: Transaction) -> None:
            first = await get_for_update(ctx, transaction, Session, order[0])
            if not seen[order]:
                seen[order].append(first.hold_off)
                await both_hold_one.wait()
            else:
                seen[order].append(first.hold_off)
            second = await get_for_update(ctx, transaction, Session, order[1])
            for row in (first, second):
                await writing.update_row(transaction, row, hold_off=row.hold_off + 1)

        await writing.transact(ctx, work)
        return counter.retries

    retries = await asyncio.gather(*(asyncio.create_task(cross(order)) for order in seen))
    assert sum(retries) == 1
    # The loser read again what the winner had written meanwhile.
    assert sorted(seen.values()) == [[30], [30, 31]]
    rows = await ctx.db.rows(
        sa.select(columns(Session).hold_off).where(columns(Session).project_id == "deadlock")
    )
    assert [row[0] for row in rows] == [32, 32]


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_a_database_of_stricter_isolation_loses_no_change(
    server: Server,
    template: str,
    isolation: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    strict = {"default_transaction_isolation": f"'{isolation}'"}
    async with served(server, template, **strict) as client:
        job = (await client.post("/v2/p1/jobs", json={"job_actions": []})).json()["job_id"]
        schedules = [{f"schedule_{key}": "1"} for key in ("hour", "minute", "second", "day")]
        answers = await asyncio.gather(
            *(client.patch(f"/v2/p1/jobs/{job}", json={"job_schedule": each}) for each in schedules)
        )
        assert [answer.status_code for answer in answers] == [200] * 4
        shown = (await client.get(f"/v2/p1/jobs/{job}")).json()["job_schedule"]
    assert all(each.items() <= shown.items() for each in schedules)
    said = capsys.readouterr().out
    assert "retries=" in said
    assert "database unavailable" not in said


async def test_who_always_loses_is_told_so(
    server: Server,
    template: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    attempts = []

    async def lose(*_: object) -> None:
        attempts.append(1)
        raise asyncpg.DeadlockDetectedError

    async with served(server, template) as client:
        monkeypatch.setattr(Transaction, "insert", lose)
        answer = await client.post("/v2/p1/clients", json={"client_id": "host"})
        assert answer.status_code == 409
        assert answer.json()["title"] == "Conflict"
        text = 'mutation { registerClient(input: {clientId: "host"}) { client { id } } }'
        answer = await client.post("/graphql", json={"query": text})
        (error,) = answer.json()["errors"]
        assert answer.status_code == 200
        assert error["extensions"]["code"] == "CONFLICT"
        assert "try again" in error["message"]
    assert len(attempts) == 2 * writing.MAX_ATTEMPTS
    said = capsys.readouterr().out
    assert f"retries={writing.MAX_ATTEMPTS - 1}" in said
    assert "unavailable" not in said

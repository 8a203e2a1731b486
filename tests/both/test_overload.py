"""Overload: so many run, so many wait, all others are told at once to come again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.deadlines import Deadlines, hang_up
from gateway.errors import DeadlineExceeded, HungUp, Overloaded
from gateway.overload import OverloadMiddleware, Places
from tests.support.apps import MakeClient

pytestmark = pytest.mark.anyio


class Application:
    """Begins each request, and ends it when the test says so."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.bodies: list[bytes] = []
        self.ends: dict[str, asyncio.Event] = {}

    async def __call__(  # noqa: D102 - ASGI's
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.begun.append(scope["path"])
        if scope["method"] == "POST":
            self.bodies.append((await receive())["body"])
        await self.ends.setdefault(scope["path"], asyncio.Event()).wait()
        if scope["path"].endswith("broken"):
            raise ValueError("broken")
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await send({"type": "http.response.body", "body": b"2"})

    def end(self, path: str) -> None:
        """Let a request end."""
        self.ends.setdefault(path, asyncio.Event()).set()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def body() -> Message:
    return {"type": "http.request", "body": b"{}", "more_body": False}


async def nowhere(message: Message) -> None:
    pass


class Requests:
    """Requests to an application behind the middleware, each a task."""

    def __init__(self, running: int, waiting: int, kept: int, deadlines: Deadlines | None) -> None:
        self.app = Application()
        self.middleware = OverloadMiddleware(
            self.app,
            Places(running, waiting, kept),
            deadlines,
            kept_paths=("/v2",),
            exempt={"/healthcheck"},
        )
        self.scopes: dict[str, Scope] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def begin(
        self, path: str, method: str = "GET", receive: Receive = body, send: Send = nowhere
    ) -> asyncio.Task[None]:
        """Return the task of a request that has come as far as it can."""
        scope = self.scopes[path] = {"type": "http", "method": method, "path": path}
        task = asyncio.create_task(self.middleware(scope, receive, send))
        self.tasks.append(task)
        await settled()
        return task

    async def end(self, *paths: str) -> None:
        """Let requests end, and others begin."""
        for path in paths:
            self.app.end(path)
        await settled()

    @property
    def free(self) -> int:
        """The number of places that nobody has."""
        return self.middleware.free


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Requests]]:
    made: list[Requests] = []

    def maker(
        running: int = 2, waiting: int = 2, kept: int = 0, deadlines: Deadlines | None = None
    ) -> Requests:
        made.append(Requests(running, waiting, kept, deadlines))
        return made[-1]

    yield maker
    for requests in made:
        for task in requests.tasks:
            task.cancel()
        await asyncio.gather(*requests.tasks, return_exceptions=True)


def refused(task: asyncio.Task[None]) -> bool:
    return task.done() and isinstance(task.exception(), Overloaded)


async def test_so_many_run_and_so_many_wait(make: Callable[..., Requests]) -> None:
    requests = make()
    first = [await requests.begin(path) for path in "abcd"]
    assert requests.app.begun == ["a", "b"]
    assert refused(await requests.begin("e"))
    await requests.end("b")
    assert requests.app.begun == ["a", "b", "c"]
    assert first[1].done()
    # One place is free in the queue, and the longest waiting one comes first.
    await requests.begin("f")
    assert refused(await requests.begin("g"))
    await requests.end(*"acdf")
    assert requests.app.begun == ["a", "b", "c", "d", "f"]
    assert requests.free == 2


async def test_places_are_kept_for_writes_over_rest(make: Callable[..., Requests]) -> None:
    requests = make(running=1, waiting=3, kept=2)
    await requests.begin("a")
    await requests.begin("b")
    assert refused(await requests.begin("/v2/p/jobs"))
    assert refused(await requests.begin("/graphql", "POST"))
    for number in range(2):
        assert not refused(await requests.begin(f"/v2/p/jobs/{number}", "PATCH"))
    assert refused(await requests.begin("/v2/p/jobs/3", "PATCH"))
    await requests.end("a", "b", "/v2/p/jobs/0")
    assert requests.app.begun == ["a", "b", "/v2/p/jobs/0", "/v2/p/jobs/1"]


async def test_nothing_may_wait(make: Callable[..., Requests]) -> None:
    requests = make(running=1, waiting=0, kept=5)
    await requests.begin("a")
    assert refused(await requests.begin("/v2/p/jobs", "POST"))


async def test_health_checks_always_run(make: Callable[..., Requests]) -> None:
    requests = make(running=1, waiting=0)
    await requests.begin("a")
    await requests.begin("/healthcheck")
    assert requests.app.begun == ["a", "/healthcheck"]


async def test_one_that_fails_gives_its_place_away(make: Callable[..., Requests]) -> None:
    requests = make(running=1, waiting=1)
    failing = await requests.begin("broken")
    await requests.begin("b")
    await requests.end("broken")
    assert isinstance(failing.exception(), ValueError)
    assert requests.app.begun == ["broken", "b"]
    await requests.end("b")
    assert requests.free == 1


async def test_one_that_is_given_up_gives_its_place_away(make: Callable[..., Requests]) -> None:
    requests = make(running=1, waiting=2)
    running = await requests.begin("a")
    waiting = await requests.begin("b")
    last = await requests.begin("c")
    waiting.cancel()
    await settled()
    assert requests.app.begun == ["a"]
    running.cancel()
    await settled()
    assert requests.app.begun == ["a", "c"]
    last.cancel()
    await settled()
    assert requests.free == 1


@pytest.mark.parametrize("steps", range(8))
async def test_one_that_is_given_up_as_its_turn_comes(
    make: Callable[..., Requests], steps: int
) -> None:
    requests = make(running=1, waiting=2)
    await requests.begin("a")
    waiting = await requests.begin("b")
    await requests.begin("c")
    requests.app.end("a")
    # Before its place is given away, after, or as it wakes up.
    for _ in range(steps):
        await asyncio.sleep(0)
    waiting.cancel()
    await settled()
    assert "c" in requests.app.begun
    await requests.end("c")
    assert requests.free == 1
    assert not requests.middleware.queue


async def test_the_wait_for_a_place_counts_but_for_writes_over_rest(
    make: Callable[..., Requests],
) -> None:
    # The write begins first, and its time ends last.
    requests = make(running=1, deadlines=Deadlines(0.05, 600))
    write = await requests.begin("/v2/p/jobs", "PATCH")
    waiting_write = await requests.begin("/v2/p/jobs/1", "PATCH")
    waiting = await requests.begin("a")
    with pytest.raises(DeadlineExceeded, match=r"0\.05 s at most"):
        await waiting
    assert requests.app.begun == ["/v2/p/jobs"]
    assert not waiting_write.done()
    await requests.end("/v2/p/jobs", "/v2/p/jobs/1")
    assert write.done()
    assert waiting_write.done()
    with pytest.raises(DeadlineExceeded):
        await (await requests.begin("b"))
    assert requests.free == 1
    # Who takes its answer slowly isn't late.
    sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def slow_reader(_message: Message) -> None:
        await sent

    requests.app.end("c")
    slow = await requests.begin("c", send=slow_reader)
    with pytest.raises(DeadlineExceeded):
        await (await requests.begin("d"))
    sent.set_result(None)
    await slow


async def test_who_hangs_up_gives_its_place_away_but_for_writes(
    make: Callable[..., Requests],
) -> None:
    requests = make(running=1, waiting=4, deadlines=Deadlines(queries={"/graphql"}))
    for path, method in (("a", "GET"), ("/graphql", "POST"), ("/v2/p/jobs", "PATCH")):
        await requests.begin(path, method)
    reading, query, write = requests.tasks
    for scope in requests.scopes.values():
        hang_up(scope)
    await settled()
    for gone in (reading, query):
        assert isinstance(gone.exception(), HungUp)
    assert requests.app.begun == ["a", "/v2/p/jobs"]
    await requests.end("/v2/p/jobs")
    assert write.done()
    assert write.exception() is None
    assert requests.free == 1


async def test_who_sends_or_reads_slowly_takes_no_place(make: Callable[..., Requests]) -> None:
    requests = make(running=1, waiting=0)
    rest: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    messages: list[Awaitable[Message]] = [rest]

    async def slow_body() -> Message:
        if messages:
            return await messages.pop()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def slow_reader(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    await requests.begin("/v2/p/jobs", "POST", slow_body)
    await requests.begin("a", send=slow_reader)
    await requests.end("a")
    await requests.begin("b")
    await requests.end("b")
    assert requests.app.begun == ["a", "b"]
    rest.set_result({"type": "http.request", "body": b"[1]", "more_body": True})
    await settled()
    assert requests.app.begun == ["a", "b", "/v2/p/jobs"]
    assert requests.app.bodies == [b"[1]"]


async def test_who_steps_aside_has_neither_a_place_nor_a_deadline(
    make: Callable[..., Requests],
) -> None:
    requests = make(running=1, waiting=1, deadlines=Deadlines(0.2))
    waiting = await requests.begin("a")
    requests.middleware.step_aside(requests.scopes["a"])
    with pytest.raises(DeadlineExceeded):
        await (await requests.begin("b"))
    await requests.begin("c")
    assert requests.app.begun == ["a", "b", "c"]
    # Its turn comes as anybody's, and its time begins anew.
    back = asyncio.create_task(requests.middleware.step_back(requests.scopes["a"]))
    await settled()
    assert not back.done()
    await requests.end("c")
    assert back.done()
    with pytest.raises(DeadlineExceeded):
        await waiting
    assert requests.free == 1
    assert requests.middleware.slow == 0
    gone = await requests.begin("d")
    requests.middleware.step_aside(requests.scopes["d"])
    hang_up(requests.scopes["d"])
    await settled()
    assert isinstance(gone.exception(), HungUp)
    assert requests.free == 1
    assert requests.middleware.slow == 0


async def test_each_surface_says_when_to_come_again(make_client: MakeClient) -> None:
    client = await make_client(max_running_requests=1, max_waiting_requests=0, waiting_writes=0)
    mutation = 'mutation { createAction(input: {freezerAction: {action: "info"}}) { __typename } }'
    answers: list[httpx.Response] = await asyncio.gather(
        client.post("/graphql", json={"query": mutation}),
        client.post("/graphql", json={"query": mutation}),
        client.post("/v2/p1/actions", json={"freezer_action": {"action": "info"}}),
    )
    assert [answer.status_code for answer in answers] == [200, 503, 503]
    for answer in answers[1:]:
        assert answer.headers["Retry-After"] == "1"
        assert "too many requests are running: try again in a moment" in answer.text
    (error,) = answers[1].json()["errors"]
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert (await client.get("/v2/p1/jobs")).status_code == 200

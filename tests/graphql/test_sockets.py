"""WebSockets: the protocol graphql-transport-ws, and what it shares with all other requests."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.auth.identity import Headers, Identity, NoAuthenticator
from gateway.context import Context
from gateway.resolvers import clients
from gateway.resolvers.clients import ClientDraft
from gateway.schema import web_sockets
from gateway.schema.execution.subscribing import Subscriptions
from gateway.schema.streams import Streams
from gateway.settings import Settings
from tests.support.apps import opened
from tests.support.sockets import PROTOCOL, Socket, connected
from tests.support.streams import PATIENCE, subscribed

pytestmark = pytest.mark.anyio

QUERY = "{ clients { nodes { clientId } } }"
LIVE = "subscription { live(interval: 200) { clients { nodes { clientId } } } }"
CHANGES = """
  subscription Changes($after: String) {
    changes(after: $after, coalesce: 0) {
      cursor isReset changes { operation node { ... on Client { clientId } } }
    }
  }
"""
REGISTER = """
  mutation Register($id: String!) {
    registerClient(input: {clientId: $id}) { client { clientId } }
  }
"""
CREATED = {"operation": "CREATED", "node": {"clientId": "one"}}


class Gate(NoAuthenticator):
    """Lets everybody in while it is open; others wait."""

    def __init__(self, settings: Settings) -> None:
        """Begin open."""
        super().__init__(settings)
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:
        """Return the local user's identity."""
        await self.is_open.wait()
        return await super().identify(headers, path, method)


@pytest.fixture
def started(app: Starlette, client: httpx.AsyncClient) -> Starlette:
    """Return the application, started with its client."""
    del client
    return app


def streams(app: Starlette) -> Streams:
    found: Streams = app.state.streams
    return found


def names(data: Any) -> list[str]:
    return [node["clientId"] for node in data["clients"]["nodes"]]


async def test_a_subscription_is_answered_again_and_again(started: Starlette, ctx: Context) -> None:
    async with connected(started) as socket:
        assert socket.subprotocol == PROTOCOL
        assert socket.headers["x-openstack-request-id"].startswith("req-")
        socket.subscribe("1", LIVE)
        assert names((await socket.data("1"))["live"]) == []
        for number in range(3):
            await clients.create(ctx, ClientDraft(f"host{number}"))
            assert names((await socket.data("1"))["live"])[-1] == f"host{number}"


async def test_queries_and_mutations_have_one_answer(started: Starlette) -> None:
    async with connected(started) as socket:
        socket.subscribe("write", REGISTER, {"id": "one"})
        assert await socket.data("write") == {"registerClient": {"client": {"clientId": "one"}}}
        assert await socket.message() == {"id": "write", "type": "complete"}
        socket.subscribe("read", QUERY)
        assert names(await socket.data("read")) == ["one"]
        assert await socket.message() == {"id": "read", "type": "complete"}
        # What is over may be asked again, by the same name.
        socket.subscribe("read", QUERY)
        assert names(await socket.data("read")) == ["one"]


async def test_the_project_is_that_of_the_first_message(started: Starlette, ctx: Context) -> None:
    await clients.create(ctx, ClientDraft("one"))
    async with connected(started, project="p2", begins=False) as socket:
        await socket.begin({"X-Project-Id": "p1", "other": 1})
        socket.subscribe("1", QUERY)
        assert names(await socket.data("1")) == ["one"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ nothing }", "BAD_USER_INPUT"),
        ("{", "BAD_USER_INPUT"),
        ("", "BAD_USER_INPUT"),
        ("subscription { live(interval: 1) { clients { totalCount } } }", "BAD_USER_INPUT"),
        ("subscription { changes(coalesce: -1) { cursor } }", "BAD_USER_INPUT"),
        ('subscription { changes(after: "x") { cursor } }', "BAD_USER_INPUT"),
        ("subscription { nothing }", "BAD_USER_INPUT"),
    ],
)
async def test_an_operation_that_cannot_be_run_ends_alone(
    started: Starlette, query: str, code: str
) -> None:
    async with connected(started) as socket:
        socket.subscribe("1", query)
        assert await socket.code("1") == code
        socket.subscribe("1", QUERY)
        assert names(await socket.data("1")) == []


async def test_errors_in_an_answer_are_part_of_it(started: Starlette) -> None:
    async with connected(started) as socket:
        socket.subscribe("1", '{ clients { totalCount } node(id: "x") { id } }')
        message = await socket.message()
        assert message["type"] == "next"
        assert message["payload"]["data"] == {"clients": {"totalCount": 0}, "node": None}
        (error,) = message["payload"]["errors"]
        assert error["path"] == ["node"]
        assert error["extensions"]["requestId"].startswith("req-")
        assert (await socket.message())["type"] == "complete"


async def test_sockets_and_event_streams_share_executions(started: Starlette, ctx: Context) -> None:
    subscriptions: Subscriptions = started.state.subscriptions
    async with connected(started) as socket, subscribed(started, LIVE) as stream:
        socket.subscribe("1", LIVE)
        socket.subscribe("2", LIVE)
        for _ in range(2):
            message = await socket.message()
            assert names(message["payload"]["data"]["live"]) == []
        assert names((await stream.data())["live"]) == []
        (group,) = subscriptions.live.at_work()
        assert len(group.members) == 3
        await clients.create(ctx, ClientDraft("one"))
        answers = [await socket.message() for _ in range(2)]
        assert sorted(message["id"] for message in answers) == ["1", "2"]
        assert names((await stream.data())["live"]) == ["one"]
    assert list(subscriptions.live.at_work()) == []


async def test_a_feed_goes_on_behind_a_cursor(started: Starlette, ctx: Context) -> None:
    async with connected(started) as socket:
        socket.subscribe("1", CHANGES)
        cursor = (await socket.data("1"))["changes"]["cursor"]
    await clients.create(ctx, ClientDraft("one"))
    async with connected(started) as socket:
        socket.subscribe("1", CHANGES, {"after": cursor})
        told = (await socket.data("1"))["changes"]
        assert told["isReset"] is False
        assert told["changes"] == [CREATED]


async def test_a_client_ends_an_operation(started: Starlette, ctx: Context) -> None:
    subscriptions: Subscriptions = started.state.subscriptions
    async with connected(started) as socket:
        for key in ("1", "2"):
            socket.subscribe(key, LIVE if key == "1" else CHANGES)
            await socket.data(key)
        assert len(streams(started)) == 2
        socket.send({"type": "complete", "id": "1"})
        socket.send({"type": "complete", "id": "unknown"})
        await clients.create(ctx, ClientDraft("one"))
        assert (await socket.data("2"))["changes"]["changes"] == [CREATED]
        assert list(subscriptions.live.at_work()) == []
        socket.subscribe("1", LIVE)
        assert names((await socket.data("1"))["live"]) == ["one"]
    assert len(streams(started)) == 0
    assert list(subscriptions.feeds.at_work()) == []


async def test_the_protocols_pings_are_answered(started: Starlette) -> None:
    async with connected(started, begins=False) as socket:
        socket.send({"type": "ping"})
        assert await socket.message() == {"type": "pong"}
        await socket.begin()
        socket.send({"type": "pong"})
        socket.send({"type": "ping", "payload": {"at": 1}})
        assert await socket.message() == {"type": "pong", "payload": {"at": 1}}


@pytest.mark.parametrize(
    "message",
    [
        "nonsense",
        b"{}",
        "[]",
        "{}",
        {"type": "connection_terminate"},
        {"type": "start", "id": "1", "payload": {"query": QUERY}},
        {"type": "subscribe"},
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": "", "payload": {"query": QUERY}},
        {"type": "subscribe", "id": 1, "payload": {"query": QUERY}},
        {"type": "subscribe", "id": "1", "payload": [QUERY]},
        {"type": "complete"},
        {"type": "ping", "payload": [{}] * 100_000},
        "é" * 200,
    ],
)
async def test_what_is_no_message_closes_the_socket(started: Starlette, message: Any) -> None:
    async with connected(started) as socket:
        socket.subscribe("live", LIVE)
        await socket.data("live")
        socket.send(message)
        code, reason = await socket.closed()
        assert code == 4400
        assert 0 < len(reason.encode()) <= 123
    assert len(streams(started)) == 0


@pytest.mark.parametrize(
    ("payload", "code"),
    [([], 4400), ({"X-Project-Id": 1}, 4400), ({"X-Project-Id": "a/b"}, 4400), ("x", 4400)],
)
async def test_a_first_message_that_is_wrong_closes_the_socket(
    started: Starlette, payload: Any, code: int
) -> None:
    async with connected(started, begins=False) as socket:
        socket.send({"type": "connection_init", "payload": payload})
        assert (await socket.closed())[0] == code


async def test_a_socket_says_who_it_is_for_once_before_anything_else(started: Starlette) -> None:
    async with connected(started, begins=False) as socket:
        socket.subscribe("1", QUERY)
        assert await socket.closed() == (4401, "Unauthorized")
    async with connected(started) as socket:
        socket.send({"type": "connection_init"})
        assert await socket.closed() == (4429, "Too many initialisation requests")


async def test_a_socket_says_who_it_is_for_in_time(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"request_timeout": 0.05}))
    async with opened(app), connected(app, begins=False) as socket:
        assert await socket.closed() == (4408, "Connection initialisation timeout")


def fail(*_: object) -> None:
    raise RuntimeError("a secret")


async def test_a_bug_in_an_operation_leaves_the_others(
    started: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(started) as socket:
        monkeypatch.setattr(Subscriptions, "subscribe", fail)
        socket.subscribe("1", LIVE)
        assert await socket.code("1") == "INTERNAL"
        socket.subscribe("2", QUERY)
        assert await socket.data("2") == {"clients": {"nodes": []}}


async def test_a_bug_elsewhere_closes_the_socket_and_is_not_told(
    started: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(started) as socket:
        socket.subscribe("1", LIVE)
        await socket.data("1")
        monkeypatch.setattr(web_sockets.Socket, "_read", fail)
        socket.send({"type": "ping"})
        assert await socket.closed() == (4500, "Internal server error")
    assert len(streams(started)) == 0


async def test_two_operations_have_two_names(started: Starlette) -> None:
    async with connected(started) as socket:
        socket.subscribe("1", LIVE)
        await socket.data("1")
        socket.subscribe("1", QUERY)
        assert await socket.closed() == (4409, "Subscriber for '1' already exists")


@pytest.mark.parametrize("subprotocols", [[], ["graphql-ws"], ["x", "y"]])
async def test_other_protocols_are_refused(started: Starlette, subprotocols: list[str]) -> None:
    async with connected(started, begins=False, subprotocols=subprotocols) as socket:
        assert await socket.closed() == (4406, "Subprotocol not acceptable")
        assert socket.subprotocol is None


async def test_other_protocols_may_be_offered_as_well(started: Starlette) -> None:
    async with connected(started, subprotocols=["graphql-ws", PROTOCOL]) as socket:
        assert socket.subprotocol == PROTOCOL


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("max_streams", "UNAVAILABLE"),
        ("max_project_streams", "RATE_LIMITED"),
        ("max_user_streams", "RATE_LIMITED"),
    ],
)
async def test_sockets_and_their_streams_are_limited(
    settings: Settings, setting: str, code: str
) -> None:
    app = create_app(settings.model_copy(update={setting: 2}))
    async with opened(app):
        async with connected(app) as one:
            # The first stream has the socket's own place.
            for key in ("1", "2"):
                one.subscribe(key, LIVE)
                await one.data(key)
            one.subscribe("3", LIVE)
            assert await one.code("3") == code
            # Others than subscriptions need none.
            one.subscribe("4", QUERY)
            await one.data("4")
            assert (await one.message())["type"] == "complete"
            async with connected(app, begins=False) as two:
                if setting == "max_streams":
                    status, body = await two.refused()
                    assert status == 503
                    assert body["errors"][0]["extensions"]["code"] == code
                else:
                    two.send({"type": "connection_init"})
                    assert (await two.closed())[0] == 1013
            one.send({"type": "complete", "id": "1"})
            one.subscribe("5", CHANGES)
            await one.data("5")
        assert len(streams(app)) == 0


async def test_operations_of_sockets_have_places_and_deadlines(settings: Settings) -> None:
    few = {"max_running_requests": 1, "max_waiting_requests": 1, "waiting_writes": 0}
    app = create_app(settings.model_copy(update={**few, "deadline": 0.5}))
    gate = Gate(settings)
    app.state.contexts = replace(app.state.contexts, authenticator=gate)
    async with opened(app), connected(app) as socket:
        gate.is_open.clear()
        for number in range(4):
            socket.subscribe(str(number), QUERY)
        # One runs, one waits, and others are told at once.
        for key in ("2", "3"):
            assert await socket.code(key) == "UNAVAILABLE"
        late = [await socket.message() for _ in range(2)]
        assert {message["id"] for message in late} == {"0", "1"}
        codes = {message["payload"][0]["extensions"]["code"] for message in late}
        assert codes == {"DEADLINE_EXCEEDED"}
        gate.is_open.set()
        socket.subscribe("0", QUERY)
        assert names(await socket.data("0")) == []


async def test_operations_of_sockets_are_charged(settings: Settings) -> None:
    given = {"rate_limit": "on", "rate_limit_user": 10, "rate_limit_project": 1000}
    app = create_app(settings.model_copy(update={**given, "rate_limit_burst": 1}))
    async with opened(app), connected(app) as socket:
        dear = "{ clients(first: 10) { nodes { clientId } } }"
        socket.subscribe("1", dear)
        await socket.data("1")
        assert (await socket.message())["type"] == "complete"
        socket.subscribe("2", dear)
        assert await socket.code("2") == "RATE_LIMITED"


async def test_a_client_that_hangs_up_leaves_nothing(started: Starlette, ctx: Context) -> None:
    subscriptions: Subscriptions = started.state.subscriptions
    async with connected(started) as socket:
        socket.subscribe("1", LIVE)
        await socket.data("1")
        socket.subscribe("2", CHANGES)
        await socket.data("2")
    assert len(streams(started)) == 0
    assert list(subscriptions.live.at_work()) == list(subscriptions.feeds.at_work()) == []
    await clients.create(ctx, ClientDraft("one"))


async def test_a_client_that_reads_nothing_holds_no_queue(started: Starlette, ctx: Context) -> None:
    async with connected(started) as slow, connected(started) as fast:
        for socket in (slow, fast):
            socket.subscribe("1", CHANGES)
            await socket.data("1")
        slow.may_write.clear()
        last = None
        for number in range(20):
            await clients.create(ctx, ClientDraft(f"host{number}"))
            last = (await fast.data("1"))["changes"]["cursor"]
        slow.may_write.set()
        told: list[str] = []
        count, cursor = 0, None
        async with asyncio.timeout(PATIENCE):
            while cursor != last:
                changes = (await slow.data("1"))["changes"]
                cursor = changes["cursor"]
                told += [change["node"]["clientId"] for change in changes["changes"]]
                count += 1
        assert count <= 3
        assert told == [f"host{number}" for number in range(20)]


async def test_a_gateway_that_stops_closes_sockets_so_that_clients_come_back(
    started: Starlette,
) -> None:
    async with connected(started) as busy, connected(started) as idle:
        busy.subscribe("1", LIVE)
        await busy.data("1")
        order: list[str] = []

        async def closed(name: str, socket: Socket) -> None:
            code, reason = await socket.closed()
            assert code == 1012
            assert "stopping" in reason
            order.append(name)

        tasks = [
            asyncio.create_task(closed(name, socket))
            for name, socket in (("busy", busy), ("idle", idle))
        ]
        streams(started).stop(0.2)
        await asyncio.gather(*tasks)
        assert order == ["busy", "idle"]
        async with connected(started, begins=False) as late:
            status, body = await late.refused()
            assert status == 503
            assert body["errors"][0]["extensions"]["code"] == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://localhost:3000"}, None),
        ({"origin": "https://elsewhere.example.org"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "elsewhere.example.org"}, 403),
        ({"host": "a b"}, 400),
    ],
)
async def test_foreign_pages_open_no_sockets(
    started: Starlette, headers: dict[str, str], status: int | None
) -> None:
    async with connected(started, begins=False, **headers) as socket:
        if status is None:
            await socket.begin()
        else:
            assert (await socket.refused())[0] == status

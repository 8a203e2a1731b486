"""Lists that are asked for again: 304 as long as what they are made of is what it was, never after.

What may change them comes from the routes and from the schema, so that nothing new is forgotten.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from gateway import demo
from gateway.auth.identity import Headers, Identity
from gateway.catalogue.tables import Action, Backup, Client, source
from gateway.db.database import Database
from gateway.db.statements import SQL
from gateway.resolvers import jobs
from gateway.rest_compat.routes import ROUTES
from tests.support.apps import GraphQL, MakeClient, MakeContext
from tests.support.databases import Server
from tests.support.graphql_calls import MUTATIONS, Tries, selection, told
from tests.support.recorder import QueryRecorder
from tests.support.rest_requests import requests
from tests.support.tenants import ALICE, BOB, PROJECTS, World, world

pytestmark = pytest.mark.anyio

LISTS = [path for path, method, *_ in ROUTES if method == "GET" and "{" not in path]
WRITES = [(path, method) for path, method, *_ in ROUTES if method != "GET"]

Get = Callable[..., Awaitable[httpx.Response]]


@dataclass
class Seen:
    """What somebody has seen of a project's lists, by their paths."""

    get: Get
    project: str
    answers: dict[str, httpx.Response]

    async def changed(self) -> set[str]:
        """Return the lists that aren't what was seen, and see them; the others must be."""
        changed = set()
        for path, before in self.answers.items():
            tag = before.headers["ETag"]
            plain = await self.get(f"/v2/{self.project}{path}")
            answer = await self.get(f"/v2/{self.project}{path}", headers={"If-None-Match": tag})
            assert answer.headers["ETag"] == plain.headers["ETag"]
            if answer.status_code == 304:
                assert answer.content == b""
                assert answer.headers["ETag"] == tag
                assert plain.content == before.content
            else:
                assert answer.status_code == 200
                assert answer.headers["ETag"] != tag
                assert answer.content == plain.content
                changed.add(path)
                self.answers[path] = plain
        return changed


async def seen(get: Get, project: str, *paths: str) -> Seen:
    """See lists: all there are, unless told which."""
    answers = {path: await get(f"/v2/{project}{path}") for path in paths or LISTS}
    assert {answer.status_code for answer in answers.values()} == {200}
    return Seen(get, project, answers)


async def seen_by(place: World, user: str) -> Seen:
    """See all lists of a user's project."""

    async def get(path: str, **request: Any) -> httpx.Response:
        return await place.ask(user, "GET", path, **request)

    return await seen(get, PROJECTS[user])


@pytest.mark.parametrize(
    ("path", "method"), WRITES, ids=[f"{method} {path}" for path, method in WRITES]
)
async def test_no_route_is_forgotten(path: str, method: str, server: Server, template: str) -> None:
    async with world(server, template, ALICE, BOB) as place:
        alices, bobs = await seen_by(place, ALICE), await seen_by(place, BOB)
        assert await alices.changed() == set()
        status, text = await next(requests(path, method, PROJECTS[ALICE], ALICE)).send(place, ALICE)
        assert status < 300, text
        assert await alices.changed() == set(LISTS)
        assert await alices.changed() == set()
        assert await bobs.changed() == set()


@pytest.mark.parametrize("name", MUTATIONS)
async def test_no_mutation_is_forgotten(name: str, server: Server, template: str) -> None:
    field = MUTATIONS[name]
    async with world(server, template, ALICE, BOB) as place:
        if name == "deleteExpiredBackups":
            await place.run(sa.update(Backup).values(restorability="EXPIRED"))
        alices, bobs = await seen_by(place, ALICE), await seen_by(place, BOB)
        before, changed = await place.held(ALICE), set[str]()
        for one in Tries((ALICE,), told(name).kinds).calls(name, field):
            await place.graphql(ALICE, f"mutation {{{one} {selection(field.type, 1)}}}")
            if await place.held(ALICE) != before:
                changed = await alices.changed()
                break
            assert await alices.changed() == set()
        assert changed == set(LISTS)
        assert await bobs.changed() == set()


async def test_what_all_projects_see(client: httpx.AsyncClient, graphql: GraphQL) -> None:
    own, others = await seen(client.get, "p1"), await seen(client.get, "p2")

    async def register(**draft: Any) -> None:
        assert (await client.post("/v2/p1/clients", json=draft)).status_code == 201

    await register(client_id="own")
    assert await own.changed() == set(LISTS)
    assert await others.changed() == set()
    await register(client_id="central", is_central=True)
    assert await own.changed() == set(LISTS)
    assert await others.changed() == set(LISTS)
    # Whoever registers it anew needn't say that it is central.
    await register(client_id="central", description="known")
    assert await own.changed() == await others.changed() == set(LISTS)
    job = {"client_id": "central", "job_actions": [], "job_schedule": {"current_pid": 4711}}
    assert (await client.post("/v2/p2/jobs", json=job)).status_code == 201
    assert await own.changed() == set()
    assert await others.changed() == set(LISTS)
    its = (await graphql('{ client(clientId: "own") { id } }'))["data"]["client"]["id"]
    query = "mutation($id: ID!) { deleteClient(input: {id: $id}) { deletedId } }"
    assert "errors" not in await graphql(query, {"id": its})
    assert await own.changed() == set(LISTS)
    assert await others.changed() == set()
    # The other project's job says by which process it runs, when that is nobody else's any more.
    assert (await client.delete("/v2/p1/clients/central")).status_code == 204
    assert await own.changed() == set(LISTS)
    assert await others.changed() == set(LISTS)
    assert b"4711" in others.answers["/jobs"].content


async def test_what_changes_nothing(client: httpx.AsyncClient) -> None:
    async def post(path: str, body: Any, status: int = 201) -> Any:
        answer = await client.post(f"/v2/p1{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    await post("/clients", {"client_id": "host", "description": "d"})
    session = await post("/sessions", {"schedule": {}})
    job = await post("/jobs", {"job_actions": [], "client_id": "host"})
    names = {"session": session["session_id"], "job": job["job_id"]}
    path = "/v2/p1/sessions/{session}/jobs/{job}".format(**names)
    assert (await client.put(path)).status_code == 204
    start = {"start": {"job_id": job["job_id"], "current_tag": 0}}
    await post(f"/sessions/{session['session_id']}/action", start, 202)
    await post(f"/jobs/{job['job_id']}/event", {"start": None}, 202)
    lists = await seen(client.get, "p1")
    await post("/clients", {"client_id": "host", "description": "d"})
    await post(f"/jobs/{job['job_id']}/event", {"start": None}, 202)
    start["start"]["current_tag"] = 1
    answer = await post(f"/sessions/{session['session_id']}/action", start, 202)
    assert answer["result"] == "hold-off"
    await post("/jobs", {"job_actions": [{"action_id": "unknown"}]}, 422)
    assert (await client.delete("/v2/p1/backups/unknown")).status_code == 404
    assert await lists.changed() == set()


async def test_the_sample_is_a_change(client: httpx.AsyncClient, database: Database) -> None:
    lists = [await seen(client.get, project) for project in ("demo", demo.EXAMPLES)]
    await demo.load(database)
    for each in lists:
        assert await each.changed() == set(LISTS)


async def test_whatever_a_transaction_does(make_ctx: MakeContext) -> None:
    own, other = make_ctx("p1"), make_ctx("p2")

    async def changed(*statements: SQL) -> tuple[bool, bool]:
        before = [await jobs.COLLECTION.revision(ctx) for ctx in (own, other)]
        async with own.write() as transaction:
            for statement in statements:
                await transaction.rows(statement)
        after = [await jobs.COLLECTION.revision(ctx) for ctx in (own, other)]
        return before[0] != after[0], before[1] != after[1]

    # Objects are seen to be central; of other statements nobody can tell.
    for model, seen_by_all in ((Action, False), (Client, True)):
        for table in (model, source(model)):
            for statement in (
                sa.update(table).values(user_id="x"),
                sa.delete(table),
                sa.insert(table).from_select(
                    [column.name for column in source(model).c],
                    sa.select(source(model)).where(sa.false()),
                ),
            ):
                assert await changed(statement) == (True, seen_by_all)
        assert await changed(sa.select(model)) == (False, False)
    assert await changed() == (False, False)


@pytest.mark.parametrize("path", LISTS)
async def test_the_header(client: httpx.AsyncClient, path: str) -> None:
    address = f"/v2/p1{path}"
    tag = (await client.get(address)).headers["ETag"]
    assert tag.startswith('W/"')

    async def answered(given: str, method: str = "GET", at: str = address) -> int:
        answer = await client.request(method, at, headers={"If-None-Match": given})
        if answer.status_code == 304:
            assert answer.headers["ETag"]
            assert answer.content == b""
            assert not {"Content-Type", "Content-Length"} & {*answer.headers}
        return answer.status_code

    for known in (tag, tag.removeprefix("W/"), f'"x", {tag}', f'{tag},W/"x"', "*", " * "):
        assert await answered(known) == await answered(known, "HEAD") == 304
    for other in ('"x"', f'W/"{tag[3:-1].upper()}"', '""', '"*"', '"x", W/"y"'):
        assert await answered(other) == await answered(other, "HEAD") == 200
    for bad in ("x", tag[2:-1], f"w/{tag[2:]}", f"{tag} {tag}", "*, *", ""):
        answer = await client.get(address, headers={"If-None-Match": bad})
        assert answer.status_code == 400
        assert "If-None-Match" in answer.json()["description"]
    # Several lines are one list; and only what would be answered can be unchanged.
    lines = [("If-None-Match", '"x"'), ("If-None-Match", tag)]
    assert (await client.get(address, headers=lines)).status_code == 304
    assert await answered("*", at=f"{address}?limit=x") == 400
    assert await answered("*", at=f"{address}?marker=x") == 400


async def test_lists_of_all_projects_are_always_answered(client: httpx.AsyncClient) -> None:
    for given in ({}, {"If-None-Match": "*"}):
        answer = await client.get("/v2/p1/jobs?all_projects=true", headers=given)
        assert answer.status_code == 200
        assert "ETag" not in answer.headers


async def test_an_answer_depends_on_the_whole_question(make_client: MakeClient) -> None:
    usual = await make_client()
    others = [
        await make_client(default_limit=7),
        await make_client(max_limit=500),
        await make_client(rest_dialect="freezer-19"),
        await make_client(public_url="https://example.org"),
    ]
    nothing = b'{"match": []}'
    questions: list[tuple[httpx.AsyncClient, str, bytes]] = [
        *((usual, f"/v2/{project}{path}", b"") for project in ("p1", "p2") for path in LISTS),
        *((usual, f"/v2/p1/jobs{query}", b"") for query in ("?limit=1", "?limit=2", "?offset=0")),
        *((usual, "/v2/p1/jobs", body) for body in (nothing, nothing + b" ", b'{"match_not": []}')),
        *((usual, f'/v2/p1/jobs?search={{"match":[{{"status":"{s}"}}]}}', b"") for s in "ab"),
        *((other, "/v2/p1/jobs", b"") for other in others),
    ]
    tags = []
    for client, path, body in questions:
        answer = await client.request("GET", path, content=body)
        again = await client.request(
            "GET", path, content=body, headers={"If-None-Match": answer.headers["ETag"]}
        )
        assert (answer.status_code, again.status_code) == (200, 304)
        tags.append(answer.headers["ETag"])
    assert len(set(tags)) == len(questions)


async def test_an_answer_depends_on_who_asks(server: Server, template: str) -> None:
    async with world(server, template, ALICE) as place:
        app: Any = place.client._transport.app  # type: ignore[attr-defined]  # noqa: SLF001

        class Token:
            """Tells the user and the role that the token names."""

            async def identify(self, headers: Headers, path: str, method: str) -> Identity:  # noqa: ARG002
                user, role = (headers.get("x-auth-token") or "").split(":")
                return Identity(user, user, PROJECTS[ALICE], frozenset({role, "reader"}))

        path = f"/v2/{PROJECTS[ALICE]}/jobs"
        tag = (await place.ask(ALICE, "GET", path)).headers["ETag"]
        for known in (tag, "*"):
            given = {"If-None-Match": known}
            assert (await place.ask(ALICE, "GET", path, headers=given)).status_code == 304
            assert (await place.ask(BOB, "GET", path, headers=given)).status_code == 403
            assert (await place.ask("nobody", "GET", path, headers=given)).status_code == 401
        app.state.contexts = replace(app.state.contexts, authenticator=Token())
        tags = [
            (await place.ask(token, "GET", path)).headers["ETag"]
            for token in ("alice:member", "other:member", "alice:admin")
        ]
        assert len(set(tags)) == len(tags)


async def test_what_it_costs(client: httpx.AsyncClient, recorder: QueryRecorder) -> None:
    async def cost(path: str, known: str | None = None) -> tuple[int, str]:
        with recorder:
            answer = await client.get(path, headers={"If-None-Match": known} if known else {})
        assert answer.status_code == 200 if known in {None, '"x"'} else 304
        return len(recorder), answer.headers["ETag"]

    for project, filled in (("p1", False), ("p2", True)):
        if filled:
            for name in ("a", "b"):
                job = {"job_id": name, "job_actions": [{"freezer_action": {"action": "admin"}}]}
                assert (await client.post(f"/v2/{project}/jobs", json=job)).status_code == 201
        for query, more in (("", 0), ("?limit=1&offset=0", 0), ("?marker=a", 1)):
            if "marker" in query and not filled:
                continue
            path = f"/v2/{project}/jobs{query}"
            # The rows and their actions; or no rows, and the revision of which there are none.
            found, tag = await cost(path)
            assert found == 2 + more
            assert (await cost(path, tag))[0] == 1
            assert "revisions" in recorder.statements[0]
            assert "jobs" not in recorder.statements[0]
            assert (await cost(path, '"x"'))[0] == (3 if filled else 2) + more


async def test_many_writers_at_once(client: httpx.AsyncClient) -> None:
    """Everybody gets through, and whoever reads meanwhile is told of one state by one tag."""
    made = await client.post("/v2/p1/sessions", json={"schedule": {}})
    session = made.json()["session_id"]
    bodies: Mapping[str, Any] = {
        "clients": lambda n: {"client_id": f"c{n}", "is_central": n % 2 == 0},
        "jobs": lambda n: {"description": f"{n}", "job_actions": [{"freezer_action": {}}]},
        "backups": lambda n: {"backup_name": f"{n}", "hostname": "h", "container": "c"},
    }
    known: dict[str, bytes] = {}

    async def write(n: int) -> None:
        kind = list(bodies)[n % 3]
        project = f"p{n % 2 + 1}"
        answer = await client.post(f"/v2/{project}/{kind}", json=bodies[kind](n))
        assert answer.status_code == 201, answer.text
        if kind == "jobs" and project == "p1":
            path = f"/v2/p1/sessions/{session}/jobs/{answer.json()['job_id']}"
            assert (await client.put(path)).status_code == 204

    async def read(project: str, kind: str) -> None:
        for _ in range(5):
            answer = await client.get(f"/v2/{project}/{kind}")
            tag = answer.headers["ETag"]
            assert known.setdefault(tag, answer.content) == answer.content
            given = {"If-None-Match": tag}
            again = await client.get(f"/v2/{project}/{kind}", headers=given)
            assert again.status_code == 304 or again.headers["ETag"] != tag

    await asyncio.gather(
        *map(write, range(50)),
        *(read(project, kind) for project in ("p1", "p2") for kind in bodies),
    )
    for project in ("p1", "p2"):
        for kind in bodies:
            answer = await client.get(f"/v2/{project}/{kind}")
            assert known.get(answer.headers["ETag"], answer.content) == answer.content

"""Two tenants of one gateway: what each of them has, and all that the database holds of one."""

import re
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import httpx
import sqlalchemy as sa
from sqlmodel import SQLModel

from gateway.app import create_app
from gateway.auth.identity import Headers, Identity
from gateway.catalogue.tables import Backup, columns
from gateway.chains.places import Place
from gateway.errors import Unauthenticated
from gateway.settings import load
from tests.support.apps import opened
from tests.support.databases import Server

ALICE, BOB = "alice", "bob"
"""Two users; their tokens are their names."""

PROJECTS = {ALICE: "alpha", BOB: "beta"}

SECRET = "S3CRET"  # noqa: S105 - a word in every text of Alice's
"""What nobody but Alice may ever see."""

WORDS = {ALICE: SECRET, BOB: "plain"}
"""The word in all texts of a user's."""

KINDS = ("backup", "job", "action", "client", "session")
"""The kinds of items that clients write."""

MOMENT = 1_500_000_000
"""The time of every run, and of every backup."""

LIMITS: dict[str, object] = {
    # What the tests ask at once nobody else would.
    "graphql_max_aliases": 10_000,
    "graphql_max_field_pairs": 1_000_000,
    "graphql_max_fields": 100_000,
    "graphql_max_directives": 10_000,
    "graphql_max_fragments": 10_000,
    "graphql_max_list_length": 100_000,
    "graphql_max_root_fields": 10_000,
    "graphql_max_nodes": 100_000_000,
    "graphql_max_tokens": 1_000_000,
    "graphql_max_characters": 10_000_000,
    "graphql_max_literals": 1_000_000,
    "graphql_max_variable_objects": 1_000_000,
    "graphql_max_variable_values": 1_000_000,
}

_MASKS = (
    (r"\breq-[0-9a-f-]{36}\b", "<request>"),
    (r"\b[0-9a-f]{32}\b", "<id>"),
    (r"\b1[789]\d{8}\b", "<time>"),
    (r"\b\d{4}-\d\d-\d\dT[\d:.]+(Z|[+]\d\d:\d\d)?", "<time>"),
)


class Tenants:
    """Knows Alice and Bob, members of projects of their own."""

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:  # noqa: ARG002
        """Tell whose token it is."""
        user = headers.get("x-auth-token") or ""
        if user not in PROJECTS:
            raise Unauthenticated("who is that?")
        return Identity(user, user, PROJECTS[user], frozenset({"member", "reader"}))


@dataclass
class World:
    """A gateway whose tenants have something."""

    client: httpx.AsyncClient
    url: str

    async def ask(self, user: str, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a user's request."""
        headers = {"X-Auth-Token": user} | request.pop("headers", {})
        return await self.client.request(method, path, headers=headers, **request)

    async def graphql(self, user: str, query: str, **variables: object) -> httpx.Response:
        """Ask GraphQL as a user."""
        body = {"query": query, "variables": variables}
        return await self.ask(user, "POST", "/graphql", json=body)

    async def furnish(self, user: str, *, word: str) -> None:
        """Give a user one item of each kind, with this word in every text.

        Bob's refer to Alice's where nothing keeps a client from writing an id of its choice.
        """
        base = f"/v2/{PROJECTS[user]}"
        action = {
            "action": "backup",
            "mode": "fs",
            "storage": "local",
            "engine": "tar",
            "backup_name": f"{word} name",
            "container": f"{word} container",
            "path_to_backup": f"/{word}",
        }
        schedule: dict[str, object] = {
            "schedule_interval": "5 minutes",
            "current_pid": 4711,
            "status": "running",
        }
        schedule["time_started"] = MOMENT
        job = {
            "description": f"{word} job",
            "client_id": item(user, "client"),
            "job_actions": [{"action_id": item(user, "action")}],
            "job_schedule": schedule,
            "session_id": item(ALICE, "session"),
        }
        backup = {
            "backup_name": f"{word} name",
            "container": f"{word} container",
            "hostname": f"{word} host",
            "time_stamp": MOMENT,
            "max_level": 2,
            "secret": word,
            "job_id": item(ALICE, "job"),
            "client_id": item(ALICE, "client"),
        }
        client = {
            "client_id": item(user, "client"),
            "hostname": f"{word}.example",
            "description": f"{word} client",
            "uuid": f"{word} uuid",
        }
        session = {
            "description": f"{word} session",
            "schedule": {"schedule_interval": "5 minutes"},
            "session_tag": 0,
        }
        for path, body in (
            ("/clients", client),
            (f"/actions/{item(user, 'action')}", {"freezer_action": action}),
            (f"/sessions/{item(user, 'session')}", session),
            (f"/jobs/{item(user, 'job')}", job),
            ("/backups", backup),
        ):
            answer = await self.ask(user, "POST", base + path, json=body)
            assert answer.status_code == 201, answer.text
        in_session = f"{base}/sessions/{item(user, 'session')}/jobs/{item(user, 'job')}"
        assert (await self.ask(user, "PUT", in_session)).status_code == 204
        if user == BOB:
            moved = {"session_id": item(ALICE, "session")}
            answer = await self.ask(BOB, "PATCH", f"{base}/jobs/{item(BOB, 'job')}", json=moved)
            assert answer.status_code == 200, answer.text
        await self._say(user, word)
        # The gateway chooses backups' ids, and not the same ones in every world.
        own = columns(Backup)
        await self.run(
            sa.update(Backup)
            .where(own.project_id == PROJECTS[user])
            .values(id=item(user, "backup"))
        )

    async def _say(self, user: str, word: str) -> None:
        """Mute the health of a user's job, and set an objective and the hosts to back up."""
        job_id = b64encode(f"Job:{PROJECTS[user]}:{item(user, 'job')}".encode()).decode()
        said = """mutation($id: ID!, $word: String!) {
          muteHealth(input: {id: $id, reason: $word}) { job { id } }
          setRecoveryObjective(input: {maxAge: 86400}) { maxAge }
          setExpectedHosts(input: {hostnames: [$word]}) { count } }"""
        answer = await self.graphql(user, said, id=job_id, word=f"{word} host")
        assert "errors" not in answer.json(), answer.text

    async def run(self, *statements: Any) -> list[list[Any]]:
        """Run statements behind the gateway's back; return their rows."""
        app = self.client._transport.app  # type: ignore[attr-defined]  # noqa: SLF001
        async with app.state.contexts.db.write(*PROJECTS.values()) as transaction:
            return [sorted(map(repr, await transaction.rows(one))) for one in statements]

    async def held(self, user: str) -> list[list[Any]]:
        """Return everything that the database holds of a user's project."""
        tables = SQLModel.metadata.sorted_tables
        return await self.run(
            *(table.select().where(table.c.project_id == PROJECTS[user]) for table in tables)
        )


def item(user: str, kind: str) -> str:
    """Return the id of an item of a user's; the run is that of the job."""
    return f"{user}-job:{MOMENT}" if kind == "run" else f"{user}-{kind}"


def series_of(user: str) -> str:
    """Return the id of the series of a user's backup."""
    word = WORDS[user]
    place = Place("fs", "swift", "", f"{word} container", "tar", f"{word} host", f"{word} name", "")
    return place.id


def masked(text: str) -> str:
    """Return an answer without what differs from run to run."""
    # Global ids and cursors may hold it, too.
    text = re.sub(r'(?<=")[\w+/=]{12,}(?=")', _decoded, text)
    for pattern, mask in _MASKS:
        text = re.sub(pattern, mask, text)
    return text


def _decoded(match: re.Match[str]) -> str:
    for decode in (bytes.fromhex, partial(b64decode, validate=True)):
        with suppress(ValueError):
            return decode(match[0]).decode()
    return match[0]


@asynccontextmanager
async def world(server: Server, template: str, *furnished: str) -> AsyncIterator[World]:
    """Yield a gateway where these users have something."""
    url = await server.lend(template)
    app = create_app(load(database_url=url, **LIMITS))
    async with opened(app) as client:
        app.state.contexts = replace(app.state.contexts, authenticator=Tenants())
        made = World(client, url)
        for user in furnished:
            await made.furnish(user, word=WORDS[user])
        yield made
    await server.take_back(url)


async def assert_apart(alices: World, before: list[list[Any]]) -> None:
    """Assert that Alice has what she had, and that nothing of it has come to Bob."""
    assert await alices.held(ALICE) == before
    assert SECRET not in repr(await alices.held(BOB))

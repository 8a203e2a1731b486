"""A change that was made is never told as failed, and one told as failed was not made."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from graphql import get_named_type

from gateway.catalogue.bookkeeping_tables import ProjectSettings
from gateway.catalogue.health_tables import ExpectedHost, HealthMute, RecoveryObjective
from gateway.catalogue.tables import Action, Backup, Client, Job, JobAction, Session, source
from gateway.context import Context
from gateway.db.database import Database
from gateway.errors import Forbidden, Unavailable
from gateway.resolvers.collection import Collection
from tests.rest.conftest import asking
from tests.support.graphql_calls import MUTATIONS, selection
from tests.support.lists import fresh_project

pytestmark = pytest.mark.anyio

TABLES = (
    *(Action, Backup, Client, Job, JobAction, Session),
    *(HealthMute, RecoveryObjective, ExpectedHost, ProjectSettings),
)
INT, BIG = 2**31 - 1, 2**63 - 1
INTEGERS = (INT, -INT - 1, INT + 1, BIG, BIG + 1, -BIG - 2)
TEXTS = ("", "x" * 600, "é" * 255, "\0", "\ud800", "2", "9999-12-31T23:59:59")
TIMES = (1774751400123, -1, -62135596801, *INTEGERS)
NEW: dict[str, dict[str, Any]] = {
    "createAction": {"freezerAction": {"action": "info"}},
    "createJob": {"actions": [{"freezerAction": {"action": "info"}}]},
    "createSession": {"schedule": {}},
    "registerBackup": {"metadata": {"backup_name": "n", "container": "c", "hostname": "h"}},
    "registerClient": {"clientId": "new"},
    "muteHealth": {"reason": "known"},
    "setRecoveryObjective": {"maxAge": 5},
    "setExpectedHosts": {"hostnames": ["h"]},
    "setProjectTimeZone": {"timeZone": "Europe/Berlin"},
}
"""The inputs of new items, to which extreme values are added."""
NOT_READ_BACK = {
    "setExpectedHosts": {"__typename": "ExpectedHostsPayload", "count": 1},
    "setProjectTimeZone": {
        "__typename": "ProjectSettingsPayload",
        "projectSettings": {"__typename": "ProjectSettings", "timeZone": "Europe/Berlin"},
    },
}
"""The payloads of mutations that need no look at what they have written."""


def extremes(name: str, type_: Any) -> Iterator[Any]:
    """Yield extreme values of a field of an input."""
    named: Any = get_named_type(type_)
    match named.name:
        case "Int":
            yield from INTEGERS
        case "JSON":
            for key in ("timeout", "priority", "curr_backup_level", "backup_size_compressed"):
                yield from ({key: value} for value in (*INTEGERS, "7", 1e300))
            yield from ({"time_stamp": value} for value in TIMES)
            yield from ({"backup_name": value} for value in TEXTS)
        case "ScheduleInput":
            for key in ("interval", "startDate", "date", "hour", "year"):
                yield from ({key: value} for value in TEXTS)
        case "ActionInput":
            yield from ([{"freezerAction": {"timeout": value}}] for value in INTEGERS)
            yield from ([{"freezerAction": {}, "maxRetries": value}] for value in INTEGERS)
        case "String" | "ID" if name != "id":
            yield from (
                ([value] for value in TEXTS) if name[:9] in {"supported", "hostnames"} else TEXTS
            )


def inputs(mutation: str, ids: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield inputs of a mutation: a plain one, and with each field extreme."""
    type_: Any = get_named_type(MUTATIONS[mutation].args["input"].type)
    kinds = ("session", "backup", "client", "action", "job")
    kind = next((kind for kind in kinds if kind.title() in mutation), "client")
    base: dict[str, Any] = dict(NEW.get(mutation, {}))
    if "id" in type_.fields:
        base["id"] = ids[kind]
    base |= {"series": ids["expired"]} if mutation == "deleteExpiredBackups" else {}
    if mutation == "createRestoreJob":
        base |= {"backup": ids["kept"], "clientId": "host", "acceptsUnknown": True}
    base |= {"jobId": ids["job"]} if "id" in base and "jobId" in type_.fields else {}
    base |= {"result": "SUCCESS"} if "result" in type_.fields else {}
    base |= {"currentTag": 0} if "currentTag" in type_.fields else {}
    yield base
    for name, field in type_.fields.items():
        for value in extremes(name, field.type):
            whole = base[name] | value if isinstance(base.get(name), dict) else value
            yield base | {name: whole}


class World:
    """One item of each kind, with extreme values, in a project of its own."""

    def __init__(self, client: httpx.AsyncClient, database: Database) -> None:
        self.client = client
        self.database = database
        self.project = fresh_project()
        self.ids: dict[str, str] = {}

    async def fill(self, tag: int = 0) -> None:
        """Make the items."""
        ask = asking(self.client, self.project)
        big = {"timeout": BIG, "action": "info"}
        await ask("POST clients", {"client_id": "host"}, 201)
        action = {"freezer_action": big, "max_retries": BIG, "action_id": "a"}
        await ask("POST actions", action, 201)
        await ask("POST jobs", {"job_id": "j", "job_actions": [{"action_id": "a"}]}, 201)
        backup = {"backup_name": "n", "container": "c", "hostname": "h", "max_level": BIG}
        made = await ask("POST backups", backup | {"time_stamp": TIMES[0]}, 201)
        session = {"schedule": {}, "session_tag": tag, "hold_off": -BIG, "time_start": BIG}
        of_session = (await ask("POST sessions", session, 201)).json()["session_id"]
        await ask(f"PUT sessions/{of_session}/jobs/j", status=204)
        for kind, item_id in (
            *(("action", "a"), ("job", "j"), ("client", "host")),
            *(("session", of_session), ("backup", made.json()["backup_id"])),
        ):
            query = f'{{ it: {kind}({kind}Id: "{item_id}") {{ id }} }}'
            self.ids[kind] = (await self.ask(query)).json()["data"]["it"]["id"]
        await self.expire()
        mute = 'mutation($id: ID!) { muteHealth(input: {id: $id, reason: "x"}) { __typename } }'
        assert "errors" not in (await self.ask(mute, id=self.ids["client"])).json()

    async def expire(self) -> None:
        """Make a series of which a retention has removed one backup, and kept another."""
        ask = asking(self.client, self.project)
        keeps = {"action": "backup", "backup_name": "kept", "mode": "fs", "remove_older_than": 2}
        job = {"job_id": "k", "job_actions": [{"freezer_action": keeps}]}
        await ask("POST jobs", job, 201)
        backup = {"backup_name": "kept", "container": "c", "hostname": "h", "job_id": "k"}
        backup |= {"storage": "local", "mode": "fs"}
        for day in (1, 8):
            await ask("POST backups", backup | {"time_stamp": day * 86_400}, 201)
        query = """{ series(where: {backupName: {eq: "kept"}}) {
          nodes { id restorePoints(first: 1) { nodes { id } } }
        } }"""
        (series,) = (await self.ask(query)).json()["data"]["series"]["nodes"]
        self.ids["expired"] = series["id"]
        self.ids["kept"] = series["restorePoints"]["nodes"][0]["id"]

    async def ask(self, text: str, **variables: Any) -> httpx.Response:
        """Send an operation."""
        return await self.client.post(
            "/graphql",
            content=json.dumps({"query": text, "variables": variables}),
            headers={"X-Project-Id": self.project, "Content-Type": "application/json"},
        )

    async def mutate(self, mutation: str, given: dict[str, Any]) -> httpx.Response:
        """Run a mutation, with all that its payload can show of the item itself."""
        type_ = MUTATIONS[mutation].args["input"].type
        shown = selection(MUTATIONS[mutation].type, 1)
        text = f"mutation($input: {type_}) {{ it: {mutation}(input: $input) {shown} }}"
        return await self.ask(text, input=given)

    async def rows(self) -> list[list[tuple[Any, ...]]]:
        """Return everything in the project."""
        found = []
        for table in TABLES:
            own = source(table)
            query = sa.select(own).where(own.c.project_id == self.project)
            found.append(sorted((tuple(row) for row in await self.database.rows(query)), key=repr))
        return found


async def check(world: World, mutation: str, given: dict[str, Any]) -> None:
    """Run a mutation; what it says must be what happened."""
    before = await world.rows()
    answer = await world.mutate(mutation, given)
    after = await world.rows()
    body = answer.json()
    codes = {error["extensions"]["code"] for error in body.get("errors", ())}
    assert "INTERNAL" not in codes, (mutation, given, body)
    if codes:
        assert before == after, (mutation, given, body)
    else:
        assert answer.status_code == 200
        payload = body["data"]["it"]
        tag = payload.get("sessionTag", 0)
        assert -INT <= tag <= INT, (mutation, given, body)
        outcome = payload.get("outcome", "success") == "success"
        is_new = mutation != "registerClient" and payload.get("requested", True)
        assert (before != after) is (outcome and is_new) or not is_new, (mutation, given, body)


@pytest.mark.parametrize("mutation", sorted(MUTATIONS))
async def test_extreme_values(mutation: str, client: httpx.AsyncClient, database: Database) -> None:
    world = World(client, database)
    await world.fill()
    for given in inputs(mutation, world.ids):
        await check(world, mutation, given)


@pytest.mark.parametrize("tag", [INT - 1, INT, INT + 1, BIG])
@pytest.mark.parametrize("mutation", ["startSession", "endSession"])
async def test_extreme_tags(
    mutation: str, tag: int, client: httpx.AsyncClient, database: Database
) -> None:
    for current in {min(tag, INT), INT - 1, 0}:
        world = World(client, database)
        await world.fill(tag)
        given = {"id": world.ids["session"], "jobId": world.ids["job"]}
        given |= {"currentTag": current} if mutation == "startSession" else {"result": "FAIL"}
        await check(world, mutation, given)


@pytest.mark.parametrize("error", [Unavailable("it is gone"), Forbidden("no"), ValueError("bug")])
@pytest.mark.parametrize("mutation", sorted(MUTATIONS))
async def test_a_payload_that_cannot_be_read(
    mutation: str,
    error: Exception,
    client: httpx.AsyncClient,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The change is told to be made, and nobody is told to try again."""
    world = World(client, database)
    await world.fill()
    before = await world.rows()
    given = next(inputs(mutation, world.ids))
    has_written = False
    read, write = Collection.rows_by_key, Context.write

    async def read_before(*given: Any) -> Any:
        if has_written:
            raise error
        return await read(*given)

    def note_write(self: Context, **given: Any) -> Any:
        nonlocal has_written
        has_written = True
        return write(self, **given)

    monkeypatch.setattr(Collection, "rows_by_key", read_before)
    monkeypatch.setattr(Context, "write", note_write)
    answer = await world.mutate(mutation, given)
    assert await world.rows() != before
    assert answer.status_code == 200
    assert "Retry-After" not in answer.headers
    body = answer.json()
    if mutation.startswith("delete"):
        assert "errors" not in body
        shown = {"deletedId": given["id"]} if "id" in given else {"count": 1, "expired": []}
        assert body["data"]["it"].items() >= shown.items()
        return
    if mutation in NOT_READ_BACK:
        assert body == {"data": {"it": NOT_READ_BACK[mutation]}}
        return
    for told in body["errors"]:
        assert told["extensions"]["code"] == "NOT_READ_BACK"
        assert told["message"].startswith("the change was made")
        assert "bug" not in told["message"]
        assert told["path"][0] == "it"
    paths = {tuple(told["path"]) for told in body["errors"]}
    assert len(paths) == len(body["errors"]) > 0
    if mutation in {"muteHealth", "unmuteHealth", "setRecoveryObjective"}:
        # Their items may be null: of the others, nothing was asked.
        assert body["data"]["it"]["client"] is None
        return
    assert body["data"] == {"it": None}


async def test_each_mutation_is_told_by_itself(
    client: httpx.AsyncClient,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One whose change isn't made fails as ever, beside one that isn't read back."""
    world = World(client, database)
    await world.fill()
    dead = False

    async def fail(*_: object) -> None:
        nonlocal dead
        dead = True
        raise Unavailable("it is gone")

    write = Context.write

    def write_unless_dead(self: Context, **given: Any) -> Any:
        if dead:
            raise Unavailable("it is gone")
        return write(self, **given)

    monkeypatch.setattr(Collection, "rows_by_key", fail)
    monkeypatch.setattr(Context, "write", write_unless_dead)
    one = '%s: createAction(input: {actionId: "%s", freezerAction: {}}) { action { id } }'
    answer = await world.ask(f"mutation {{ {one % ('a1', 'a1')} {one % ('a2', 'a2')} }}")
    assert answer.status_code == 200
    assert [error["extensions"]["code"] for error in answer.json()["errors"]] == [
        "NOT_READ_BACK",
        "UNAVAILABLE",
    ]
    ids = {row[1] for row in (await world.rows())[0]}
    assert "a1" in ids
    assert "a2" not in ids

"""The argument `search`: an id exactly, a name anywhere in it, whatever the case."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlmodel import SQLModel

from gateway.catalogue import derivations
from gateway.catalogue.tables import Action, Backup, Client, Job, Session
from gateway.db.database import Database
from tests.support.apps import GraphQL
from tests.support.lists import store
from tests.support.tell import METADATA, Teller

pytestmark = pytest.mark.anyio

FOUND: Mapping[str, Sequence[tuple[str, set[str]]]] = {
    "backup": [
        ("NIGHT", {"nightly of ALPHA", "Nightly ÄÖ"}),
        ("alpha", {"nightly of ALPHA"}),
        ("host-b", {"Nightly ÄÖ"}),
        ("ÄÖ", {"Nightly ÄÖ"}),
        ("äö", {"Nightly ÄÖ"}),
        ("Äö", {"Nightly ÄÖ"}),
        ("ночной", {"Ночной Zürich", "НОЧНОЙ ZÜRICH"}),
        ("ZÜRICH", {"Ночной Zürich", "НОЧНОЙ ZÜRICH"}),
        ("zürich", {"Ночной Zürich", "НОЧНОЙ ZÜRICH"}),
        ("STRASSE", {"Straße"}),
        ("straße", {"Straße"}),
        # Never across two names, whatever stands between them.
        ("straße\x1fbox", set()),
        ("\x1f", set()),
        ("uuid-1", {"nightly of ALPHA"}),
        ("uuid-", set()),
        ("%", {"100%"}),
        ("_", set()),
        ("\\", set()),
        ("' OR 1=1 --", set()),
        ("x" * 10_000, set()),
    ],
    "job": [
        ("weekly", {"Weekly", "by its action"}),
        ("WEEKLY-CONTAINER", {"by its action"}),
        ("j2", {"by its action"}),
        ("j", set()),
        ("host-a", {"Weekly", "by its action"}),
    ],
    "action": [("weekly-container", {"a1"}), ("A1", set()), ("a1", {"a1"}), ("/HOME", {"a1"})],
    "client": [("OST-A", {"host-a"}), ("laptop", {"host-a"}), ("host", {"host-a"})],
    "session": [("to", {"together"}), ("", {"together"})],
}
SHOWN = {"backup": "backupName", "job": "description", "action": "actionId", "client": "clientId"}

_RAW: Mapping[type[SQLModel], dict[str, Any]] = {
    Action: {"user_id": "u", "freezer_action": "{}"},
    Backup: {"user_id": "u", "backup_name": "b", "backup_metadata": "{}"},
    Client: {"user_id": "u"}
    | dict.fromkeys(
        ("supported_actions", "supported_modes", "supported_storages", "supported_engines"), "[]"
    ),
    Job: {"user_id": "u", "job_schedule": "{}"},
    Session: {"user_id": "u", "schedule": "{}"},
}


@pytest.fixture
async def tell(graphql: GraphQL, database: Database) -> Teller:
    """Store items to look for; return what sends mutations."""
    tell = Teller(graphql, database)
    await tell("registerClient", clientId="host-a", description="A Laptop")
    backups: list[dict[str, Any]] = [
        {"backup_name": "nightly of ALPHA", "backup_uuid": "uuid-1"},
        {"backup_name": "Nightly ÄÖ", "hostname": "HOST-B"},
        {"backup_name": "100%"},
        {"backup_name": "Ночной Zürich"},
        {"backup_name": "НОЧНОЙ ZÜRICH"},
        {"backup_name": "Straße", "hostname": "box"},
    ]
    for metadata in backups:
        await tell("registerBackup", metadata=METADATA | metadata)
    what = {"action": "backup", "container": "weekly-container", "path_to_backup": "/home"}
    await tell("createAction", actionId="a1", freezerAction=what)
    await tell("createJob", jobId="j1", description="Weekly", actions=[])
    await tell("createJob", jobId="j2", description="by its action", actions=[{"actionId": "a1"}])
    await tell("createSession", description="together", schedule={})
    return tell


@pytest.mark.parametrize("kind", FOUND)
async def test_a_search_finds(tell: Teller, graphql: GraphQL, kind: str) -> None:
    field = SHOWN.get(kind, "description")
    query = f"""query($text: String) {{
      it: {kind}s(search: $text) {{ totalCount nodes {{ {field} }} }} }}"""
    for text, expected in FOUND[kind]:
        for _ in range(2):
            page = (await graphql(query, {"text": text}))["data"]["it"]
            assert {node[field] for node in page["nodes"]} == expected, text
            assert page["totalCount"] == len(expected)
    assert await tell.ask(f'{{ it: {kind}s(search: "", first: 0) {{ totalCount }} }}')


NAMES = ["Ночной Zürich", "ΣΊΣΥΦΟΣ", "Straße", "ĀB", "plain", "ǅ", "İ"]


@pytest.mark.parametrize("table", derivations.NAMES, ids=lambda table: table.__name__)
async def test_every_name_is_found_in_any_case(
    graphql: GraphQL, database: Database, table: type[SQLModel]
) -> None:
    kind = table.__name__.lower()
    query = f"query($text: String) {{ it: {kind}s(search: $text) {{ nodes {{ {kind}Id }} }} }}"
    for name in derivations.NAMES[table]:
        rows = [_RAW[table] | {"id": f"r{at}", name: text} for at, text in enumerate(NAMES)]
        await store(database, table, name, rows)
        for text in NAMES:
            for sought in (text, text.lower(), text.upper(), text.swapcase(), text[:3].upper()):
                folded = sought.casefold()
                body = await graphql(query, {"text": sought}, project=name)
                found = {node[f"{kind}Id"] for node in body["data"]["it"]["nodes"]}
                expected = {row["id"] for row in rows if folded in str(row[name]).casefold()}
                assert found == expected, (name, sought)


async def test_a_name_is_found_as_it_is_after_a_change(tell: Teller, graphql: GraphQL) -> None:
    made = await tell("createSession", description="Ночной", schedule={})
    for old, new in (("НОЧНОЙ", "Zürich"), ("ZÜRICH", "plain"), ("PLAIN", "Ёлка"), ("ёлка", "Ä")):
        query = "query($text: String) { sessions(search: $text) { totalCount } }"
        found = (await graphql(query, {"text": old}))["data"]["sessions"]["totalCount"]
        assert found == 1, old
        await tell("updateSession", id=made["id"], description=new)
        found = (await graphql(query, {"text": old}))["data"]["sessions"]["totalCount"]
        assert found == 0, old

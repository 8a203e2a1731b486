"""The argument `search`: an id exactly, a name anywhere in it, whatever the case."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gateway.db.database import Database
from tests.support.apps import GraphQL
from tests.support.tell import METADATA, Teller

pytestmark = pytest.mark.anyio

FOUND: Mapping[str, Sequence[tuple[str, set[str]]]] = {
    "backup": [
        ("NIGHT", {"nightly of ALPHA", "Nightly ÄÖ"}),
        ("alpha", {"nightly of ALPHA"}),
        ("host-b", {"Nightly ÄÖ"}),
        ("ÄÖ", {"Nightly ÄÖ"}),
        ("äö", set()),
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


@pytest.fixture
async def tell(graphql: GraphQL, database: Database) -> Teller:
    """Store items to look for; return what sends mutations."""
    tell = Teller(graphql, database)
    await tell("registerClient", clientId="host-a", description="A Laptop")
    backups: list[dict[str, Any]] = [
        {"backup_name": "nightly of ALPHA", "backup_uuid": "uuid-1"},
        {"backup_name": "Nightly ÄÖ", "hostname": "HOST-B"},
        {"backup_name": "100%"},
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

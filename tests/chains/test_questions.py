"""Series, chains, restorability and the cost of deletions, as GraphQL tells of them."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.chains.test_keeping import metadata
from tests.support.apps import GraphQL
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

REGISTER = """
mutation($metadata: JSON!, $status: BackupStatus!) {
  registerBackup(input: {metadata: $metadata, status: $status}) {
    backup { id backupId restorability restorabilityReason chainLevel levelSource }
  }
}
"""


async def register(graphql: GraphQL, day: float, status: str = "AVAILABLE", **values: Any) -> Any:
    """Register a backup of this day; return what is told of it."""
    variables = {"metadata": metadata(day, **values), "status": status}
    body = await graphql(REGISTER, variables)
    assert "errors" not in body, body
    return body["data"]["registerBackup"]["backup"]


async def asked(graphql: GraphQL, query: str, variables: Mapping[str, Any] | None = None) -> Any:
    body = await graphql(query, variables or {})
    assert "errors" not in body, body
    return body["data"]


async def test_a_backup_tells_what_it_needs_and_what_needs_it(graphql: GraphQL) -> None:
    ids = [(await register(graphql, day, max_level=2))["id"] for day in range(1, 6)]
    data = await asked(
        graphql,
        """query($id: ID!) { node(id: $id) { ... on Backup {
          restorability restorabilityReason chainLevel levelSource
          requires { totalCount nodes { id } } dependents { nodes { id } }
          chain { startedAt state length full { id } backups { nodes { id chainLevel } } }
          series { hostname backupName storage container restorability newestBackupAt
            restorePoints { totalCount nodes { id } }
            chains { nodes { state length } }
          }
        } } }""",
        {"id": ids[1]},
    )
    assert data["node"] == {
        "restorability": "RESTORABLE",
        "restorabilityReason": "LEVELS_DERIVED",
        "chainLevel": 1,
        "levelSource": "DERIVED",
        "requires": {"totalCount": 1, "nodes": [{"id": ids[0]}]},
        "dependents": {"nodes": [{"id": ids[2]}]},
        "chain": {
            "startedAt": "1970-01-02T00:00:00+00:00",
            "state": "COMPLETE",
            "length": 3,
            "full": {"id": ids[0]},
            "backups": {"nodes": [{"id": one, "chainLevel": at} for at, one in enumerate(ids[:3])]},
        },
        "series": {
            "hostname": "web1",
            "backupName": "etc",
            "storage": "local",
            "container": "/backups",
            "restorability": "RESTORABLE",
            "newestBackupAt": "1970-01-06T00:00:00+00:00",
            "restorePoints": {"totalCount": 5, "nodes": [{"id": one} for one in ids[::-1]]},
            "chains": {
                "nodes": [{"state": "COMPLETE", "length": 2}, {"state": "COMPLETE", "length": 3}]
            },
        },
    }


async def test_lists_are_filtered_sorted_and_counted_by_what_is_derived(graphql: GraphQL) -> None:
    for day in range(1, 4):
        await register(graphql, day, max_level=2)
    await register(graphql, 4, "ERROR", max_level=2)
    data = await asked(
        graphql,
        """{
          failed: backups(where: {restorability: {eq: FAILED}}) { totalCount nodes { chainLevel } }
          increments: backups(where: {chainLevel: {gt: 0}}) { totalCount }
          sorted: backups(orderBy: [{field: CHAIN_LEVEL, direction: DESC}]) { nodes { chainLevel } }
          series(where: {restorability: {eq: FAILED}}) { totalCount nodes { hostname } }
        }""",
    )
    assert data == {
        "failed": {"totalCount": 1, "nodes": [{"chainLevel": None}]},
        "increments": {"totalCount": 2},
        "sorted": {"nodes": [{"chainLevel": level} for level in (2, 1, 0, None)]},
        "series": {"totalCount": 1, "nodes": [{"hostname": "web1"}]},
    }


async def test_the_number_of_statements_does_not_depend_on_the_number_of_series(
    graphql: GraphQL, recorder: QueryRecorder
) -> None:
    query = """{ series { nodes { hostname restorePoints(first: 1) { nodes {
      restorability requires { nodes { chainLevel } } dependents { totalCount }
      chain { state size } } } chains(first: 2) { nodes { backups { nodes { id } } } } } } }"""
    counts = set()
    for host in ("a", "b", "c"):
        for day in range(1, 4):
            await register(graphql, day, hostname=host, max_level=2)
        with recorder:
            await asked(graphql, query)
        counts.add(len(recorder.statements))
    assert len(counts) == 1


IMPACT = """query($ids: [ID!]!) { deletionImpact(ids: $ids) {
  lostCount brokenCount chainsCount lost { id } broken { id }
} }"""


async def test_the_cost_of_a_deletion(graphql: GraphQL) -> None:
    ids = [(await register(graphql, day, max_level=2))["id"] for day in range(1, 6)]
    data = await asked(graphql, IMPACT, {"ids": [ids[0], ids[2], ids[3]]})
    assert data["deletionImpact"] == {
        "lostCount": 3,
        "brokenCount": 2,
        "chainsCount": 2,
        "lost": [{"id": ids[0]}, {"id": ids[2]}, {"id": ids[3]}],
        "broken": [{"id": ids[1]}, {"id": ids[4]}],
    }


DELETE = """mutation($id: ID!, $dryRun: Boolean! = false, $guard: Boolean! = false) {
  deleteBackup(input: {id: $id}, dryRun: $dryRun, guard: $guard) {
    deletedId impact { lostCount brokenCount broken { restorability } }
  }
}"""


async def test_a_deletion_that_is_only_tried(graphql: GraphQL) -> None:
    ids = [(await register(graphql, day, max_level=2))["id"] for day in range(1, 4)]
    data = await asked(graphql, DELETE, {"id": ids[0], "dryRun": True})
    impact = {"lostCount": 1, "brokenCount": 2, "broken": [{"restorability": "RESTORABLE"}] * 2}
    assert data["deleteBackup"] == {"deletedId": ids[0], "impact": impact}
    assert (await asked(graphql, "{ backups { totalCount } }"))["backups"]["totalCount"] == 3


async def test_a_guarded_deletion(graphql: GraphQL) -> None:
    ids = [(await register(graphql, day, max_level=2))["id"] for day in range(1, 4)]
    body = await graphql(DELETE, {"id": ids[1], "guard": True})
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "CONFLICT"
    assert "1 restore points need" in error["message"]
    data = await asked(graphql, DELETE, {"id": ids[2], "guard": True})
    assert data["deleteBackup"]["impact"] is None
    data = await asked(graphql, DELETE, {"id": ids[0]})
    shown = "{ backups { nodes { restorability restorabilityReason chainLevel } } }"
    (left,) = (await asked(graphql, shown))["backups"]["nodes"]
    assert left == {
        "restorability": "UNKNOWN",
        "restorabilityReason": "REQUIRED_FORGOTTEN",
        "chainLevel": 1,
    }


JOB = """mutation($action: JSON!) { createJob(input: {jobId: "j", description: "j",
  actions: [{actionId: "a", freezerAction: $action}]}) { job { id } } }"""
LEVELS = "{ backups(orderBy: [{field: TIME_STAMP}]) { nodes { chainLevel restorability } } }"


async def test_later_edits_of_an_action_change_nothing_of_the_past(
    graphql: GraphQL, client: httpx.AsyncClient
) -> None:
    action = {"action": "backup", "backup_name": "etc", "mode": "fs"}
    await asked(graphql, JOB, {"action": action | {"incremental": True}})
    for day in (1, 2, 3):
        await register(graphql, day, job_id="j")
    edited = {"freezer_action": action | {"incremental": False}}
    answer = await client.patch("/v2/p1/actions/a", json=edited)
    assert answer.status_code == 200, answer.text
    # What comes between them is by the new policy; those after it are derived anew, by theirs.
    await register(graphql, 2.5, job_id="j")
    nodes = (await asked(graphql, LEVELS))["backups"]["nodes"]
    assert [one["chainLevel"] for one in nodes] == [0, 1, 0, 1]
    assert {one["restorability"] for one in nodes} == {"RESTORABLE"}


async def test_deriving_renews_the_revision_and_raises_no_version(
    graphql: GraphQL, client: httpx.AsyncClient
) -> None:
    ids = [(await register(graphql, day, max_level=2))["backupId"] for day in (1, 3, 4)]

    async def tag(path: str) -> str:
        return str((await client.get(f"/v2/p1/{path}")).headers["ETag"])

    before = [await tag(f"backups/{one}") for one in ids]
    listed = await tag("backups")
    await register(graphql, 2, max_level=2)
    nodes = (await asked(graphql, LEVELS))["backups"]["nodes"]
    assert [one["chainLevel"] for one in nodes] == [0, 1, 2, 0]
    assert [await tag(f"backups/{one}") for one in ids] == before
    assert await tag("backups") != listed

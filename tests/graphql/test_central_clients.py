"""A central client of another project: the caller sees its own jobs, backups and runs with it."""

from typing import Any

import pytest

from gateway.catalogue.history import Run
from gateway.db.database import Database
from tests.support.apps import GraphQL
from tests.support.lists import twice
from tests.support.recorder import QueryRecorder
from tests.support.tell import METADATA, Teller

pytestmark = pytest.mark.anyio

BELOW = """{ projectId
  jobs(first: 1) {
    totalCount nodes { description client { projectId } } edges { node { projectId } }
    pageInfo { hasNextPage }
  }
  backups(first: 1, orderBy: {field: BACKUP_NAME}) {
    totalCount nodes { backupName } edges { node { projectId } }
  }
  runs(first: 1) { totalCount nodes { projectId } } }"""


@pytest.fixture
async def graphql(graphql: GraphQL, database: Database) -> GraphQL:
    """Store a central client of `p0`, and jobs and backups of four projects with its id.

    `p3` has a client of that id itself.
    """
    tell = Teller(graphql, database)
    await tell("registerClient", "p3", clientId="central")
    await tell("registerClient", "p0", clientId="central", isCentral=True)
    for project, count in (("p0", 1), ("p1", 3), ("p2", 2), ("p3", 1)):
        for number in range(count):
            name = f"{project}-{number}"
            await tell("createJob", project, description=name, clientId="central", actions=[])
            begun = {"job_id": name, "client_id": "central", "started_at": 1}
            async with database.write(project) as transaction:
                await transaction.insert(Run(project_id=project, id=f"{name}:1", **begun))
            metadata = METADATA | {"backup_name": name, "client_id": "central"}
            await tell("registerBackup", project, metadata=metadata)
    return twice(graphql)


async def clients_of(graphql: GraphQL, query: str, project: str) -> list[dict[str, Any]]:
    """Return the clients that a query shows."""
    body = await graphql(query.replace("…", BELOW), project=project)
    assert "errors" not in body, body
    (found,) = body["data"].values()
    nodes = found.get("nodes", [found])
    return [node.get("client") or node for node in nodes]


@pytest.mark.parametrize(
    "query",
    [
        "{ clients { nodes … } }",
        '{ client(clientId: "central") … }',
        "{ jobs { nodes { client … } } }",
        "{ backups { nodes { client … } } }",
    ],
)
async def test_its_jobs_and_backups_are_those_of_the_caller(graphql: GraphQL, query: str) -> None:
    for project, count in (("p0", 1), ("p1", 3), ("p2", 2), ("empty", 0)):
        for client in await clients_of(graphql, query, project) if count else []:
            assert client["projectId"] == "p0"
            jobs, backups = client["jobs"], client["backups"]
            assert jobs["totalCount"] == backups["totalCount"] == count
            assert client["runs"] == {"totalCount": count, "nodes": [{"projectId": project}]}
            assert jobs["nodes"] == [{"description": f"{project}-0", "client": {"projectId": "p0"}}]
            assert backups["nodes"] == [{"backupName": f"{project}-0"}]
            edges = [{"node": {"projectId": project}}]
            assert jobs["edges"] == backups["edges"] == edges
            assert jobs["pageInfo"] == {"hasNextPage": count > 1}


async def test_a_project_without_any_sees_none(graphql: GraphQL) -> None:
    (client,) = await clients_of(graphql, "{ clients { nodes … } }", "empty")
    assert client["jobs"]["totalCount"] == client["backups"]["totalCount"] == 0
    assert client["runs"]["totalCount"] == 0


async def test_jobs_belong_to_ones_own_client_of_the_same_id(graphql: GraphQL) -> None:
    central, own = await clients_of(graphql, "{ clients { nodes … } }", "p3")
    assert (central["projectId"], own["projectId"]) == ("p0", "p3")
    assert central["jobs"]["totalCount"] == central["backups"]["totalCount"] == 0
    assert central["runs"]["totalCount"] == 0
    assert own["jobs"]["totalCount"] == own["backups"]["totalCount"] == 1
    assert own["runs"]["totalCount"] == 1


async def test_across_projects_it_has_those_of_its_own_project(graphql: GraphQL) -> None:
    query = "{ clients(allProjects: true, where: {isCentral: {eq: true}}) { nodes … } }"
    (client,) = await clients_of(graphql, query, "p1")
    assert client["jobs"]["totalCount"] == client["backups"]["totalCount"] == 1
    assert client["runs"]["totalCount"] == 1


async def test_it_costs_no_statement_more(graphql: GraphQL, recorder: QueryRecorder) -> None:
    query = "{ jobs { nodes { client { jobs { totalCount } } } } }"
    with recorder:
        await clients_of(graphql, query, "p1")
    # Jobs, their clients, and the jobs of these; asked for twice.
    assert len(recorder) == 2 * 3

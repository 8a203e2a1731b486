"""Plans of every feature that GraphQL has for queries, and the statements that each costs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from starlette.applications import Starlette

from gateway.db.database import Database
from tests.support.apps import GraphQL
from tests.support.global_ids import global_id
from tests.support.recorder import QueryRecorder
from tests.support.stored_estate import estate

pytestmark = pytest.mark.anyio


class Feature(NamedTuple):
    """An operation that has it, with how many statements it takes, and its variables."""

    text: str
    statements: int
    variables: Mapping[str, Any] = {}


SWITCHED = """query($yes: Boolean!) {
  jobs @include(if: $yes) { nodes { id client @skip(if: $yes) { hostname } ...F @skip(if: $yes) } }
  clients @skip(if: $yes) { totalCount }
} fragment F on Job { backups { totalCount } }"""
JOB, BACKUP = (global_id(*key) for key in (("Job", "p1", "j0001"), ("Backup", "p1", "j0001-1")))

FEATURES = {
    "edges": Feature("{ jobs { edges { cursor node { id } } } }", 1),
    "nodes": Feature("{ jobs { nodes { id } } }", 1),
    "edges and nodes": Feature("{ jobs { nodes { id } edges { node { description } } } }", 1),
    "edges of their own": Feature("{ jobs { nodes { actions { edges { position } } } } }", 2),
    "page info": Feature(
        "{ jobs(last: 2) { pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }", 1
    ),
    "total count": Feature("{ jobs { totalCount } }", 1),
    "arguments": Feature(
        """{ jobs(first: 2, where: {description: {startsWith: "j"}}, search: "j",
             orderBy: {field: CREATED_AT}) { nodes { id } } }""",
        1,
    ),
    "arguments below": Feature(
        """{ jobs { nodes { backups(last: 1, where: {level: {gt: 1}}, orderBy: [{field: LEVEL}]) {
             totalCount nodes { id } } } } }""",
        3,
    ),
    "several levels": Feature(
        """{ clients { nodes { jobs(first: 2) { nodes { session { jobs(first: 2) { nodes {
             backups(first: 1) { edges { node { client { hostname } } } } } } } } } } } }""",
        6,
    ),
    "parts of a row": Feature("{ jobs { nodes { schedule { interval timeEnded status } } } }", 1),
    "enums": Feature("{ backups { nodes { status } } jobs { nodes { status result event } } }", 2),
    "booleans": Feature("{ clients { nodes { isCentral } } actions { nodes { mandatory } } }", 2),
    "DateTime": Feature("{ backups { nodes { timeStamp createdAt updatedAt } } }", 1),
    "BigInt": Feature("{ backups { nodes { compressedSize uncompressedSize } } }", 1),
    "JSON": Feature("{ backups { nodes { metadata } } sessions { nodes { jobStates } } }", 2),
    "numbers": Feature("{ backups { nodes { level version } } sessions { nodes { holdOff } } }", 2),
    "node": Feature(f'{{ node(id: "{JOB}") {{ id ... on Job {{ status }} }} }}', 1),
    "nodes by ids": Feature(
        f'{{ nodes(ids: ["{JOB}", "{BACKUP}"]) {{ __typename ... on Job {{ status }} }} }}', 2
    ),
    "one of each kind": Feature(
        """{ job(jobId: "j0001") { id } backup(backupId: "j0001-1") { id }
             action(actionId: "a1") { id } client(clientId: "c1") { id }
             session(sessionId: "s1") { id } nobody: job(jobId: "none") { id } }""",
        6,
    ),
    "who is asking": Feature(
        "{ viewer { project me: user userName roles permissions __typename } }", 0
    ),
    "named fragments": Feature(
        """{ jobs { ...C } } fragment C on JobConnection { nodes { ...F } edges { cursor } }
           fragment F on Job { id client { hostname } }""",
        2,
    ),
    "inline fragments": Feature(
        "{ ... on Query { jobs { ... { nodes { ... on Job { description } } } } } }", 1
    ),
    "fragments on interfaces": Feature(
        "{ jobs { nodes { ...N } } } fragment N on Node { id ... on Job { status } }", 1
    ),
    "aliases": Feature(
        """{ a: jobs(first: 1) { n: nodes { x: id } } b: jobs(first: 2) { nodes { c: client {
             h: hostname } } } }""",
        3,
    ),
    "fields that merge": Feature("{ jobs { nodes { id } } jobs { nodes { status } } }", 1),
    "@skip and @include": Feature(SWITCHED, 1, {"yes": True}),
    "the same, the other way": Feature(SWITCHED, 1, {"yes": False}),
    "__typename": Feature(
        """{ __typename jobs { __typename edges { __typename node { __typename schedule {
             __typename } } } pageInfo { __typename } } }""",
        1,
    ),
    "variables": Feature(
        """query($first: Int, $last: Int = 2, $where: JobWhere, $text: String, $project: ID,
                 $order: [JobOrder!], $by: BackupOrderField!, $across: Boolean! = false, $id: ID!) {
             jobs(first: $first, where: $where, orderBy: $order, search: $text) { nodes {
               backups(last: $last, orderBy: {field: $by}) { nodes { id } } } }
             backups(where: {projectId: {eq: $project}}, allProjects: $across) { totalCount }
             node(id: $id) { id }
           }""",
        4,
        {
            "first": 3,
            "where": {"or": [{"status": {"isNull": True}}, {"createdAt": {"gte": "2026-01-01"}}]},
            "project": "p1",
            "order": {"field": "DESCRIPTION", "direction": "DESC"},
            "by": "TIME_STAMP",
            "across": True,
            "id": JOB,
        },
    ),
    "several root fields": Feature(
        "{ jobs { totalCount } backups { totalCount } clients { totalCount } }", 3
    ),
    "relations to one": Feature("{ jobs { nodes { client { id } session { id } } } }", 3),
    "relations to many": Feature(
        """{ jobs { nodes { actions { nodes { id } } backups { nodes { id } } } }
             actions { nodes { jobs { nodes { id } } } } }""",
        5,
    ),
    "all projects": Feature(
        "{ jobs(allProjects: true) { nodes { projectId client { id } backups { totalCount } } } }",
        3,
    ),
}


@pytest.mark.parametrize("name", FEATURES)
async def test_a_plan_knows(
    app: Starlette, graphql: GraphQL, database: Database, recorder: QueryRecorder, name: str
) -> None:
    await estate(database, 4)
    feature = FEATURES[name]
    answers = []
    for _ in range(3):
        with recorder:
            answers.append(await graphql(feature.text, feature.variables))
        assert len(recorder) == feature.statements, recorder.statements
    assert "errors" not in answers[0], answers[0]
    assert answers == answers[:1] * 3
    assert app.state.graphql.executor.planned == 1


async def test_introspection_stands_beside_data(app: Starlette, graphql: GraphQL) -> None:
    query = """query($deprecated: Boolean = true) {
      a: __schema { queryType { name } ...D } b: __schema { queryType { kind } }
      jobs { totalCount }
      __type(name: "Job") { name fields(includeDeprecated: $deprecated) { name } }
    } fragment D on __Schema { directives { name } }"""
    for _ in range(3):
        body = await graphql(query)
        assert list(body["data"]) == ["a", "b", "jobs", "__type"]
        assert body["data"]["a"]["queryType"] == {"name": "Query"}
        assert {"name": "skip"} in body["data"]["a"]["directives"]
        assert body["data"]["b"] == {"queryType": {"kind": "OBJECT"}}
        assert {"name": "jobId"} in body["data"]["__type"]["fields"]
    assert app.state.graphql.executor.planned == 1

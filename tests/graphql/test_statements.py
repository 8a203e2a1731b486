"""What a query costs: statements by level, never by row, and nothing that isn't selected."""

from collections.abc import Mapping

import httpx
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from gateway.db.database import Database
from gateway.resolvers import actions, jobs
from tests.support.apps import GraphQL, MakeContext
from tests.support.recorder import QueryRecorder
from tests.support.stored_estate import ISSUE, estate

pytestmark = pytest.mark.anyio

COSTS: Mapping[str, int] = {
    # Of a page, each thing costs only if it is asked for.
    "{ jobs { nodes { id } } }": 1,
    "{ jobs { edges { cursor node { id } } nodes { description } pageInfo { endCursor } } }": 1,
    "{ jobs { totalCount } }": 1,
    "{ jobs { totalCount nodes { id } } }": 2,
    '{ jobs(where: {description: {contains: "1"}}, search: "j") { totalCount nodes { id } } }': 2,
    "{ jobs { pageInfo { hasNextPage hasPreviousPage startCursor } } }": 1,
    "{ jobs(last: 2) { pageInfo { hasNextPage hasPreviousPage } } }": 1,
    "{ jobs(after: AFTER) { nodes { id } pageInfo { hasNextPage } } }": 1,
    "{ jobs(after: AFTER) { nodes { id } pageInfo { hasPreviousPage } } }": 2,
    "{ jobs(first: 1, before: BEFORE) { pageInfo { hasNextPage } } }": 1,
    "{ jobs(before: BEFORE) { pageInfo { hasNextPage } } }": 2,
    "{ jobs(after: AFTER, before: BEFORE) { pageInfo { hasNextPage hasPreviousPage } } }": 3,
    # A relation costs one statement, for all the rows of its level.
    "{ jobs { nodes { client { hostname } } } }": 2,
    "{ jobs { nodes { client { hostname } session { description } } } }": 3,
    "{ jobs { nodes { backups { nodes { id } } } } }": 2,
    "{ jobs { nodes { backups { totalCount } } } }": 2,
    "{ jobs { nodes { backups { totalCount nodes { id } } } } }": 3,
    "{ jobs { nodes { backups(first: 1) { pageInfo { hasNextPage } } } } }": 2,
    "{ jobs { nodes { backups(after: PLACE) { pageInfo { hasPreviousPage } } } } }": 3,
    '{ jobs { nodes { backups(search: "n") { totalCount nodes { id } } } } }': 3,
    '{ jobs { nodes { backups(where: {metadata: [{path: ["a"], eq: 1}]}) { nodes { id } } } } }': 2,
    "{ jobs(first: 9) { nodes { actions { edges { position node { jobs {"
    " nodes { id } } } } } } } }": 3,
    '{ actions { nodes { jobs(search: "j") { totalCount } } } }': 2,
    "{ backups { nodes { job { description client { hostname } } client { hostname } } } }": 4,
    "{ clients(first: 9) { nodes { jobs { nodes { backups { nodes { job { id } } } } } } } }": 4,
    "{ sessions { nodes { jobs { totalCount nodes { client { id } } } } } }": 4,
    # The same field by another name, with other arguments.
    "{ jobs { nodes { a: backups(first: 1) { nodes { id } } b:"
    " backups(last: 1) { nodes { id } } } } }": 3,
    "{ a: jobs(first: 1) { nodes { id } } b: jobs(first: 2) { nodes { id } } }": 2,
    # What is looked up by ids is looked up together.
    '{ job(jobId: "j0001") { description schedule { interval } } }': 1,
    "{ node(id: JOB) { id ... on Job { description } } }": 1,
    "{ nodes(ids: [JOB, BACKUP, JOB, JOB, BACKUP]) { id } }": 2,
    "{ nodes(ids: [JOB, JOB]) { ... on Job { client { id } backups { totalCount } } } }": 3,
    "{ viewer { project } __schema { queryType { name } } }": 0,
    "{ jobs(first: 0) { totalCount } }": 1,
}


@pytest.fixture
async def places(database: Database, graphql: GraphQL) -> Mapping[str, str]:
    """Store an estate, and return what stands for the words in capitals."""
    await estate(database, 10)
    body = await graphql(
        """{ jobs { edges { cursor node { id backups { edges { cursor node { id } } } } } } }"""
    )
    edges = body["data"]["jobs"]["edges"]
    first = edges[0]["node"]["backups"]["edges"][0]
    return {
        "AFTER": edges[2]["cursor"],
        "BEFORE": edges[7]["cursor"],
        "JOB": edges[0]["node"]["id"],
        "BACKUP": first["node"]["id"],
        "PLACE": first["cursor"],
    }


@pytest.mark.parametrize("query", COSTS)
async def test_a_query_costs_what_it_asks_for(
    app: Starlette,
    graphql: GraphQL,
    places: Mapping[str, str],
    recorder: QueryRecorder,
    query: str,
) -> None:
    text = query
    for word, place in places.items():
        text = text.replace(word, f'"{place}"')
    executor = app.state.graphql.executor
    before = executor.planned
    for _ in range(2):
        with recorder:
            body = await graphql(text)
        assert "errors" not in body, body
        assert len(recorder) == COSTS[query], recorder.statements
    # The second time, the same plan answered.
    assert executor.planned == before + 1


async def test_as_many_statements_for_500_jobs_as_for_5(
    graphql: GraphQL, database: Database, recorder: QueryRecorder
) -> None:
    await estate(database, 500)
    for first in (5, 50, 500, 5, 50, 500):
        with recorder:
            body = await graphql(ISSUE, {"first": first})
        nodes = body["data"]["jobs"]["nodes"]
        assert len(nodes) == first
        for node in nodes:
            assert node["schedule"]["interval"] == "1 days"
            assert [action["action"] for action in node["actions"]["nodes"]] == ["backup"] * 2
            assert [backup["level"] for backup in node["backups"]["nodes"]] == [1, 2, 3]
        assert len(recorder) == 3


async def test_only_the_columns_that_are_selected_are_read(
    graphql: GraphQL, database: Database, recorder: QueryRecorder
) -> None:
    await estate(database, 2)
    query = "{ jobs { nodes { description backups { nodes { level job { description } } } } } }"
    for _ in range(2):
        with recorder:
            await graphql(query)
        for column in ("backup_metadata", "job_schedule", "user_id", "hostname", "updated_at"):
            assert not recorder.matching(column), column


async def test_a_job_with_many_actions_is_written_by_as_many_statements(
    make_ctx: MakeContext, recorder: QueryRecorder
) -> None:
    counts = set()
    for project, count in (("p1", 2), ("p2", 20), ("p3", 200)):
        drafts = [actions.ActionDraft({"action": "backup"}) for _ in range(count)]
        with recorder:
            await jobs.create(make_ctx(project), jobs.JobDraft(drafts, "j"))
        counts.add(len(recorder))
    # SQLite needs a statement more for the change log.
    assert counts == {7 if make_ctx("p1").db.is_sqlite else 6}


async def test_the_log_says_how_many_statements_a_request_took(
    client: httpx.AsyncClient, graphql: GraphQL, database: Database, recorder: QueryRecorder
) -> None:
    await estate(database, 5)
    job = {"description": "new", "job_actions": [{"freezer_action": {"action": "admin"}}]}
    for ask, least in (
        (lambda: graphql(ISSUE, {"first": 5}), 3),
        (lambda: client.get("/v2/p1/jobs"), 2),
        (lambda: client.post("/v2/p1/jobs", json=job), 4),
        (lambda: client.get("/healthcheck"), 0),
    ):
        for _ in range(2):
            with recorder, capture_logs() as lines:
                await ask()
            (line,) = [line for line in lines if line["event"] == "request"]
            assert line["statements"] == len(recorder) >= least

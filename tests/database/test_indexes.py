"""Pages in the orders of the hot paths are read from an index, without sorting."""

from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from gateway.chains.filling import fill
from gateway.db.database import Database
from tests.support.apps import GraphQL
from tests.support.recorder import QueryRecorder
from tests.support.stored_estate import estate

pytestmark = pytest.mark.anyio

NEWEST = "orderBy: {field: TIME_STAMP, direction: DESC}"
SINCE = '{timeStamp: {gte: "1970-01-01T00:00:01Z"}}'
SORTED = f"{{ backups(first: 2, {NEWEST}) {{ edges {{ cursor }} }} }}"
PAGES = {
    SORTED: "ix_backups_time",
    SORTED.replace("first", "last"): "ix_backups_time",
    SORTED.replace(NEWEST, f"{NEWEST}, where: {SINCE}"): "ix_backups_time",
    "{ backups(first: 2) { edges { cursor } } }": "ix_backups_name",
    "{ jobs(first: 2) { edges { cursor } } }": "ix_jobs_description",
    "{ series(first: 2) { edges { cursor } } }": "ix_series_order",
    "{ series(last: 2) { edges { cursor } } }": "ix_series_order",
    "{ series(first: 2, orderBy: {field: NEWEST_BACKUP_AT}) { edges { cursor } } }": (
        "ix_series_newest"
    ),
    "{ backups(first: 2, where: {restorability: {eq: RESTORABLE}}) { edges { cursor } } }": (
        "ix_backups_verdict"
    ),
}


async def plan_of(database: Database, statement: str) -> str:
    """Return how the database runs a statement, whatever the values of its parameters."""
    async with database.transaction() as connection:

        async def run(text: str) -> Sequence[sa.Row[tuple[str, ...]]]:
            result = await connection.exec_driver_sql(text)
            return result.all() if result.returns_rows else ()

        if database.is_sqlite:
            text = statement
            for number in range(statement.count("?")):
                text = text.replace("?", str(number), 1)
            return "\n".join(str(row) for row in await run(f"EXPLAIN QUERY PLAN {text}"))
        # The tables are too small to be worth an index.
        for setting in ("enable_seqscan = off", "plan_cache_mode = force_generic_plan"):
            await run(f"SET LOCAL {setting}")
        numbers = sorted({int(word) for word in _parameters(statement)})
        await run(f"PREPARE page AS {statement}")
        rows = await run(f"EXPLAIN EXECUTE page ({', '.join('NULL' for _ in numbers)})")
        await run("DEALLOCATE page")
        return "\n".join(str(row) for row in rows)


def _parameters(statement: str) -> list[str]:
    return [part.split(":")[0].split(")")[0].split(" ")[0] for part in statement.split("$")[1:]]


@pytest.mark.parametrize(("query", "index"), PAGES.items())
async def test_a_page_comes_from_an_index(
    graphql: GraphQL, database: Database, recorder: QueryRecorder, query: str, index: str
) -> None:
    await estate(database, 5)
    await fill(database)
    body = await graphql(query)
    (page,) = body["data"].values()
    after = query.replace("(", f'(after: "{page["edges"][0]["cursor"]}", ', 1)
    for text in (query, after):
        with recorder:
            assert "errors" not in await graphql(text)
        (statement,) = recorder.statements
        plan = await plan_of(database, statement)
        assert index in plan, plan
        assert "Sort" not in plan, plan
        assert "TEMP B-TREE" not in plan, plan


LOOKED_UP = {
    "{ jobs(first: 2) { edges { node { actions { edges { position } } } } } }": "job_id",
    "{ sessions(first: 2) { edges { node { jobs { edges { cursor } } } } } }": "session_id",
    "{ jobs(first: 2) { edges { node { backups(first: 2) { edges { cursor } } } } } }": "job_id",
    "{ clients(first: 2) { edges { node { runs(first: 2) { edges { cursor } } } } } }": "client_id",
}


# PostgreSQL knows how many rows a project has.
@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", ["Backup", "Job", "Action", "Session"])
async def test_an_item_is_looked_up_by_its_key(
    graphql: GraphQL, database: Database, recorder: QueryRecorder, kind: str
) -> None:
    await estate(database, 5)
    listed = await graphql(f"{{ {kind.lower()}s(first: 1) {{ edges {{ node {{ id }} }} }} }}")
    item_id = listed["data"][f"{kind.lower()}s"]["edges"][0]["node"]["id"]
    with recorder:
        body = await graphql(f'{{ node(id: "{item_id}") {{ id }} }}')
    assert body["data"]["node"] == {"id": item_id}
    (statement,) = recorder.statements
    assert "(project_id=? AND id=?)" in await plan_of(database, statement)


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("query", "column"), LOOKED_UP.items())
async def test_the_items_of_each_parent_are_looked_up(
    graphql: GraphQL, database: Database, recorder: QueryRecorder, query: str, column: str
) -> None:
    await estate(database, 5)
    with recorder:
        assert "errors" not in await graphql(query)
    assert f"(project_id=? AND {column}=?)" in await plan_of(database, recorder.statements[1])


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("query", "look_up"),
    [
        (
            "{ backups(first: 2) { nodes { run { runId } } } }",
            "ix_runs_job (project_id=? AND job_id=? AND started_at<?)",
        ),
        (
            "{ sessions(first: 2) { nodes { nextRun { at } } } }",
            "ix_jobs_session (project_id=? AND session_id=?)",
        ),
        (
            "{ jobs(where: {lastRunIsUnusual: {eq: true}}) { totalCount } }",
            "ix_runs_job (project_id=? AND job_id=? AND started_at=?)",
        ),
    ],
)
async def test_what_belongs_to_each_row_is_looked_up(
    graphql: GraphQL, database: Database, recorder: QueryRecorder, query: str, look_up: str
) -> None:
    await estate(database, 5)
    with recorder:
        assert "errors" not in await graphql(query)
    assert look_up in await plan_of(database, recorder.statements[0])


@pytest.mark.parametrize(
    ("reason", "index"), [("FAILING", "ix_jobs_failures"), ("OVERDUE", "ix_jobs_due")]
)
async def test_jobs_that_fail_or_are_late_are_found_by_an_index(
    graphql: GraphQL, database: Database, recorder: QueryRecorder, reason: str, index: str
) -> None:
    await estate(database, 5)
    with recorder:
        await graphql(f"{{ jobs(where: {{health: {{reasons: [{reason}]}}}}) {{ totalCount }} }}")
    (statement,) = recorder.statements
    plan = await plan_of(database, statement)
    # PostgreSQL chooses by costs, and here one index costs as little as the other.
    assert index in plan or (not database.is_sqlite and "Index Scan using ix_jobs" in plan)


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", ["runs", "backups"])
@pytest.mark.parametrize(
    "case",
    [
        ("", "time", ""),
        ("by: [JOB]", "time", ""),
        ("by: [CLIENT], {kind}: {{jobId: {{eq: 1}}}}", "job", "job_id=? AND "),
        ("allProjects: true", "time", ""),
    ],
)
async def test_each_bucket_of_statistics_is_found_by_its_time(
    graphql: GraphQL, database: Database, recorder: QueryRecorder, kind: str, case: tuple[str, ...]
) -> None:
    more, index, key = case
    given = f'since: "2026-01-01", until: "2026-02-01", bucket: DAY, {more.format(kind=kind)}'
    fields = "count duration { median } compressedSize { total }"
    with recorder:
        body = await graphql(f"{{ statistics(of: {kind.upper()}, {given}) {{ {fields} }} }}")
    assert len(body["data"]["statistics"]) == 31
    (statement,) = recorder.statements
    plan = await plan_of(database, statement)
    assert f"ix_{kind}_{index}" in plan, plan
    column = {"runs": "started_at", "backups": "calendar_time"}[kind]
    assert f"(project_id=? AND {key}{column}>? AND {column}<?)" in plan, plan

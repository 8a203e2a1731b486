"""Plans as text: on the command line, and in an answer for administrators who ask for it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from gateway.__main__ import app as commands
from gateway.app import create_app
from gateway.auth.identity import Headers, Identity
from gateway.settings import load
from tests.support.apps import opened

pytestmark = pytest.mark.anyio

DOCUMENT = """query Q($n: Int) {
  jobs(first: $n) { totalCount nodes { description client { hostname } } }
  node(id: "Sm9iOnAxOmpvYg==") { id ... on Job { backups(last: 1) { nodes { level } } } }
  __schema { queryType { name } }
}"""
CREATE = 'mutation { createAction(input: {freezerAction: {action: "info"}}) { action { mode } } }'
URLS = {"sqlite": "sqlite:///none.sqlite3", "postgresql": "postgresql://nobody@127.0.0.1:1/none"}


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file with the document, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    # It would log to the runner's standard error, which is closed after the command.
    monkeypatch.setattr("gateway.cli.options.logs.configure", lambda *_: None)
    file = tmp_path / "document.graphql"
    file.write_text(DOCUMENT)
    return file


def told(*arguments: object, **variables: str) -> tuple[int, str]:
    """Return the exit code and the output of `schema explain`."""
    run = CliRunner().invoke(commands, ["schema", "explain", *map(str, arguments)], env=variables)
    return run.exit_code, run.output


@pytest.mark.parametrize("kind", URLS)
def test_the_tree_has_the_levels_with_their_sql(document: Path, kind: str) -> None:
    # There is no such database: it isn't asked.
    code, text = told(document, GATEWAY_DATABASE_URL=URLS[kind])
    assert code == 0, text
    lines = text.splitlines()
    assert lines[:2] == ["query", "  jobs: a connection of Job"]
    assert "    columns: job_id, project_id, description, client_id" in lines
    assert any(line.startswith("    SQL: SELECT count(*)") for line in lines)
    assert "    client: the Client of each `client_id`" in lines
    assert "      backups: a connection of Backup of each `job_id`" in lines
    assert "  __schema: executed by graphql-core" in lines
    laterals = [line for line in lines if "SQL: " in line and "LATERAL" in line]
    assert bool(laterals) == (kind == "postgresql")
    assert "      return [{'hostname': r[4]} for r in rows]" in [line[4:] for line in lines]
    assert not list(document.parent.glob("*.sqlite3"))


def test_the_tree_names_what_reads_the_clock(document: Path) -> None:
    document.write_text("{ clients(orderBy: {field: IS_SILENT}) { nodes { isSilent } } }")
    code, text = told(document)
    assert code == 0
    assert text.splitlines()[:2] == [
        "query that depends on the clock: Client.isSilent, ClientOrder.IS_SILENT",
        "  never kept: Client.isSilent, ClientOrder.IS_SILENT",
    ]


def test_a_mutation_is_not_run(document: Path) -> None:
    document.write_text(CREATE)
    code, text = told(document)
    assert code == 0
    assert "createAction: `Mutation.create_action`, then its payload" in text
    assert "INSERT" not in text
    assert "action: by key" in text


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("{ nothing }", (), "Cannot query field 'nothing'"),
        ("{", (), "Syntax Error"),
        (DOCUMENT, ("--variables", "{"), "--variables is not JSON"),
        (DOCUMENT, ("--variables", "[]"), "--variables must be a JSON object"),
        (DOCUMENT, ("--variables", '{"n": "x"}'), "Int cannot represent"),
        (DOCUMENT, ("--operation", "R"), "no operation is named 'R'"),
    ],
)
def test_what_can_not_be_explained_is_said(
    document: Path, text: str, arguments: tuple[str, ...], message: str
) -> None:
    document.write_text(text)
    code, output = told(document, *arguments)
    assert code == 2
    assert message in output
    assert "Traceback" not in output


class ByRole:
    """An authenticator that takes the token for a role."""

    async def identify(self, headers: Headers, path: str, method: str) -> Identity:  # noqa: ARG002
        """Return a user with that role."""
        role = headers.get("x-auth-token") or "member"
        return Identity(role, role, "p1", frozenset({role}))


@pytest.fixture
async def explained(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of a gateway that explains plans."""
    app = create_app(load(database_url=database_url, graphql_explain=True))
    async with opened(app) as client:
        app.state.contexts = replace(app.state.contexts, authenticator=ByRole())
        yield client


async def ask(client: httpx.AsyncClient, text: str, **headers: str) -> Mapping[str, Any]:
    answer = await client.post("/graphql", json={"query": text}, headers=headers)
    body: Mapping[str, Any] = answer.json()
    return body


async def test_an_administrator_is_shown_the_plan(explained: httpx.AsyncClient) -> None:
    wanted = {"X-GraphQL-Explain": "1", "X-Auth-Token": "admin"}
    body = await ask(explained, DOCUMENT, **wanted)
    assert body["data"]["jobs"] == {"totalCount": 0, "nodes": []}
    assert body["extensions"]["plan"].startswith("query\n  jobs: a connection of Job\n")
    body = await ask(explained, CREATE, **wanted)
    assert "INSERT" not in body["extensions"]["plan"]
    body = await ask(explained, "{ actions { totalCount } }", **wanted)
    assert body["data"] == {"actions": {"totalCount": 1}}
    assert "errors" in await ask(explained, "{ jobs(first: -1) { totalCount } }", **wanted)
    # An answer is given, whatever there is to say of its plan.
    body = await ask(explained, '{ node(id: "bad") { id } viewer { user } }', **wanted)
    assert body["data"] == {"node": None, "viewer": {"user": "admin"}}


async def test_nobody_else_is(explained: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    wanted = {"X-GraphQL-Explain": "1"}
    assert "extensions" not in await ask(explained, DOCUMENT, **wanted)
    assert "extensions" not in await ask(explained, DOCUMENT, **{"X-Auth-Token": "admin"})
    # By default, not even an administrator.
    assert "extensions" not in await ask(client, DOCUMENT, **wanted)


async def test_a_plan_prints_as_a_tree(app: Any) -> None:
    plan, _ = app.state.graphql.executor.prepare(DOCUMENT, {})
    assert str(plan).splitlines() == [
        "query",
        "  jobs: a connection of Job",
        "    client: the Client of each `client_id`",
        "  node: an item by its global id",
        "  __schema: executed by graphql-core",
    ]

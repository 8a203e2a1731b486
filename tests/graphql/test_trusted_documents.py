"""Trusted documents: asked for by id, registered by hash, and the only ones if so set."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from gateway import playground
from gateway.app import create_app
from gateway.schema.trusted_documents import ANY_DOCUMENT
from gateway.settings import load
from tests.support.apps import MakeClient

pytestmark = pytest.mark.anyio

JOBS = "query Jobs($first: Int) { jobs(first: $first) { totalCount } }"
CREATE = (
    'mutation Make { createAction(input: {freezerAction: {action: "info"}}) { action { id } } }'
)
OTHER = "{ viewer { user } }"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def persisted(text: str, **more: object) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(text)} | more}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """relay-compiler's ids are MD5, graphql-codegen's may name their algorithm."""
    relay = hashlib.md5(JOBS.encode(), usedforsecurity=False).hexdigest()
    path = tmp_path / "persisted.json"
    path.write_text(json.dumps({relay: JOBS, f"sha256:{sha256(CREATE)}": CREATE, "own-id": JOBS}))
    return path


async def told(client: httpx.AsyncClient, **body: object) -> tuple[int, Any]:
    response = await client.post("/graphql", json=body)
    found = response.json()
    error = (found.get("errors") or [{}])[0]
    return response.status_code, error.get("extensions", {}).get("code") or found["data"]


async def test_a_document_is_asked_for_by_its_id(make_client: MakeClient, file: Path) -> None:
    client = await make_client(graphql_documents=file)
    relay = hashlib.md5(JOBS.encode(), usedforsecurity=False).hexdigest()
    expected = 200, {"jobs": {"totalCount": 0}}
    for key in (relay, "own-id", sha256(JOBS), f"sha256:{sha256(JOBS)}"):
        assert await told(client, documentId=key, variables={"first": 3}) == expected
        by_get = await client.get("/graphql", params={"documentId": key})
        assert by_get.json() == {"data": expected[1]}
    assert await told(client, **persisted(JOBS)) == expected
    # What is trusted is no more allowed than it was: mutations are sent by POST.
    by_get = await client.get("/graphql", params={"documentId": sha256(CREATE)})
    assert by_get.status_code == 405
    assert (await told(client, documentId=sha256(CREATE)))[1]["createAction"]["action"]["id"]


async def test_ids_that_nobody_knows(make_client: MakeClient, file: Path) -> None:
    client = await make_client(graphql_documents=file)
    response = await client.post("/graphql", json={"documentId": "nothing"})
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert error["message"] == "no trusted document has the id 'nothing'"
    for wrong in (7, [], {"a": 1}, True):
        assert await told(client, documentId=wrong) == (400, "BAD_USER_INPUT")
    for wrong in ({"version": 2}, {"sha256Hash": 1}, {"sha256Hash": None}, {"version": None}):
        assert await told(client, **persisted(JOBS, **wrong)) == (400, "BAD_USER_INPUT")
    assert await told(client, extensions={"persistedQuery": "x"}) == (400, "BAD_USER_INPUT")
    assert await told(client, extensions={}) == (400, "BAD_USER_INPUT")


async def test_a_hash_is_registered_with_its_text(make_client: MakeClient) -> None:
    client = await make_client()
    assert await told(client, **persisted(OTHER)) == (200, "PERSISTED_QUERY_NOT_FOUND")
    response = await client.post("/graphql", json=persisted(OTHER))
    assert response.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    strict = {"Accept": "application/graphql-response+json"}
    response = await client.post("/graphql", json=persisted(OTHER), headers=strict)
    assert response.status_code == 400
    assert await told(client, query=JOBS, **persisted(OTHER)) == (400, "BAD_USER_INPUT")
    assert await told(client, **persisted(OTHER)) == (200, "PERSISTED_QUERY_NOT_FOUND")
    status, data = await told(client, query=OTHER, **persisted(OTHER))
    assert (status, set(data)) == (200, {"viewer"})
    assert await told(client, **persisted(OTHER)) == (200, data)
    params = {"extensions": json.dumps(persisted(OTHER)["extensions"])}
    assert (await client.get("/graphql", params=params)).json() == {"data": data}


async def test_trusted_ones_may_be_the_only_ones(
    make_client: MakeClient, file: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "policy.yaml"
    rules.write_text(json.dumps({ANY_DOCUMENT: "role:nobody"}))
    client = await make_client(
        graphql_documents=file, graphql_documents_only=True, policy_file=rules
    )
    response = await client.post("/graphql", json={"query": OTHER})
    assert response.status_code == 403
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert error["message"].startswith("only trusted documents are taken: send the id of one")
    assert await told(client, query=OTHER, **persisted(OTHER)) == (403, "FORBIDDEN")
    assert await told(client, **persisted(OTHER)) == (200, "PERSISTED_QUERY_NOT_FOUND")
    # Known by another name than its own, or as a text, it is the same document.
    assert await told(client, query=JOBS) == (200, {"jobs": {"totalCount": 0}})
    assert await told(client, documentId="own-id") == (200, {"jobs": {"totalCount": 0}})
    assert await told(client, query=f"{JOBS} ") == (403, "FORBIDDEN")
    for own in playground.DOCUMENTS:
        assert (await told(client, query=own))[0] == 200


async def test_whom_the_rule_allows_may_send_others(make_client: MakeClient, file: Path) -> None:
    client = await make_client(graphql_documents=file, graphql_documents_only=True)
    assert (await told(client, query=OTHER))[0] == 200
    assert (await told(client, query=OTHER, **persisted(OTHER)))[0] == 200
    # Registered is nothing: the next one may not be allowed to send it.
    assert await told(client, **persisted(OTHER)) == (200, "PERSISTED_QUERY_NOT_FOUND")


def test_what_the_page_asks_by_itself_is_trusted() -> None:
    sources = Path(playground.__file__).parent / "src"
    asked = {
        text
        for path in [*sources.glob("*.js"), *sources.glob("*.jsx")]
        for text in re.findall(r"query: '([^'?]+)'", path.read_text())
    }
    assert asked == set(playground.DOCUMENTS)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '"a"', "null"])
def test_a_file_that_cannot_be_used(tmp_path: Path, content: str) -> None:
    path = tmp_path / "persisted.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=str(path)):
        create_app(load(graphql_documents=path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="persisted"):
        create_app(load(graphql_documents=tmp_path / "persisted.json"))


def test_a_document_that_is_not_valid_is_told_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "persisted.json"
    path.write_text(json.dumps({"old": "{ jobs { nothing } }", "bad": "{", "good": OTHER}))
    with capture_logs() as logs:
        create_app(load(graphql_documents=path))
    told = {line["id"]: line["error"] for line in logs if "id" in line}
    assert set(told) == {"old", "bad"}
    assert "nothing" in told["old"]


def test_the_only_ones_need_a_file() -> None:
    with pytest.raises(ValueError, match="graphql_documents_only needs graphql_documents"):
        load(graphql_documents_only=True)

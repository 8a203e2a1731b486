"""Bodies that GraphQL must refuse: with the right code, naming the value, and writing nothing."""

import json
from typing import Any

import httpx

JSON = {"Content-Type": "application/json", "X-Project-Id": "p1"}
ONE_JOB = 'mutation { createJob(input: {jobId: "j", actions: []}) { job { id } } }'
COUNTS = """{ backups { totalCount } jobs { totalCount } actions { totalCount }
              clients { totalCount } sessions { totalCount } }"""


def nested(depth: int) -> Any:
    """An array in an array, and so on."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def body(query: str, variables: Any = None) -> bytes:
    """A query and its variables as a request's body."""
    return json.dumps({"query": query, "variables": variables}).encode()


async def refused(client: httpx.AsyncClient, sent: bytes, named: str, status: int = 200) -> None:
    """Send a body that must be refused where there is one job, and nothing else."""
    response = await client.post("/graphql", content=sent, headers=JSON)
    assert response.status_code == status, response.text
    errors = response.json()["errors"]
    assert {error["extensions"]["code"] for error in errors} == {"BAD_USER_INPUT"}, errors
    assert all(error["extensions"]["requestId"] for error in errors)
    assert named in " ".join(error["message"] for error in errors)
    # Whatever was sent, the answer is short.
    assert len(response.content) < 20_000
    counted = await client.post("/graphql", content=body(COUNTS), headers=JSON)
    counts = [part["totalCount"] for part in counted.json()["data"].values()]
    assert counts == [0, 1, 0, 0, 0]

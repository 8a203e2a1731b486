"""The requests Q1 to Q4 as the gateway understands them, and how answers in GraphQL are read."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .insight_data import BROKEN, POINTS, SERIES
from .workload import COLD, PLACEHOLDER, Item, Request, item

BACKUP = """{
  id status backupName hostname container mode storage level
  timeStamp compressedSize uncompressedSize jobId metadata
}"""

JOB = """{
  id description
  schedule { interval startDate endDate status result event timeCreated timeStarted }
  actions { edges { position node { id maxRetries maxRetriesInterval userId freezerAction } } }
}"""

_PAGE_INFO = "pageInfo { hasNextPage endCursor }"

DOCUMENTS = {
    "Q1": f"query Q1 {{ jobs(first: 50) {{ edges {{ cursor node {JOB} }} {_PAGE_INFO} }} }}",
    "Q2": f"query Q2 {{ backups(first: 100) {{ edges {{ cursor node {BACKUP} }} {_PAGE_INFO} }} }}",
    "Q3": f"query Q3($id: ID!) {{ node(id: $id) {{ ... on Backup {BACKUP} }} }}",
    "Q4": "query Q4($after: String!) { backups(first: 100, after: $after) "
    f"{{ edges {{ cursor node {BACKUP} }} {_PAGE_INFO} }} }}",
    "S1": f"query S1 {{ series(first: {SERIES}) {{ edges {{ node {{ id hostname backupName "
    f"restorePoints(first: {POINTS}) {{ edges {{ node {{ id timeStamp restorability metadata }} }} "
    "} } } } }",
    "S2": f"query S2 {{ backups(first: {BROKEN}, where: {{ restorability: {{ eq: BROKEN }} }}) "
    "{ edges { node { id timeStamp restorabilityReason metadata } } } }",
    "S3": "query S3($id: ID!) { deletionImpact(ids: [$id]) { lostCount brokenCount chainsCount "
    "lost { id } broken { id timeStamp metadata } } }",
}
OF_CHAINS = ("S1", "S2", "S3")
"""The requests that gateways from before there were chains don't know."""
HAS_CHAINS = 'query { __type(name: "Series") { name } }'


def cold(document: str) -> str:
    """Return a document whose operation has another name each time it is sent.

    The name is part of the text, of the parsed document and of the key of every cache of plans, so
    that none of them has it.
    """
    return re.sub(r"^query (\w+)", rf"query \1_{PLACEHOLDER}", document)


DOCUMENTS[COLD] = cold(DOCUMENTS["Q1"])


def never_sent(request: Request) -> Request:
    """Return a request with a serial number each time it is sent, which changes nothing."""
    extensions = f', "extensions": {{"serial": "{PLACEHOLDER}"}}}}'.encode()
    return replace(request, body=request.body[:-1] + extensions)


def post(document: str, headers: Mapping[str, str], **variables: str) -> Request:
    """Make the request for a document."""
    body = json.dumps({"query": document} | ({"variables": variables} if variables else {}))
    return Request("/graphql", body.encode(), "POST", headers)


def answered(document: Mapping[str, Any]) -> Any:
    """Return the only field of an answer. Raises AssertionError for one with errors."""
    assert "errors" not in document, document["errors"]
    (found,) = document["data"].values()
    return found


def read(answer: bytes) -> Sequence[Item]:
    """Return the items of an answer: of connections' edges, or the one node."""
    found = answered(json.loads(answer))
    if "broken" in found:
        return [item(node) for node in found["broken"]]
    if "edges" not in found:
        return [item(found)]
    nodes = [edge["node"] for edge in found["edges"]]
    if any("restorePoints" in node for node in nodes):
        nodes = [edge["node"] for node in nodes for edge in node["restorePoints"]["edges"]]
    return [item(node) for node in nodes]

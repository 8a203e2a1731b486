"""The catalogue beside Horizon: what schedulers and agents store in it, and GraphQL's view."""

from typing import Any, Self

import httpx

from tests.support.live import LiveGateway

from .keystone import Keystone

JOBS = """
query Jobs($named: String) {
  jobs(where: {description: {eq: $named}}) {
    nodes {
      jobId description clientId event sessionId
      schedule { interval startDate }
      actions { nodes { backupName } }
    }
  }
}
"""


class Estate:
    """A project of a gateway, asked by its member alice."""

    def __init__(self, gateway: LiveGateway, keystone: Keystone) -> None:
        """Sign in to Keystone."""
        self.project = keystone.projects["alpha"]
        token = keystone.token("alice", "alpha")
        self._ask = httpx.Client(base_url=gateway.url, headers={"X-Auth-Token": token}, timeout=60)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._ask.close()

    def post(self, kind: str, document: object) -> Any:
        """Store an item over REST v2; return the answer."""
        response = self._ask.post(f"/v2/{self.project}/{kind}", json=document)
        assert response.status_code == 201, response.text
        return response.json()

    def graphql(self, query: str, **variables: object) -> Any:
        """Return the data that answers a query."""
        body = self._ask.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in body, body
        return body["data"]

    def jobs(self, named: str) -> list[dict[str, Any]]:
        """Return the jobs of this name, by their clients."""
        found: list[dict[str, Any]] = self.graphql(JOBS, named=named)["jobs"]["nodes"]
        return sorted(found, key=lambda job: job["clientId"])

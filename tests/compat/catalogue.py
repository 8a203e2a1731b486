"""The catalogue as a dashboard sees it: by GraphQL, asked again until something has happened."""

import time
from collections.abc import Callable
from typing import Any

import httpx

PATIENCE = 300
"""How many seconds something may take to happen."""


class Catalogue:
    """The catalogue of a project."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Ask, and return the data."""
        response = httpx.post(
            f"{self.url}/graphql",
            json={"query": query, "variables": variables},
            headers={"X-Auth-Token": self.token},
            timeout=PATIENCE,
        )
        body = response.json()
        assert "errors" not in body, body
        data: dict[str, Any] = body["data"]
        return data

    def wait(
        self, query: str, until: Callable[[dict[str, Any]], object], **variables: object
    ) -> dict[str, Any]:
        """Ask until it is so, and return the data."""
        patient_until = time.monotonic() + PATIENCE
        while not until(data := self.ask(query, **variables)):
            assert time.monotonic() < patient_until, data
            time.sleep(0.2)
        return data

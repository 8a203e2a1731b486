"""Two projects of the gateway that `client` talks to."""

from uuid import uuid4

import httpx
import pytest

from .project import Project


@pytest.fixture
def project(client: httpx.AsyncClient) -> Project:
    """Return a project that holds nothing yet."""
    return Project(client, uuid4().hex)


@pytest.fixture
def other(client: httpx.AsyncClient) -> Project:
    """Return another project that holds nothing yet."""
    return Project(client, uuid4().hex)

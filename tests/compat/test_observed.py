"""Every observed request, with tokens of a real Keystone, is answered as the contract says.

The table and how an answer is judged are in `tests/observed`. The cases follow from one another:
each database is asked all of them in one go, and each test judges the answer to its own case.
"""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.observed.cases import CASES
from tests.observed.scenario import Outcome, judge, run
from tests.support.databases import Server

from .gateways import in_this_process
from .keystone import Keystone

pytestmark = pytest.mark.anyio

PROJECTS = {"PA": "alpha", "PB": "beta", "ADM": "admin", "SVC": "service"}

PEOPLE = {
    "member": ("alice", "alpha"),
    "other": ("bob", "beta"),
    "reader": ("rita", "alpha"),
    "admin": ("admin", "admin"),
    "service": ("nova", "service"),
    "unscoped": ("alice", None),
}
"""Who the callers of the table are here: user and project."""

WRONG = {"bad": "nonsense", "forged": "gAAAAABforged", "empty": ""}


@pytest.fixture(scope="module")
async def gateway(
    keystone: Keystone, server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of a gateway that asks Keystone, and whose catalogue is empty."""
    url = await server.lend(template)
    folder = tmp_path_factory.mktemp("gateway")
    async with in_this_process(keystone, folder, database_url=url) as client:
        yield client
    await server.take_back(url)


@pytest.fixture(scope="module")
async def outcomes(gateway: httpx.AsyncClient, keystone: Keystone) -> dict[str, Outcome]:
    """Return what came of each case."""
    known = {
        each["name"]: each["id"]
        for each in keystone.admin("GET", "/projects?domain_id=default")["projects"]
    }
    projects = {variable: known[name] for variable, name in PROJECTS.items()}
    tokens = {caller: keystone.token(user, project) for caller, (user, project) in PEOPLE.items()}
    return await run(gateway, CASES, projects, WRONG | tokens)


@pytest.mark.parametrize("name", [case.name for case in CASES])
async def test_with_keystone(name: str, outcomes: dict[str, Outcome]) -> None:
    case = next(case for case in CASES if case.name == name)
    judge(case.answer, outcomes[name])

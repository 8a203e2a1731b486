"""Every request that freezer-api 19 was observed with is answered as the contract says.

The cases follow from one another, so they are run as one scenario for each database, and each
test judges the answer to its own case. `test_no_part_is_left_out` keeps the table honest: a part
that exists must be named in `cases.BUILT`, and what is named there is run.
"""

import ast
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

import gateway

from .cases import BUILT, CASES, OBSERVED
from .scenario import Outcome, judge, run

pytestmark = pytest.mark.anyio

PROJECTS = {"PA": "a0" * 16, "PB": "b0" * 16, "ADM": "ad" * 16, "SVC": "5c" * 16}

IGNORED_TOKENS = {"bad": "nonsense", "forged": "gAAAAABforged", "empty": ""}

WITHOUT_AUTH = [case for case in CASES if case.part in BUILT and case.part != "keystone"]


@pytest.fixture(scope="module")
async def outcomes(scenario_client: httpx.AsyncClient) -> dict[str, Outcome]:
    """Return what came of each case, with identity `none`."""
    return await run(scenario_client, WITHOUT_AUTH, PROJECTS, IGNORED_TOKENS)


@pytest.mark.parametrize("name", [case.name for case in WITHOUT_AUTH])
async def test_without_auth(name: str, outcomes: dict[str, Outcome]) -> None:
    case = next(case for case in WITHOUT_AUTH if case.name == name)
    judge(case.without_auth or case.answer, outcomes[name])


if "keystone" in BUILT:

    @pytest.fixture(scope="module")
    async def keystone_outcomes(
        keystone_client: httpx.AsyncClient, keystone_people: Mapping[str, tuple[str, str]]
    ) -> dict[str, Outcome]:
        """Return what came of each case, with real tokens."""
        projects = {"PA": "member", "PB": "other", "ADM": "admin", "SVC": "service"}
        variables = {name: keystone_people[caller][1] for name, caller in projects.items()}
        tokens = {caller: token for caller, (token, _) in keystone_people.items()}
        return await run(keystone_client, CASES, variables, IGNORED_TOKENS | tokens)

    @pytest.mark.parametrize("name", [case.name for case in CASES])
    async def test_with_keystone(name: str, keystone_outcomes: dict[str, Outcome]) -> None:
        case = next(case for case in CASES if case.name == name)
        judge(case.answer, keystone_outcomes[name])


def test_table_is_whole() -> None:
    assert len(OBSERVED) == 345
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []


def test_every_difference_has_its_reason() -> None:
    differing = [case for case in OBSERVED if case.answer.status != case.observed]
    assert [case.name for case in differing if not case.why.startswith("§")] == []


def test_nothing_is_the_servers_fault() -> None:
    answers = [answer for case in CASES for answer in (case.answer, case.without_auth) if answer]
    assert [answer for answer in answers if answer.status >= 500] == []


async def test_no_part_is_left_out(client: httpx.AsyncClient) -> None:
    sessions = await client.post("/v2/any/sessions", json={})
    if sessions.status_code not in {404, 405}:
        assert "sessions" in BUILT
    if "keystonemiddleware" in imported(Path(gateway.__file__).parent / "auth.py"):
        assert {"sessions", "keystone"} <= BUILT


def imported(path: Path) -> set[str]:
    """Return the top-level packages that the module imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found

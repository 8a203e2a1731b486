"""Every request that freezer-api 19 was observed with is answered as the contract says.

The cases follow from one another, so they are run as one scenario for each database, and each
test judges the answer to its own case. Here nobody is authenticated; `compat/test_observed.py` runs
all of them with tokens of a real Keystone, as they were observed.
"""

from collections import Counter

import httpx
import pytest

from .cases import CASES, OBSERVED
from .scenario import Outcome, judge, run

pytestmark = pytest.mark.anyio

PROJECTS = {"PA": "a0" * 16, "PB": "b0" * 16, "ADM": "ad" * 16, "SVC": "5c" * 16}

IGNORED_TOKENS = {"bad": "nonsense", "forged": "gAAAAABforged", "empty": ""}

WITHOUT_AUTH = [case for case in CASES if not case.needs_keystone]


@pytest.fixture(scope="module")
async def outcomes(scenario_client: httpx.AsyncClient) -> dict[str, Outcome]:
    """Return what came of each case, with identity `none`."""
    return await run(scenario_client, WITHOUT_AUTH, PROJECTS, IGNORED_TOKENS)


@pytest.mark.parametrize("name", [case.name for case in WITHOUT_AUTH])
async def test_without_auth(name: str, outcomes: dict[str, Outcome]) -> None:
    case = next(case for case in WITHOUT_AUTH if case.name == name)
    judge(case.without_auth or case.answer, outcomes[name])


def test_table_is_whole() -> None:
    assert len(OBSERVED) == 345
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []


def test_every_difference_has_its_reason() -> None:
    differing = [case for case in OBSERVED if case.answer.status != case.observed]
    assert [case.name for case in differing if not case.why.startswith("§")] == []


def test_nothing_is_the_servers_fault() -> None:
    answers = [answer for case in CASES for answer in (case.answer, case.without_auth) if answer]
    assert [answer for answer in answers if answer.status >= 500] == []

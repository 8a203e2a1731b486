"""Failures at every level: nulls where they may stand, and one error for each path.

The same fault is injected into the gateway and into the reference execution, which answer alike.
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.auth.policy import RULES
from gateway.schema import errors
from gateway.schema.errors import MASK
from tests.support import hostile_estate
from tests.support.databases import Server
from tests.support.faults import DEAD, KINDS, Faults, patch
from tests.support.graphql_documents import Document, documents
from tests.support.reference import COVERED
from tests.support.twins import EXAMPLES, Answer, Twins, hostile_twins

pytestmark = pytest.mark.anyio

ENTITIES = ("actions", "backups", "clients", "jobs", "sessions")
LOADS = st.builds(Faults, load=st.tuples(st.sampled_from(ENTITIES), st.sampled_from(KINDS)))
FORBIDDEN = st.builds(Faults, rule=st.sampled_from([rule for rule in RULES if ":get" in rule]))
VALUES = st.builds(
    Faults,
    value=st.one_of(
        st.tuples(st.just("Epoch"), st.sampled_from(hostile_estate.SECONDS)),
        st.tuples(st.just("Int32"), st.sampled_from(hostile_estate.NUMBERS)),
        st.tuples(st.just("UTCDateTime"), st.sampled_from(hostile_estate.MOMENTS)),
    ),
)


CURSORS = [
    f"""{{ clients {{ nodes {{ clientId jobs({order}) {{ {selection} totalCount }} }} }}
      jobs({order}) {{ {selection} totalCount }}
      viewer {{ user }} }}"""
    for order in ("orderBy: {field: CREATED_AT}", "last: 2, orderBy: {field: UPDATED_AT}")
    for selection in (
        "edges { cursor }",
        "edges { node { jobId } cursor } nodes { description createdAt }",
        "pageInfo { startCursor hasNextPage }",
        "nodes { client { hostname } } pageInfo { __typename endCursor hasPreviousPage }",
    )
]
"""Lists that are sorted by what may not be shown."""


def value_fault(moment: datetime) -> Faults:
    """Return the fault of a point in time that can't be shown."""
    return Faults(value=("UTCDateTime", moment))


SCENE = """query($ids: [ID!]!) {
  nodes(ids: $ids) { id ... on Job { description client { hostname } } ... on Backup {
    job { session { sessionId } actions(last: 1) { totalCount } } } }
  job(jobId: "j1") { client { hostname jobs { nodes { jobId } } } session { jobs { totalCount } } }
  client(clientId: "c1") { backups(first: 1) { nodes { job { jobId } client { clientId } } } }
  one: node(id: "Q2xpZW50OnAyOmMw") { id ... on Client { jobs { pageInfo { hasNextPage } } } }
}"""
"""Much of everything, so that each fault has a place in it."""
ABOVE_ALL = """{ jobs(first: 2, after: "zzz") { nodes { id } } viewer { user } }"""
MORE = """{ backups(first: 1, before: "<Query.backups.3>") { pageInfo { %s } totalCount %s }
  job(jobId: "j3") { actions(last: 1, after: "<Job.actions.1>") { pageInfo { %s } %s } } }"""
SCENES = [
    # The last one is of no type, and would be an error by itself.
    Document(SCENE, [{"ids": hostile_estate.KNOWN.ids[:-1]}]),
    Document(ABOVE_ALL, [{}]),
    *(
        Document(MORE % (facts, items, facts, items), [{}])
        for facts, items in (
            ("hasNextPage hasPreviousPage", ""),
            ("__typename", "edges { __typename }"),
            ("startCursor __typename", "nodes { __typename }"),
        )
    ),
]
EVERY = [
    *(Faults(load=(entity, kind)) for entity in ENTITIES for kind in KINDS),
    *(Faults(rule=rule) for rule in RULES if ":get_all" in rule),
    Faults(dead_from=0),
]


class Log:
    """Stands in for the log of unexpected errors, which would be long."""

    def __init__(self) -> None:
        self.causes: list[BaseException] = []

    def error(self, _event: str, *, path: object, exc_info: BaseException) -> None:  # noqa: ARG002
        """Keep what was logged."""
        self.causes.append(exc_info)


@pytest.fixture(scope="module")
def log() -> Iterator[Log]:
    """Return what is logged of unexpected errors."""
    found = Log()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(errors, "log", found)
        yield found


@pytest.fixture(scope="module")
async def hostile(server: Server, template: str, log: Log) -> AsyncIterator[Twins]:  # noqa: ARG001
    """Return the application, on an estate that hurts, with methods that can fail."""
    faults = Faults()
    with pytest.MonkeyPatch.context() as monkeypatch:
        patch(monkeypatch, faults)
        async with hostile_twins(server, template, faults) as twins:
            yield twins


DOCUMENTS = documents(COVERED, hostile_estate.KNOWN)


@EXAMPLES
@given(document=DOCUMENTS, faults=LOADS, is_local=st.booleans())
async def test_a_load_that_raises(
    hostile: Twins,
    document: Document,
    faults: Faults,
    is_local: bool,  # noqa: FBT001
) -> None:
    for answer in await hostile.agree(document, is_local=is_local, faults=faults):
        check_masked(answer)


@EXAMPLES
@given(document=DOCUMENTS, faults=FORBIDDEN, is_local=st.booleans())
async def test_a_rule_that_forbids(
    hostile: Twins,
    document: Document,
    faults: Faults,
    is_local: bool,  # noqa: FBT001
) -> None:
    await hostile.agree(document, is_local=is_local, faults=faults)


@EXAMPLES
@given(document=DOCUMENTS, faults=VALUES)
async def test_a_value_that_cant_be_shown(
    hostile: Twins, document: Document, faults: Faults
) -> None:
    for answer in await hostile.agree(document, faults=faults):
        check_masked(answer)


@EXAMPLES
@given(document=DOCUMENTS)
async def test_a_dead_database(hostile: Twins, document: Document) -> None:
    for answer in await hostile.agree(document, faults=Faults(dead_from=0)):
        dead = any(error["message"] == DEAD for error in answer.errors)
        assert answer.status == 200 or dead or answer.data is None


@EXAMPLES
@given(document=DOCUMENTS, dead_from=st.integers(1, 6))
async def test_a_database_that_dies_in_the_middle(
    hostile: Twins, document: Document, dead_from: int
) -> None:
    text, sets = hostile.placed(document)
    hostile.faults.reset()
    whole = [hostile.expected(text, values) for values in sets]
    # What is wrong with the document itself has tests of its own.
    assume(not any(answer.errors for answer in whole))
    answers = []
    for _ in range(2):
        for values in sets:
            hostile.faults.reset(Faults(dead_from=dead_from))
            answers.append(await hostile.answered(text, values))
    hostile.faults.reset()
    told = f"{text}\n{sets}\n{answers}\n{whole}"
    cold, warm = answers[: len(sets)], answers[len(sets) :]
    assert cold == warm, told
    assert [answer.headers for answer in cold] == [answer.headers for answer in warm]
    for answer, complete in zip(cold, whole, strict=True):
        assert all(error["message"] == DEAD for error in answer.errors)
        gone = bool(answer.errors) and not any((answer.data or {}).values())
        assert answer.status == (503 if gone else 200)
        check_explained(answer, complete)


@pytest.mark.parametrize("is_local", [True, False])
@pytest.mark.parametrize("scene", range(len(SCENES)))
async def test_every_fault(hostile: Twins, scene: int, is_local: bool) -> None:  # noqa: FBT001
    for faults in EVERY:
        await hostile.agree(SCENES[scene], is_local=is_local, faults=faults)


@pytest.mark.parametrize("faults", [value_fault(moment) for moment in hostile_estate.MOMENTS])
@pytest.mark.parametrize("text", CURSORS)
async def test_a_cursor_that_cant_be_written(hostile: Twins, text: str, faults: Faults) -> None:
    await hostile.agree(Document(text, [{}]), faults=faults)


def check_masked(answer: Answer) -> None:
    """Assert that nothing is said of an unexpected fault but that there was one."""
    for error in answer.errors:
        assert "injected" not in error["message"]
        if error["extensions"]["code"] == "INTERNAL":
            assert error["message"] == MASK
            assert error["path"]
            assert answer.status == 200


def check_explained(answer: Answer, complete: Answer) -> None:
    """Assert that each null that is there too many has an error, and each error a null."""
    paths = [tuple(error["path"]) for error in answer.errors]
    assert len(set(paths)) == len(paths)
    for null in nulls_instead(answer.data, complete.data):
        assert any(path[: len(null)] == null for path in paths), (null, answer)
    for path in paths:
        value = answer.data
        for key in path:
            value = value and value[key]
        assert value is None, (path, answer)
    # In the order of the document, which is that of the response.
    places = [place_of(complete.data, path) for path in paths]
    assert all(one < other for one, other in pairwise(places)), answer


def nulls_instead(
    found: Any, complete: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of the nulls in place of something; all else must be equal."""
    if found is None and complete is not None:
        yield path
    elif isinstance(found, dict):
        assert list(found) == list(complete)
        for key, value in found.items():
            yield from nulls_instead(value, complete[key], (*path, key))
    elif isinstance(found, list) and len(found) == len(complete):
        for at, value in enumerate(found):
            yield from nulls_instead(value, complete[at], (*path, at))
    else:
        assert found == complete, path


def place_of(data: Any, path: Sequence[str | int]) -> list[int]:
    """Return the place of a path in the response, as numbers to compare by."""
    place = []
    for key in path:
        place.append(key if isinstance(key, int) else list(data).index(key))
        data = data[key]
    return place


QUERY = """{
  jobs(first: 2) { nodes { jobId client { hostname } schedule { timeStarted } } }
  viewer { user }
}"""


async def test_an_unexpected_fault_of_one_field(hostile: Twins, log: Log) -> None:
    log.causes.clear()
    text = f"{QUERY} # one field"
    hostile.faults.reset()
    complete = hostile.expected(text, {})
    clients = [node["client"] for node in complete.data["jobs"]["nodes"]]
    assert any(clients)
    hostile.faults.reset(Faults(load=("clients", "resolve_ids")))
    answers = [await hostile.answered(text, {}) for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0].headers == answers[1].headers
    answer = answers[0]
    assert answer.status == 200
    nodes = answer.data["jobs"]["nodes"]
    assert [node["client"] for node in nodes] == [None, None]
    assert all(node["jobId"] for node in nodes)
    assert answer.data["viewer"] == {"user": "local"}
    for error in answer.errors:
        assert error["message"] == MASK
        assert error["extensions"] == {"code": "INTERNAL"}
        assert error["path"][:2] == ["jobs", "nodes"]
        assert error["locations"] == [{"line": 2, "column": 34}]
    # One cause is logged once, however many fields it makes null.
    assert len(log.causes) == len(answers)
    assert "injected" not in json.dumps(answer.body)

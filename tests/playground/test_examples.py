"""What GraphiQL opens with and what the docs show, on the sample data: it works, and is true."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.errors import Code
from tests.support.apps import app_of
from tests.support.examples import (
    DOCUMENT,
    TABS,
    Ask,
    Example,
    age,
    answered,
    examples,
    moved,
    pretty,
    question,
    rows,
)
from tests.support.streams import subscribed

pytestmark = pytest.mark.anyio

TEXT = DOCUMENT.read_text(encoding="utf-8")
EXAMPLES = examples(TEXT)


@pytest.fixture
def ask(demo_client: httpx.AsyncClient) -> Ask:
    """Return a function that asks the sample data."""

    async def ask(query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "subscription" in query:
            async with subscribed(app_of(demo_client), query, variables, project="demo") as stream:
                event = await stream.event()
            assert event is not None
            return dict(event.data)
        body = {"query": query, "variables": variables}
        answer: dict[str, Any] = (await demo_client.post("/graphql", json=body)).json()
        return answer

    return ask


def lists(value: Any) -> list[list[Any]]:
    """Every list in an answer that is no part of another one."""
    if isinstance(value, list):
        return [value]
    inner = value.values() if isinstance(value, dict) else ()
    return [found for part in inner for found in lists(part)]


@pytest.mark.parametrize("tab", TABS, ids=lambda tab: tab.stem)
async def test_a_tab_shows_something(ask: Ask, tab: Path) -> None:
    answer = await ask(*question(tab))
    assert "errors" not in answer, answer
    assert all(answer["data"].values())
    assert all(lists(answer["data"]))


async def test_the_tab_of_the_mutation_changes_something(ask: Ask) -> None:
    (asked,) = (asked for asked in map(question, TABS) if "mutation" in asked[0])
    requested = [(await ask(*asked))["data"]["startJob"]["requested"] for _ in range(2)]
    assert requested == [True, False]


async def test_the_tab_of_deletions_shows_what_breaks(ask: Ask) -> None:
    (asked,) = (asked for asked in map(question, TABS) if "deletionImpact" in asked[0])
    impact = (await ask(*asked))["data"]["deletionImpact"]
    assert (impact["lostCount"], impact["brokenCount"], impact["chainsCount"]) == (1, 3, 1)


async def test_the_restore_points_have_a_second_page(ask: Ask) -> None:
    query = next(query for query, _ in map(question, TABS) if "$after" in query)
    first = (await ask(query, {}))["data"]["series"]
    assert first["pageInfo"]["hasNextPage"]
    after = {"after": first["pageInfo"]["endCursor"]}
    second = (await ask(query, after))["data"]["series"]
    assert second["nodes"]
    assert not second["pageInfo"]["hasNextPage"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
async def test_an_example_is_answered_as_it_says(ask: Ask, example: Example) -> None:
    answer = await answered(example, ask, await age(ask))
    assert answer == example.answer, "make docs"
    if "errors" not in answer:
        assert all(lists(answer["data"]))


def test_there_are_eleven_panels_and_more() -> None:
    assert len(re.findall(r"^### \d+\. ", TEXT, re.MULTILINE)) == 11
    assert len(EXAMPLES) == 14
    assert [example.name for example in EXAMPLES if "errors" in (example.answer or {})] == [
        "TooLong"
    ]


def test_every_code_of_an_error_is_explained() -> None:
    assert {row[0].strip("`") for row in rows(TEXT, "Errors")} == set(Code)


KINDS = {"string": str, "number": int, "timestamp": str}


@pytest.mark.parametrize("row", list(rows(TEXT, "Grafana")), ids=lambda row: row[0])
def test_what_grafana_is_told_is_in_the_answer(row: list[str]) -> None:
    panel, root, columns = row
    found: Any = EXAMPLES[int(panel.partition(",")[0]) - 1].answer
    for step in root.strip("`").split("."):
        found = found[step]
    paths: list[str] = []
    for column in columns.split(", "):
        path, _, kind = column.partition(" as ")
        paths.append(path.strip("`"))
        if not kind:
            continue
        for item in found if isinstance(found, list) else [found]:
            for path in paths:
                value = item
                for step in path.split("."):
                    value = value[step]
                assert isinstance(value, KINDS[kind])
                assert kind != "timestamp" or re.match(r"\d{4}-\d\d-\d\dT", value)
        paths = []
    assert paths == []


def test_times_are_moved_and_nothing_else() -> None:
    by = EXAMPLES[0]
    assert by.variables == {"since": "2026-03-01T00:00:00Z"}
    value = {
        "a": ["2026-02-28T23:59:59+00:00", "2026-02-28", 5, None],
        "requestId": "req-1",
        "b": "2026-02-28T00:00:00",
    }
    assert moved(value, timedelta(days=1)) == {
        "a": ["2026-03-01T23:59:59+00:00", "2026-02-28", 5, None],
        "requestId": "req-…",
        "b": "2026-03-01T00:00:00",
    }


def test_answers_are_written_on_few_lines() -> None:
    value = {"a": [{"b": 1, "c": ["x" * 60]}, {"b": 2, "c": []}], "d": {"e": "y" * 70}, "f": {}}
    assert json.loads(pretty(value)) == value
    assert pretty(value).splitlines() == [
        "{",
        '  "a": [',
        '    { "b": 1, "c": ["' + "x" * 60 + '"] },',
        '    { "b": 2, "c": [] }',
        "  ],",
        '  "d": { "e": "' + "y" * 70 + '" },',
        '  "f": {}',
        "}",
    ]

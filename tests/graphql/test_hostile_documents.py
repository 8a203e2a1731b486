"""Hostile documents: each costs at most ten ordinary queries, and none is an error of the server.

Work is counted in calls of functions, Python's and C's, and in statements, from the first byte of a
request to the last of its answer; an ordinary query is one at first sight. C code that reads a
text in one call (orjson, `re`, `bytes.count`) is counted once, and bounded by the length of the
body.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from itertools import count
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.db import pools
from gateway.db.database import Database
from gateway.settings import load
from gateway.upkeep import timer
from tests.support.databases import Sqlite
from tests.support.ordinary import QUERY, fill
from tests.support.recorder import QueryRecorder

pytestmark = pytest.mark.anyio

TIMES = 10
HEADERS = ((b"host", b"127.0.0.1"), (b"content-type", b"application/json"))
MARKS = count()


class Work(NamedTuple):
    """What a request took, and the body of its answer."""

    calls: int
    c_calls: int
    statements: int
    status: int
    answer: Any


Run = Callable[..., Awaitable[Work]]


async def post(app: Starlette, body: bytes) -> tuple[int, bytes]:
    """Return the status and the body of the answer to a request, with no client in between."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [*HEADERS, (b"content-length", b"%d" % len(body)), (b"x-project-id", b"p1")]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 9090),
    }
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


@pytest.fixture(scope="module")
async def hostile_app(
    sqlite: Sqlite, sqlite_template: str, anyio_backend: str
) -> AsyncIterator[Starlette]:
    """Return an application with the settings of production: the schema is closed."""
    assert anyio_backend
    url = await sqlite.create(sqlite_template)
    database = Database(load(database_url=url))
    await fill(database)
    await database.close()
    app = create_app(load(database_url=url, graphql_introspection_roles="nobody"))
    with pytest.MonkeyPatch.context() as patch:
        # The upkeep would be counted as well, if it woke up while a request is served.
        patch.setattr(timer.Task, "repeat", lambda _task: asyncio.Event().wait())
        async with app.router.lifespan_context(app):
            yield app
    await sqlite.drop(url)


@pytest.fixture(scope="module")
async def run(hostile_app: Starlette) -> AsyncIterator[Run]:
    """Return a function that sends an operation never seen before, and counts its work."""
    with pytest.MonkeyPatch.context() as patch:
        # A statement that takes long, on a machine that is busy, would go on in a thread.
        patch.setattr(pools, "MAX_INLINE_SECONDS", 60)

        async def made(text: str, variables: Any = None) -> Work:
            calls = {"call": 0, "c_call": 0}

            def see(_frame: object, event: str, _argument: object) -> None:
                if event in calls:
                    calls[event] += 1

            sent = {"query": f"{text} #{next(MARKS)}", "variables": variables}
            body = orjson.dumps(sent)
            profiler = sys.getprofile()
            with QueryRecorder() as statements:
                sys.setprofile(see)
                try:
                    status, answer = await post(hostile_app, body)
                finally:
                    sys.setprofile(profiler)
            return Work(*calls.values(), len(statements), status, orjson.loads(answer))

        yield made


@pytest.fixture(scope="module")
async def ordinary(run: Run) -> Work:
    """Return the work of an ordinary query: the least of some runs."""
    work = await least(run, 5, QUERY)
    assert "errors" not in work.answer
    return work


async def least(run: Run, times: int, text: str, variables: Any = None) -> Work:
    """Return the least work of some runs, of which the first may do what a process does once."""
    return min([await run(text, variables) for _ in range(times)], key=lambda work: work[:3])


def joined(parts: Iterable[str]) -> str:
    return " ".join(parts)


def each(pattern: str, times: int) -> str:
    """Return a pattern written so often, with the number of the time and the one after it."""
    return joined(pattern.format(number, number + 1) for number in range(times))


def negated(times: int) -> Any:
    value: Any = {}
    for _ in range(times):
        value = {"not": value}
    return value


WHERE = "query($w: JobWhere) { jobs(where: $w) { totalCount } }"
LONG = "long_and_hostile_" * 9

KINDS: dict[str, tuple[str, Any]] = {
    "aliases: all that is allowed": ("{" + each("a{}: jobs {{ totalCount }}", 30) + "}", None),
    "aliases: 101": ("{" + each("a{}: __typename", 101) + "}", None),
    "aliases: as many as tokens": ("{" + each("a{}: __typename", 214) + "}", None),
    "aliases in a fragment, spread often": (
        "{" + "...F " * 38 + "} fragment F on Query {" + each("a{}: __typename", 150) + "}",
        None,
    ),
    "nesting: fields": ("{" + "jobs { nodes { client { " * 60 + "id" + " } } }" * 60 + "}", None),
    "nesting: unknown fields": ("{" + "a { " * 190 + "id" + " }" * 190 + "}", None),
    "nesting: without an end": ("{a" * 2400, None),
    "nesting: lists": ("{ jobs(where: " + "[" * 190 + "]" * 190 + ") { totalCount } }", None),
    "nesting: objects": (
        "{ jobs(where: " + "{not: " * 18 + "{}" + "}" * 18 + ") { totalCount } }",
        None,
    ),
    "nesting: types": ("query($a: " + "[" * 190 + "Int" + "]" * 190 + ") { __typename }", None),
    "directives: ten of one kind": ("{ __typename " + "@aa" * 10 + "}", None),
    "directives: one field": ("{ __typename " + "@skip(if: false) " * 50 + "}", None),
    "directives: unknown": ("{ __typename " + each("@a{}", 50) + "}", None),
    "directives: too many": ("{ __typename " + "@a" * 320 + "}", None),
    "directives: many fields": ("{ viewer {" + "user @skip(if: false) " * 24 + "} }", None),
    "directives: a variable each": (
        f"query({each('$v{}: Boolean!', 24)}) {{ viewer {{"
        + each("user @skip(if: $v{})", 24)
        + "} }",
        {f"v{number}": False for number in range(24)},
    ),
    "duplicates: 500 fields": ("{" + "__typename " * 500 + "}", None),
    "duplicates: all that is allowed": ("{" + "__typename " * 25 + "}", None),
    "duplicates: fields of fields": ("{" + "jobs { nodes { description } } " * 13 + "}", None),
    "duplicates: arguments": (
        "{" + 'jobs(where: {jobId: {in: ["a", "b"]}}) { totalCount } ' * 7 + "}",
        None,
    ),
    "duplicates: long arguments": (
        "{" + ("jobs(where: {jobId: {in: [" + '"a" ' * 6 + "]}}) { totalCount } ") * 4 + "}",
        None,
    ),
    "fragments: doubled 12 times": (
        "{ ...F0 }"
        + each("fragment F{0} on Query {{ ...F{1} ...F{1} }}", 12)
        + "fragment F12 on Query { __typename }",
        None,
    ),
    "fragments: a chain": (
        "{ ...F0 }"
        + each("fragment F{0} on Query {{ ...F{1} }}", 19)
        + "fragment F19 on Query { __typename }",
        None,
    ),
    "fragments: fields in many": (
        "{" + each("...F{}", 20) + "}" + each("fragment F{} on Query {{ viewer {{ user }} }}", 20),
        None,
    ),
    "fragments: other fields in each": (
        "{"
        + each("...F{}", 20)
        + "}"
        + each("fragment F{0} on Query {{ a{0}: viewer {{ user }} }}", 20),
        None,
    ),
    "fragments: a cycle": (
        each("fragment F{0} on Query {{ ...F{1} }}", 18)
        + "fragment F18 on Query { ...F0 } { ...F0 }",
        None,
    ),
    "fragments: cycles of all": (
        "{ ...F0 }"
        + each("fragment F{} on Query {{ " + joined(f"...F{n}" for n in range(5)) + " }}", 6),
        None,
    ),
    "fragments: each in all before": (
        "{ ...F0 }"
        + joined(
            f"fragment F{n} on Query {{ __typename {joined(f'...F{m}' for m in range(n + 1, 8))} }}"
            for n in range(8)
        ),
        None,
    ),
    "fragments: unused": ("{ __typename }" + each("fragment F{} on Query {{ a }}", 40), None),
    "fragments: unknown": ("{" + each("...F{}", 40) + "}", None),
    "fragments: inline": ("{" + "...{__typename}" * 24 + "}", None),
    "fragments: inline, nested": ("{" + "...{" * 40 + "__typename" + "}" * 40 + "}", None),
    "unknown fields": ("{" + each("x{}", 645) + "}", None),
    "unknown fields, nearly known": (
        "{ jobs { nodes {" + each("descriptio{}", 600) + "} } }",
        None,
    ),
    "unknown arguments": ("{ jobs(" + each("wher{}: 1", 79) + ") { totalCount } }", None),
    "unknown members of an enum": (
        "{ backups(where: {status: {in: [" + each("AVAILABL{}", 60) + "]}}) { totalCount } }",
        None,
    ),
    "unknown keys of an input": (
        "{ jobs(where: {" + each("statu{}: 1", 76) + "}) { totalCount } }",
        None,
    ),
    "unknown types": ("query(" + each("$v{0}: JobWher{0}", 158) + ") { __typename }", None),
    "an argument, repeated": ("{ jobs(" + "first: 1 " * 80 + ") { totalCount } }", None),
    "a list of texts": (
        "{ jobs(where: {jobId: {in: [" + '"a" ' * 71 + "]}}) { totalCount } }",
        None,
    ),
    "a list of numbers": (
        "{ jobs(where: {jobId: {in: [" + "1 " * 71 + "]}}) { totalCount } }",
        None,
    ),
    "a list of escapes": (
        "{ jobs(where: {jobId: {in: [" + '"\\u0041" ' * 71 + "]}}) { totalCount } }",
        None,
    ),
    "a list of empty conditions": (
        "{ jobs(where: {or: [" + "{} " * 18 + "]}) { totalCount } }",
        None,
    ),
    "a list of conditions": (
        "{ jobs(where: {or: [" + '{jobId: {eq: "a"}} ' * 8 + "]}) { totalCount } }",
        None,
    ),
    "variables: a list of numbers": (WHERE, {"w": {"or": [1] * 300_000}}),
    "variables: a list of objects": (WHERE, {"w": {"or": [{}] * 300_000}}),
    "variables: lists of lists": (WHERE, {"w": {"or": [{"or": [{}] * 300}] * 900}}),
    "variables: empty conditions": (WHERE, {"w": {"or": [{}] * 59}}),
    "variables: conditions": (WHERE, {"w": {"or": [{"jobId": {"eq": "a"}}] * 29}}),
    "variables: nested": (WHERE, {"w": negated(60)}),
    "variables: nested too deep": (WHERE, {"w": negated(90)}),
    "variables: unknown keys": (WHERE, {"w": {f"statu{number}": 1 for number in range(1400)}}),
    "variables: ids of none": (
        "query($i: [ID!]!) { nodes(ids: $i) { id } }",
        {"i": [f"x{number}" for number in range(1000)]},
    ),
    "variables: none is declared": ("{ viewer { user } }", {f"v{n}": 1 for n in range(80_000)}),
    "variables: a long text": (WHERE, {"w": {"jobId": {"eq": "x" * 900_000}}}),
    "variables: escapes": ("{ viewer { user } }", {"v": "\x01" * 150_000}),
    "variables: a text for a number": (
        "query($a: Int) { jobs(first: $a) { totalCount } }",
        {"a": "x" * 900_000},
    ),
    "variables: a document": (
        "mutation($m: JSON!) { registerBackup(input: {metadata: $m}) { backup { id } } }",
        {"m": {f"k{number}": [1, {"a": "b"}] for number in range(20_000)}},
    ),
    "variables: unused": ("query(" + each("$v{}: Int", 158) + ") { viewer { user } }", None),
    "variables: undefined": (
        "{ jobs(where: {and: [" + each("$v{}", 318) + "]}) { totalCount } }",
        None,
    ),
    "variables: one name": ("query(" + "$v: Int " * 158 + ") { jobs(first: $v) { id } }", None),
    "a text: long": ('{ jobs(search: "' + "x" * 900_000 + '") { totalCount } }', None),
    "a text: all that is allowed": ('{ jobs(search: "' + "x" * 9900 + '") { totalCount } }', None),
    "a text: escapes": ('{ jobs(search: "' + "\\n" * 4900 + '") { totalCount } }', None),
    "a text: escapes of Unicode": ('{ jobs(search: "' + "\\u0041" * 1600 + '") { id } }', None),
    "a text: long escapes": ('{ jobs(search: "' + "\\u{41}" * 1400 + '") { totalCount } }', None),
    "a text: many lines": ('{ jobs(search: """' + "\n" * 490 + '""") { totalCount } }', None),
    "a text: no end": ('{ jobs(search: "' + "x" * 9900, None),
    "a comment": ("{ viewer { user } } #" + "x" * 9900, None),
    "comments": ("{ viewer { user } }" + "#\n" * 490, None),
    "lines": ("{ viewer {" + "\n" * 490 + each("x{}", 99) + " } }", None),
    "a number": ("{ jobs(first: " + "1" * 9900 + ") { totalCount } }", None),
    "a number, not whole": ("{ jobs(first: 0." + "1" * 9900 + ") { totalCount } }", None),
    "characters that are none of GraphQL": ("?" * 900_000, None),
    "operations": (each("query Q{} {{ __typename }}", 125), None),
    "operations: all that is allowed": (each("query Q{} {{ viewer {{ user }} }}", 20), None),
    "operations of one name": ("query Q { __typename } " * 125, None),
    "definitions of types": (each("type T{} {{ a: Int }}", 90) + "{ __typename }", None),
    "a subscription": ("subscription {" + each("x{}", 645) + "}", None),
    "introspection": ("{ __schema { types { name fields { name } } } }", None),
    "introspection in circles": (
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
        None,
    ),
    "introspection: aliases": ("{ __schema { types {" + each("a{}: name", 210) + "} } }", None),
    "introspection: again and again": (
        "{" + joined(f"a{n}: __schema {{ types {{ name }} }}" for n in range(55)) + "}",
        None,
    ),
    "pages in pages": (
        "{ jobs(first: 1000) { nodes { backups(first: 1000) { nodes { id } } } } }",
        None,
    ),
    "mutations": (
        "mutation {"
        + joined(
            f'a{n}: deleteJob(input: {{id: "Sm9iOnA6eA=="}}) {{ deletedId }}' for n in range(31)
        )
        + "}",
        None,
    ),
    "a literal of JSON": (
        "mutation { registerBackup(input: {metadata: {"
        + each("k{}: 1", 71)
        + "}}) { backup { id } } }",
        None,
    ),
}


def check(kind: str, work: Work, usual: Work) -> None:
    """Pass, or fail for a request that takes too much work or fails in the server."""
    times = (work.calls + work.c_calls) / (usual.calls + usual.c_calls)
    summary = f"{kind}: {times:.1f}; {str(work.answer)[:120]}"
    sys.stdout.write(f"{summary}\n")
    assert work.status < 500, work
    codes = {one["extensions"]["code"] for one in work.answer.get("errors", ())}
    assert "INTERNAL" not in codes, work
    assert times <= TIMES, times
    assert work.calls <= TIMES * usual.calls
    assert work.statements <= TIMES * usual.statements


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hostile_document_costs_at_most_ten_ordinary_queries(
    run: Run, ordinary: Work, kind: str
) -> None:
    check(kind, await least(run, 2, *KINDS[kind]), ordinary)


PIECES = [text for text, variables in KINDS.values() if not variables and len(text) < 10_000]
BRACES = (
    "{",
    "}",
    "...",
    "@skip(if: $a)",
    "(",
    ")",
    "[",
    '"',
    "$a",
    "a: ",
    "fragment F on Job",
    "#",
)


def assembled(count_of: int) -> Sequence[str]:
    """Return texts put together of hostile pieces, the same ones at every run."""
    texts: list[str] = []

    @settings(max_examples=count_of, derandomize=True, database=None, deadline=None)
    @given(
        pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=3),
        between=st.lists(st.sampled_from(BRACES), min_size=3, max_size=3),
        cut=st.integers(0, 400),
    )
    def assemble(pieces: list[str], between: list[str], cut: int) -> None:
        ends = [joined(piece.split(" ")[cut % 7 : len(piece) - cut]) for piece in pieces]
        texts.append(joined(part for pair in zip(ends, between, strict=False) for part in pair))
        texts.append(joined(pieces))

    assemble()
    return texts


async def test_what_is_put_together_of_hostile_pieces_costs_no_more(
    run: Run, ordinary: Work
) -> None:
    for text in assembled(100):
        check(text[:80], await least(run, 2, text), ordinary)

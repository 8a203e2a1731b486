"""Parsing: the trees, places and errors of graphql-core's own parser."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLError, Node
from graphql import parse as parse_by_core
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.schema import create_schema
from gateway.schema.execution.parsing import parse
from tests.support import hostile_estate
from tests.support.graphql_documents import Document, documents

MAX_TOKENS = 5000
LONG = os.environ.get("GATEWAY_TEST_DOCUMENTS")
TEXTS = [
    '# a comment\r\n{ a(b: "c\\u00e9 \\"d\\"", e: 1.5e3, f: -7) }\n',
    "query Q($a: [Int!]! = [1, 2], $b: T = {c: ENUM, d: null}) @x(y: true) {\n\n  ...F\n}",
    "fragment F on T { a: b, c ... on U @include(if: $d) { e } ... { f } }",
    '{ a(b: """\n  block\n    text\n""") }',
    "\ufeff{\ta,,,b\n\r\n\r  c }",
    "{ a",
    "{ a(b: 01) }",
    "{ é }",
    "{ a .. b }",
    "{ a(b: 'c') }",
    '{ a(b: "open) }',
    "",
    "# nothing",
    "{ a } }",
    "{ a(b: .5) }",
    "{" * 300,
    "{ a " * 250 + "}" * 250,
    "{ " + "a " * MAX_TOKENS + "}",
    "# " * 3 + "\n" + "#\n" * MAX_TOKENS + "{ a }",
]


def told(node: Node) -> Iterator[Any]:
    """Yield each node's kind, own values and place."""
    yield node.kind, node.loc and (node.loc.start, node.loc.end)
    for key in node.keys:
        value = getattr(node, key)
        for part in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(part, Node):
                yield from told(part)
            elif key != "loc":
                yield key, part


def outcome(parser: Any, text: str) -> Any:
    try:
        return list(told(parser(text, max_tokens=MAX_TOKENS)))
    except GraphQLError as error:
        return error.message, error.locations


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_a_text(number: int) -> None:
    assert outcome(parse, TEXTS[number]) == outcome(parse_by_core, TEXTS[number])


@settings(max_examples=int(LONG or 100), derandomize=not LONG, database=None, deadline=None)
@given(document=documents(create_schema().core, hostile_estate.KNOWN), data=st.data())
def test_any_document(document: Document, data: st.DataObject) -> None:
    text = document.text
    assert outcome(parse, text) == outcome(parse_by_core, text)
    at = data.draw(st.integers(0, len(text)))
    inside = data.draw(st.sampled_from(["\n", "\r\n", "#", '"', ".", "\ufeff", "é", "0", "$", "{"]))
    changed = text[:at] + inside + text[at:]
    assert outcome(parse, changed) == outcome(parse_by_core, changed)

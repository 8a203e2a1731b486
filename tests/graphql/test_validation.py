"""Validation in one pass: the errors of graphql-core's own `validate`, in the same order."""

import os
import re
from collections.abc import Sequence
from typing import Any

import pytest
from graphql import GraphQLError, get_named_type, is_leaf_type, is_required_argument, parse
from graphql import validate as validate_by_core
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.schema import create_schema
from gateway.schema.execution.validation import MARKS, RULES, validate
from tests.support import hostile_estate
from tests.support.graphql_documents import Document, documents

SCHEMA = create_schema().core
LONG = os.environ.get("GATEWAY_TEST_DOCUMENTS")

INVALID = [
    "{ nothing jobs { nothing { at } all } }",
    "{ jobs { nodes } viewer }",
    "{ jobs(first: true, nothing: 1, first: 2) { totalCount } }",
    "query($a: Int, $a: Int, $b: Nothing, $c: Job) { jobs(first: $d) { totalCount } }",
    "query($a: String) { jobs(first: $a) { totalCount } }",
    "query A { viewer { user } } query A { viewer { user } } { viewer { user } }",
    "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    "{ ...A ...None } fragment A on Nothing { x } fragment C on Job { id } fragment C on Int { a }",
    "{ a: jobs { totalCount } a: backups { totalCount } }",
    "{ jobs { nodes { id: jobId id } } }",
    "{ viewer { a: user ... on Viewer { a: project ... { a: roles } } } viewer { a: userName } }",
    "{ jobs @skip { totalCount } viewer @nothing(a: 1) @include(if: 1) { user } }",
    "query @skip(if: true) { viewer @skip(if: true) @skip(if: false) { user } }",
    "{ jobs(where: {nothing: 1, status: {eq: NOPE}, status: {eq: RUNNING}}) { totalCount } }",
    "mutation { createJob { job { id } } startJob(input: {}) { requested } }",
    "subscription { jobs { totalCount } }",
    "type Job { id: ID } extend type Query { x: Int }",
    "{ node(id: 1.5) { ... on Viewer { user } ... on Job { none } } }",
    "{ " + " ".join(f"nothing{n}" for n in range(150)) + " }",
    " ".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(60)) + " { ...F0 }",
    "query($w: JobWhere = {jobId: {eq: 1}}, $n: Int! = null) { jobs(where: $w) { totalCount } }",
]


def told(errors: Sequence[GraphQLError]) -> list[Any]:
    return [(error.message, error.locations) for error in errors]


def check(text: str) -> int:
    """Compare both, and return the number of errors."""
    document = parse(text)
    expected = told(validate_by_core(SCHEMA, document, RULES))
    assert told(validate(SCHEMA, document, text)) == expected
    return len(expected)


@pytest.mark.parametrize("number", range(len(INVALID)))
def test_what_is_invalid(number: int) -> None:
    assert check(INVALID[number])


@settings(max_examples=int(LONG or 150), derandomize=not LONG, database=None, deadline=None)
@given(document=documents(SCHEMA, hostile_estate.KNOWN), data=st.data())
def test_any_document_with_a_word_changed(document: Document, data: st.DataObject) -> None:
    check(document.text)
    words = sorted(set(re.findall(r"\w+", document.text)))
    old, new = (data.draw(st.sampled_from(words)) for _ in range(2))
    changed = re.sub(rf"\b{old}\b", new, document.text, count=data.draw(st.integers(1, 3)))
    try:
        parse(changed)
    except GraphQLError:
        return
    check(changed)


def test_the_rules_that_need_a_mark_are_rules() -> None:
    assert set(MARKS) <= {rule.__name__ for rule in RULES}


LITERALS = ["1", "-1", "2147483648", "1" * 5000, "1.5", '"a"', '"""a"""', "true", "NAME", "null"]
LITERALS += ["ASC", "[]", "[1]", "{}", "$a"]
DECLARED = ["Int", "Int!", "[Int]", "String", "String!", "ID", "ID!", "Boolean", "JobWhere", "Job"]


@pytest.mark.parametrize("root", sorted(SCHEMA.query_type.fields))
def test_every_argument_with_every_kind_of_value(root: str) -> None:
    field = SCHEMA.query_type.fields[root]
    kind = get_named_type(field.type)
    below = "" if is_leaf_type(kind) else " { __typename }"
    required = [f"{key}: $b" for key, one in field.args.items() if is_required_argument(one)]
    refused = 0
    for name in [*field.args, "nothing"]:
        others = [one for one in required if not one.startswith(f"{name}:")]
        for literal in LITERALS:
            types = DECLARED if literal == "$a" else [""]
            for declared in types:
                variables = [f"$a: {declared}"] if declared else []
                variables += ["$b: ID!"] if others else []
                given = ", ".join([f"{name}: {literal}", *others])
                head = f"query({', '.join(variables)})" if variables else ""
                refused += bool(check(f"{head} {{ {root}({given}){below} }}"))
    assert refused


@pytest.mark.parametrize(
    "text",
    [
        "{ viewer { user } jobs { totalCount } }",
        "{ viewer { user user } }",
        "{ viewer { user } viewer { roles } }",
        "{ viewer { user: roles a: user } }",
        "{ viewer }",
        "{ viewer {} }",
        "{ viewer { user { id } } }",
        "{ viewer { user(id: 1) } }",
        "{ jobs(first: 1, first: 2) { totalCount } }",
        "{ node { id } }",
        '{ node(id: "a") { id jobId } }',
        "{ __typename viewer { __typename } }",
        "{ __typename(a: 1) }",
        "{ __typename { a } }",
        "{ __schema { types { name } } }",
        "query($a: Int, $b: Int) { jobs(first: $a) { totalCount } }",
        "query($a: Int, $a: Int) { jobs(first: $a) { totalCount } }",
        "query($a: Int = 1) { jobs(first: $a) { totalCount } }",
        'query($a: Int = "a") { jobs(first: $a) { totalCount } }',
        "query($a: Int @skip(if: true)) { jobs(first: $a) { totalCount } }",
        "mutation { startJob(id: 1) { job { id } } }",
        "subscription { viewer { user } }",
        "{ viewer { user } } query A { viewer { user } }",
        "{ viewer { user } } fragment A on Viewer { user }",
    ],
)
def test_queries_that_are_plain_and_those_that_nearly_are(text: str) -> None:
    check(text)

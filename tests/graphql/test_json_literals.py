"""Variables inside literals of `JSON`: they stand there as values, and no plan keeps them."""

from typing import Any

import pytest

from tests.support.apps import GraphQL

pytestmark = pytest.mark.anyio

REGISTER = """
mutation(%s) {
  registerBackup(input: {metadata: {backup_name: "b", container: "c", hostname: "h", x: %s}}) {
    backup { metadata }
  }
}
"""
ABSENT = object()

# The variable's type, its value, the literal that it stands in, and what is stored.
STANDS: dict[str, tuple[str, Any, str, Any]] = {
    "a text": ("String!", "é\n", "$v", "é\n"),
    "an integer": ("Int", 7, "[$v]", [7]),
    "a whole float as an integer": ("Int", 7.0, "{y: {z: [$v]}}", {"y": {"z": [7]}}),
    "a float": ("JSON", 0.5, "{y: $v, z: $v}", {"y": 0.5, "z": 0.5}),
    "a large integer": ("BigInt", str(2**63 - 1), "$v", 2**63 - 1),
    "an id": ("ID", 5, "$v", "5"),
    "a boolean": ("Boolean", False, "[$v, {y: $v}]", [False, {"y": False}]),
    "an enum's value": ("BackupStatus", "ERROR", "[$v]", ["ERROR"]),
    "enums' values": ("[BackupStatus!]", ["ERROR"], "$v", ["ERROR"]),
    "a time": ("DateTime", "2026-01-01T00:00:00z", "$v", "2026-01-01T00:00:00+00:00"),
    "a document": ("JSON", {"a": [{"a.b": None}]}, "[$v]", [{"a": [{"a.b": None}]}]),
    "an input": ("JobEventInput", {"id": "i"}, "$v", {"id": "i"}),
    "null": ("String", None, "{y: $v, z: [$v]}", {"y": None, "z": [None]}),
    "nothing": ("String", ABSENT, "{y: $v, z: [$v]}", {"z": [None]}),
    "a default": ('String = "d"', ABSENT, "{y: $v, z: [$v]}", {"y": "d", "z": ["d"]}),
    "a document by default": ("JSON = {a: [1]}", ABSENT, "$v", {"a": [1]}),
    "not the default": ('String = "d"', None, "[$v]", [None]),
}


async def stored(graphql: GraphQL, text: str, variables: dict[str, Any]) -> Any:
    """Return what a backup's metadata has under `x`; `ABSENT` for no such key."""
    body = await graphql(text, variables)
    assert "errors" not in body, body
    metadata: dict[str, Any] = body["data"]["registerBackup"]["backup"]["metadata"]
    return metadata.get("x", ABSENT)


@pytest.mark.parametrize("what", STANDS)
async def test_a_variable_stands_in_a_literal_as(graphql: GraphQL, what: str) -> None:
    type_, value, literal, expected = STANDS[what]
    given = {} if value is ABSENT else {"v": value}
    text = REGISTER % (f"$v: {type_}", literal)
    # The second time by the plan of the first.
    assert [await stored(graphql, text, given) for _ in range(2)] == [expected] * 2


async def test_an_absent_variable_leaves_its_key_out(graphql: GraphQL) -> None:
    text = REGISTER % ("$v: String", "$v")
    assert await stored(graphql, text, {}) is ABSENT
    assert await stored(graphql, text, {"v": None}) is None


async def test_a_plan_keeps_no_value_of_a_variable(graphql: GraphQL) -> None:
    text = REGISTER % ('$v: String = "d", $w: JSON', "{y: $v, z: [$w]}")
    given: tuple[dict[str, Any], ...] = (
        {"v": "a", "w": [1]},
        {"v": "b"},
        {},
        {"w": {}},
        {"v": "a"},
    )
    found = [await stored(graphql, text, variables) for variables in given]
    assert found == [
        {"y": "a", "z": [[1]]},
        {"y": "b", "z": [None]},
        {"y": "d", "z": [None]},
        {"y": "d", "z": [{}]},
        {"y": "a", "z": [None]},
    ]


async def test_a_variable_stands_in_every_document(graphql: GraphQL) -> None:
    text = """
    mutation($name: String!, $seconds: Int, $tag: JSON) {
      createJob(input: {
        jobId: "j", actions: [{freezerAction: {
          action: "backup", backup_name: $name, timeout: $seconds, tags: [$tag, {is: $tag}]
        }}]
      }) { job { jobId } }
      registerBackup(input: {metadata: {backup_name: $name, container: "c", hostname: "h"}}) {
        backup { backupName }
      }
    }"""
    given = {"name": "n", "seconds": 60, "tag": {"k": 1}}
    body = await graphql(text, given)
    assert body["data"]["registerBackup"] == {"backup": {"backupName": "n"}}
    query = """query($name: String, $tag: Int) {
      backups(where: {metadata: [{path: ["backup_name"], eq: {name: $name, tag: $tag}}]}) {
        totalCount }
    }"""
    body = await graphql(query, {"name": "n"})
    (error,) = body["errors"]
    # A document with a variable in it is compared as any other.
    assert error["message"] == "'eq' must be a string, number, boolean or null"
    query = """{ actions(where: {freezerAction: [{path: ["backup_name"], eq: "n"}]}) {
      nodes { id timeout backupName freezerAction } } }"""
    body = await graphql(query)
    (action,) = body["data"]["actions"]["nodes"]
    assert (action["timeout"], action["backupName"]) == (60, "n")
    document = {
        "action": "backup",
        "backup_name": "n",
        "timeout": 60,
        "tags": [{"k": 1}, {"is": {"k": 1}}],
    }
    assert action["freezerAction"] == document
    update = """mutation($id: ID!, $name: String, $none: Int) {
      updateAction(input: {id: $id, freezerAction: {backup_name: $name, timeout: $none}}) {
        action { freezerAction } } }"""
    body = await graphql(update, {"id": action["id"], "name": "m"})
    # An absent variable patches nothing, and null removes the key.
    assert body["data"]["updateAction"]["action"]["freezerAction"] == document | {
        "backup_name": "m"
    }
    body = await graphql(update, {"id": action["id"], "name": "m", "none": None})
    del document["timeout"]
    assert body["data"]["updateAction"]["action"]["freezerAction"] == document | {
        "backup_name": "m"
    }


async def test_what_variables_make_of_a_literal_is_checked(graphql: GraphQL) -> None:
    deep: Any = 1
    for _ in range(90):
        deep = [deep]
    text = REGISTER % ("$v: JSON", f"{'[' * 20}$v{']' * 20}")
    body = await graphql(text, {"v": deep})
    assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_USER_INPUT"]
    assert "nested deeper" in body["errors"][0]["message"]
    assert (await graphql("{ backups { totalCount } }"))["data"]["backups"]["totalCount"] == 0
    # What a rule of a document refuses, it refuses of a variable, too.
    text = REGISTER.replace('"b"', "$v") % ("$v: Int", "1")
    body = await graphql(text, {"v": 5})
    assert body["errors"][0]["message"] == "'backup_name' must be a string, not 5"

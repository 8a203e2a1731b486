"""Bad input to GraphQL: refused with its code, the value named, and nothing written."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json", "X-Project-Id": "p1"}
COUNTS = """{ backups { totalCount } jobs { totalCount } actions { totalCount }
              clients { totalCount } sessions { totalCount } }"""
HUGE = "9" * 5000


def cursor(*values: object) -> str:
    """A cursor as the gateway writes them, of any values."""
    return urlsafe_b64encode(json.dumps(values).encode()).rstrip(b"=").decode()


def global_id(text: bytes) -> str:
    return b64encode(text).decode()


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


BY_NAME = "backup_name,sort_time,id"
BY_MOMENT = "created_at,id"
CURSORS = {
    "empty": "",
    "no base64": "!!!",
    "not ASCII": "é",
    "no JSON": urlsafe_b64encode(b"nothing").decode(),
    "no UTF-8": urlsafe_b64encode(b"\xff\xfe").decode(),
    "no list": urlsafe_b64encode(b"{}").decode(),
    "of nothing": cursor(),
    "of another order": cursor("-backup_name,-sort_time,-id", "a", 1, "i"),
    "of another list": cursor("description,id", "a", "i"),
    "too short": cursor(BY_NAME, "a", 1),
    "too long": cursor(BY_NAME, "a", 1, "i", "i"),
    "a number for a text": cursor(BY_NAME, 5, 1, "i"),
    "a text for a number": cursor(BY_NAME, "a", "1", "i"),
    "true for a number": cursor(BY_NAME, "a", True, "i"),
    "half a number": cursor(BY_NAME, "a", 1.5, "i"),
    "null": cursor(BY_NAME, None, 1, "i"),
    "a list": cursor(BY_NAME, ["a"], 1, "i"),
    "a number of 65 bits": cursor(BY_NAME, "a", 2**63, "i"),
    "a number of 99 digits": cursor(BY_NAME, "a", 10**99, "i"),
    "a NUL": cursor(BY_NAME, "a\0", 1, "i"),
    "a lone surrogate": cursor(BY_NAME, "\ud800", 1, "i"),
    "huge": "A" * 100_000,
}
MOMENTS = ["yesterday", "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", 5, None, "2026-13-01Z"]

Case = tuple[str, str, dict[str, Any] | None, str]
"""What is wrong, the operation, its variables, and what the message names."""

IDS: list[Case] = [
    (f"an id that is {what}", "query($id: ID!) { node(id: $id) { id } }", {"id": text}, "'id'")
    for what, text in {
        "no base64": "x",
        "empty": "",
        "of no type": global_id(b"Nope:p1:i"),
        "of a part": global_id(b"JobSchedule:p1:i"),
        "without parts": global_id(b"Job"),
        "without an item": global_id(b"Job:p1"),
        "no UTF-8": global_id(b"Job:p1:\xff"),
        "with a NUL": global_id(b"Job:p1:\0"),
    }.items()
]

LITERALS: list[tuple[str, str, str]] = [
    # Lengths of pages
    ("a negative page", "backups(first: -1) { totalCount }", "-1"),
    ("a negative last page", "backups(last: -2147483648) { totalCount }", "-2147483648"),
    ("a page too long", "backups(first: 1001) { totalCount }", "1001"),
    ("pages from both ends", "backups(first: 1, last: 1) { totalCount }", "'first' and 'last'"),
    ("a page of text", 'backups(first: "5") { totalCount }', '"5"'),
    ("half a page", "backups(first: 1.5) { totalCount }", "1.5"),
    ("a page of 33 bits", "backups(first: 2147483648) { totalCount }", "2147483648"),
    ("a page of 5000 digits", f"backups(first: {HUGE}) {{ totalCount }}", HUGE[:50]),
    # Filters
    ("an unknown filter", "backups(where: {nope: {eq: 1}}) { totalCount }", "nope"),
    ("an unknown operator", "backups(where: {level: {like: 1}}) { totalCount }", "like"),
    ("text for a number", 'backups(where: {level: {eq: "1"}}) { totalCount }', '"1"'),
    ("a number of 33 bits", "backups(where: {level: {gt: 2147483648}}) { totalCount }", "2147483648"),
    ("a number of 5000 digits", f"backups(where: {{level: {{eq: {HUGE}}}}}) {{ totalCount }}", HUGE[:50]),
    ("a size of 65 bits", "backups(where: {compressedSize: {eq: 9223372036854775808}}) { totalCount }", "9223372036854775808"),
    ("a size below 64 bits", 'backups(where: {compressedSize: {eq: "-9223372036854775809"}}) { totalCount }', "-9223372036854775809"),
    ("a size of two signs", 'backups(where: {compressedSize: {eq: "--5"}}) { totalCount }', "--5"),
    ("a size of a sign", 'backups(where: {compressedSize: {eq: "-"}}) { totalCount }', "-"),
    ("a size of other digits", 'backups(where: {compressedSize: {eq: "²"}}) { totalCount }', "²"),
    ("a size of 5000 digits", f"backups(where: {{compressedSize: {{eq: {HUGE}}}}}) {{ totalCount }}", HUGE[:50]),
    ("half a byte", "backups(where: {compressedSize: {eq: 0.5}}) { totalCount }", "0.5"),
    ("a size that is true", "backups(where: {compressedSize: {eq: true}}) { totalCount }", "true"),
    ("a date in words", 'backups(where: {timeStamp: {gt: "yesterday"}}) { totalCount }', "yesterday"),
    ("a date of month 13", 'backups(where: {timeStamp: {gt: "2026-13-01"}}) { totalCount }', "2026-13-01"),
    ("a date of epoch", "backups(where: {timeStamp: {gt: 5}}) { totalCount }", "5"),
    ("an empty date", 'backups(where: {createdAt: {gt: ""}}) { totalCount }', '""'),
    ("a date before all", 'backups(where: {timeStamp: {gt: "0001-01-01T00:00:00+14:00"}}) { totalCount }', "0001-01-01"),
    ("an unknown word", "backups(where: {status: {eq: NOPE}}) { totalCount }", "NOPE"),
    ("a word as text", 'backups(where: {status: {eq: "AVAILABLE"}}) { totalCount }', "AVAILABLE"),
    ("no values", "backups(where: {level: {in: null}}) { totalCount }", "level.in"),
    ("a null to compare with", "backups(where: {level: {gt: null}}) { totalCount }", "level.gt"),
    ("a null value", "backups(where: {level: {in: [1, null]}}) { totalCount }", "null"),
    ("a null truth", "backups(where: {level: {isNull: null}}) { totalCount }", "level.isNull"),
    ("a NUL to equal", r'backups(where: {hostname: {eq: "a\u0000"}}) { totalCount }', "hostname.eq"),
    ("a NUL in a list", r'backups(where: {jobId: {in: ["a\u0000"]}}) { totalCount }', "jobId.in"),
    ("a NUL to hold", r'backups(where: {hostname: {contains: "\u0000"}}) { totalCount }', "contains"),
    ("a NUL to search", r'jobs(search: "\u0000") { totalCount }', "search"),
    ("a NUL in an id", r'backup(backupId: "\u0000") { id }', "backupId"),
    ("a NUL in a path", r'backups(where: {metadata: [{path: ["\u0000"], eq: 1}]}) { totalCount }', "path"),
    ("a NUL in a document", r'backups(where: {metadata: [{path: ["a"], eq: "\u0000"}]}) { totalCount }', "NUL"),
    ("no path", "backups(where: {metadata: [{path: [], eq: 1}]}) { totalCount }", "path"),
    ("a long path", f"backups(where: {{metadata: [{{path: {json.dumps(['a'] * 33)}, eq: 1}}]}}) {{ totalCount }}", "path"),
    ("an object to equal", 'backups(where: {metadata: [{path: ["a"], eq: {b: 1}}]}) { totalCount }', "'eq'"),
    ("a list to equal", 'backups(where: {metadata: [{path: ["a"], eq: [1]}]}) { totalCount }', "'eq'"),
    ("an endless number", 'backups(where: {metadata: [{path: ["a"], eq: 1e999}]}) { totalCount }', "inf"),
    ("a number of 65 bits inside", 'backups(where: {metadata: [{path: ["a"], eq: 18446744073709551616}]}) { totalCount }', "18446744073709551616"),
    ("a deep document", f'backups(where: {{metadata: [{{path: ["a"], eq: {json.dumps(nested(150))}}}]}}) {{ totalCount }}', "nested"),
    ("a lone surrogate", r'jobs(search: "\ud800") { totalCount }', "ud800"),
    ("an impossible code point", r'jobs(search: "\u{110000}") { totalCount }', "110000"),
    # Orders
    ("an unknown order", "backups(orderBy: [{field: NOPE}]) { totalCount }", "NOPE"),
    ("an unknown direction", "backups(orderBy: [{field: LEVEL, direction: UP}]) { totalCount }", "UP"),
    # Documents that are none
    ("an unknown field", "nope", "nope"),
    ("an unknown argument", "backups(nope: 1) { totalCount }", "nope"),
    ("nothing selected", "backups", "backups"),
    ("an object selected of a text", "viewer { user { id } }", "user"),
    ("a missing argument", "node { id }", "id"),
    ("an unknown fragment", "viewer { ...Nope }", "Nope"),
    ("an unknown variable", "backups(first: $nope) { totalCount }", "nope"),
    ("an unknown directive", "viewer @nope { user }", "nope"),
    ("deep introspection", "__schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } }", "depth"),
]


def where(condition: Any) -> dict[str, Any]:
    return {"where": condition}


def deep(depth: int) -> Any:
    condition: Any = {"level": {"eq": 1}}
    for _ in range(depth):
        condition = {"not": condition}
    return condition


FILTERED = "query($where: BackupWhere) { backups(where: $where) { totalCount } }"
VARIABLES: list[Case] = [
    ("a missing variable", "query($id: ID!) { node(id: $id) { id } }", None, "$id"),
    ("a null variable", "query($id: ID!) { node(id: $id) { id } }", {"id": None}, "$id"),
    ("a list for an id", "query($id: ID!) { node(id: $id) { id } }", {"id": []}, "$id"),
    ("a page of 33 bits", "query($n: Int) { jobs(first: $n) { totalCount } }", {"n": 2**31}, "$n"),
    ("half a page", "query($n: Int) { jobs(first: $n) { totalCount } }", {"n": 1.5}, "1.5"),
    ("a page of text", "query($n: Int) { jobs(first: $n) { totalCount } }", {"n": "5"}, "'5'"),
    ("an unused variable", "query($n: Int) { jobs { totalCount } }", {"n": 1}, "$n"),
    ("a variable of another type", "query($n: ID) { jobs(first: $n) { totalCount } }", None, "$n"),
    ("a variable of no type", "query($n: Nope) { jobs(first: $n) { totalCount } }", None, "Nope"),
    ("an unknown filter", FILTERED, where({"nope": {}}), "nope"),
    ("an unknown word", FILTERED, where({"status": {"eq": "available"}}), "available"),
    ("a size of 65 bits as text", FILTERED, where({"compressedSize": {"eq": str(2**63)}}), str(2**63)),
    ("a date that is none", FILTERED, where({"createdAt": {"eq": "2026-02-30"}}), "2026-02-30"),
    ("too many conditions", FILTERED, where({"or": [{"level": {"eq": 1}}] * 201}), "201"),
    ("too many values", FILTERED, where({"level": {"in": [1] * 1001}}), "1001"),
    ("too many ways", FILTERED, where({"metadata": [{"path": ["a"] * 32, "eq": 1}] * 7}), "224"),
    ("conditions too deep", FILTERED, where(deep(16)), "16"),
    ("conditions far too deep", FILTERED, where(deep(45)), "16"),
    ("too many ids", "query($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": ["x"] * 10_001}, "10001"),
]
QUERIES: list[Case] = [
    *((f"an after that is {what}", "query($c: String) { backups(after: $c) { totalCount } }", {"c": text}, "'after'") for what, text in CURSORS.items() if "surrogate" not in what),
    *((f"a before that is {what}", "query($c: String) { backups(last: 1, before: $c) { totalCount } }", {"c": text}, "'before'") for what, text in CURSORS.items() if "surrogate" not in what),
    *((f"a cursor at {moment}", "query($c: String) { backups(after: $c, orderBy: {field: CREATED_AT}) { totalCount } }", {"c": cursor(BY_MOMENT, moment, "i")}, "'after'") for moment in MOMENTS),
    ("a nested cursor", 'query { jobs { nodes { backups(after: "x") { totalCount } } } }', None, "'x'"),
    ("a nested page", "query { jobs { nodes { backups(first: -1) { totalCount } } } }", None, "-1"),
    *IDS,
    *((what, f"{{ {text} }}", None, named) for what, text, named in LITERALS),
    *VARIABLES,
    ("half a document", "{ viewer { user }", None, "Syntax Error"),
    ("brackets of brackets", "{" * 2000, None, "Syntax Error"),
    ("a document of brackets", "{ a" * 2000 + "}" * 2000, None, "nested"),
    ("a list of lists", f"{{ jobs(search: {'[' * 2000}) }}", None, "nested"),
    ("only a fragment", "fragment F on Job { id }", None, "operation"),
    ("two that have no name", "{ viewer { user } } { viewer { user } }", None, "anonymous"),
    ("two of one name", "query A { viewer { user } } query A { viewer { user } }", None, "A"),
    ("a circle", "{ viewer { ...F } } fragment F on Viewer { ...F }", None, "F"),
    ("a subscription", "subscription { jobs { id } }", None, "subscription"),
    ("a type", "type Job { id: ID }", None, "operation"),
]  # fmt: skip


@pytest.fixture(scope="module")
async def client(scenario_client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Return a client of an application where there is one job."""
    text = 'mutation { createJob(input: {jobId: "j", actions: []}) { job { id } } }'
    await scenario_client.post("/graphql", json={"query": text}, headers=JSON)
    return scenario_client


async def refused(
    client: httpx.AsyncClient, body: bytes, *named: str, statuses: Sequence[int] = (200, 400)
) -> str:
    """Send a body that must be refused, and write nothing; return the first error's message."""
    response = await client.post("/graphql", content=body, headers=JSON)
    assert response.status_code in statuses, response.text
    errors = response.json()["errors"]
    assert {error["extensions"]["code"] for error in errors} == {"BAD_USER_INPUT"}, errors
    assert all(error["extensions"]["requestId"] for error in errors)
    assert len(response.content) < 20_000
    message = " ".join(error["message"] for error in errors)
    for name in named:
        assert name in message
    counted = await client.post("/graphql", json={"query": COUNTS}, headers=JSON)
    counts = [part["totalCount"] for part in counted.json()["data"].values()]
    assert counts == [0, 1, 0, 0, 0]
    return message


@pytest.mark.parametrize(("text", "variables", "named"), [case[1:] for case in QUERIES], ids=[case[0] for case in QUERIES])
async def test_a_query_is_refused_for(client: httpx.AsyncClient, text: str, variables: dict[str, Any] | None, named: str) -> None:
    # Once more: what is wrong with values is also wrong in an operation that has run before.
    for _ in range(2):
        await refused(client, json.dumps({"query": text, "variables": variables}).encode(), named)


DO = '[{freezerAction: {action: "backup"}}]'
METADATA = 'backup_name: "b", container: "c", hostname: "h"'
WRITES: list[tuple[str, str, str]] = [
    ("a description too long", f'createJob(input: {{actions: [], description: "{"x" * 65}"}}) {{ job {{ id }} }}', "65 bytes"),
    ("a null description", "createJob(input: {actions: [], description: null}) { job { id } }", "null"),
    ("a NUL in a description", r'createJob(input: {actions: [], description: "\u0000"}) { job { id } }', "description"),
    ("an id with a NUL", r'createJob(input: {actions: [], jobId: "\u0000"}) { job { id } }', "job_id"),
    ("an id with blanks", 'createJob(input: {actions: [], jobId: "a b"}) { job { id } }', "a b"),
    ("an id too long", f'createJob(input: {{actions: [], jobId: "{"x" * 256}"}}) {{ job {{ id }} }}', "256 bytes"),
    ("a client with a NUL", r'createJob(input: {actions: [], clientId: "h\u0000"}) { job { id } }', "client_id"),
    ("no actions", "createJob(input: {}) { job { id } }", "actions"),
    ("an action of nothing", "createJob(input: {actions: [{}]}) { job { id } }", "freezer_action"),
    ("an action that is null", "createJob(input: {actions: [null]}) { job { id } }", "null"),
    ("an action of text", 'createJob(input: {actions: [{freezerAction: "x"}]}) { job { id } }', "'x'"),
    ("an unknown action", 'createJob(input: {actions: [{freezerAction: {action: "x"}}]}) { job { id } }', "'x'"),
    ("an action's id with a NUL", r'createJob(input: {actions: [{actionId: "\u0000"}]}) { job { id } }', "action_id"),
    ("a mode that is a number", 'createJob(input: {actions: [{freezerAction: {action: "backup", mode: 1}}]}) { job { id } }', "mode"),
    ("tries of 33 bits", f"createJob(input: {{actions: [{{freezerAction: {{}}, maxRetries: {2**31}}}]}}) {{ job {{ id }} }}", str(2**31)),
    ("an unknown interval", 'createJob(input: {actions: [], schedule: {interval: "now"}}) { job { id } }', "'now'"),
    ("a NUL in a schedule", r'createJob(input: {actions: [], schedule: {month: "\u0000"}}) { job { id } }', "NUL"),
    ("a schedule too long", f'createJob(input: {{actions: [], schedule: {{month: "{"x" * 513}"}}}}) {{ job {{ id }} }}', "513 bytes"),
    ("a date in words", 'createJob(input: {actions: [], schedule: {startDate: "now"}}) { job { id } }', "'now'"),
    ("an unknown status", "createJob(input: {actions: [], schedule: {status: NOPE}}) { job { id } }", "NOPE"),
    ("an unknown part of a schedule", "createJob(input: {actions: [], schedule: {century: 1}}) { job { id } }", "century"),
    ("no metadata", "registerBackup(input: {}) { backup { id } }", "metadata"),
    ("null for metadata", "registerBackup(input: {metadata: null}) { backup { id } }", "null"),
    ("a list for metadata", "registerBackup(input: {metadata: [1]}) { backup { id } }", "metadata"),
    ("a name that is a number", 'registerBackup(input: {metadata: {backup_name: 1}}) { backup { id } }', "backup_name"),
    ("a time that is text", f'registerBackup(input: {{metadata: {{{METADATA}, time_stamp: "x"}}}}) {{ backup {{ id }} }}', "time_stamp"),
    ("a time of 64 bits and one", f"registerBackup(input: {{metadata: {{{METADATA}, time_stamp: {2**63}}}}}) {{ backup {{ id }} }}", str(2**63)),
    ("a NUL in metadata", f'registerBackup(input: {{metadata: {{{METADATA}, x: {{y: ["\\u0000"]}}}}}}) {{ backup {{ id }} }}', "x.y.0"),
    ("a name too long", f'registerBackup(input: {{metadata: {{backup_name: "{"é" * 257}", container: "c", hostname: "h"}}}}) {{ backup {{ id }} }}', "514 bytes"),
    ("a number without end in metadata", f"registerBackup(input: {{metadata: {{{METADATA}, x: -1e999}}}}) {{ backup {{ id }} }}", "inf"),
    ("metadata too deep", f"registerBackup(input: {{metadata: {{{METADATA}, x: {json.dumps(nested(150))}}}}}) {{ backup {{ id }} }}", "nested"),
    ("an id too long of a job", f'registerBackup(input: {{metadata: {{{METADATA}}}, jobId: "{"x" * 256}"}}) {{ backup {{ id }} }}', "256 bytes"),
    ("a job's id with a NUL", f'registerBackup(input: {{metadata: {{{METADATA}}}, jobId: "\\u0000"}}) {{ backup {{ id }} }}', "job_id"),
    ("a host with blanks", 'registerClient(input: {clientId: "a b"}) { client { id } }', "'a b'"),
    ("a host too long", f'registerClient(input: {{clientId: "{".".join(["x" * 60] * 5)}"}}) {{ client {{ id }} }}', "304 bytes"),
    ("a NUL in a host", r'registerClient(input: {clientId: "h", hostname: "\u0000"}) { client { id } }', "hostname"),
    ("a NUL in what a client can do", r'registerClient(input: {clientId: "h", supportedEngines: ["\u0000"]}) { client { id } }', "NUL"),
    ("what no client can do", 'registerClient(input: {clientId: "h", supportedModes: ["x"]}) { client { id } }', "'x'"),
    ("no host", "registerClient(input: {}) { client { id } }", "clientId"),
    ("no id", 'deleteJob(input: {id: "x"}) { deletedId }', "'x'"),
    ("a version of 33 bits", f'updateJob(input: {{id: "x", expectedVersion: {2**31}}}) {{ job {{ id }} }}', str(2**31)),
    ("an unknown mutation", "dropTables { id }", "dropTables"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "named"), [case[1:] for case in WRITES], ids=[case[0] for case in WRITES])
async def test_a_mutation_is_refused_for(client: httpx.AsyncClient, text: str, named: str) -> None:
    await refused(client, json.dumps({"query": f"mutation {{ {text} }}"}).encode(), named)


BODIES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not JSON"),
    "no JSON": (b"{query}", "line 1"),
    "half of JSON": (b'{"query": "{', "not JSON"),
    "no UTF-8": (b'{"query": "\xff"}', "UTF-8"),
    "a batch": (b'[{"query": "{ viewer { user } }"}]', "one GraphQL request"),
    "text": (b'"{ viewer { user } }"', "one GraphQL request"),
    "null": (b"null", "one GraphQL request"),
    "no query": (b"{}", "'query'"),
    "a query of nothing": (b'{"query": ""}', "'query'"),
    "a query of blanks": (b'{"query": " \\n "}', "'query'"),
    "a query of comments": (b'{"query": "# nothing"}', "Syntax Error"),
    "a query that is a number": (b'{"query": 5}', "5"),
    "a list of variables": (b'{"query": "{ viewer { user } }", "variables": []}', "'variables'"),
    "a name that is a number": (b'{"query": "{ viewer { user } }", "operationName": 5}', "5"),
    "an unknown name": (b'{"query": "query A { viewer { user } }", "operationName": "B"}', "'B'"),
    "no name of two": (b'{"query": "query A { viewer { user } } query B { viewer { user } }"}', "'A', 'B'"),
    "NaN": (b'{"query": "{ viewer { user } }", "variables": {"x": NaN}}', "NaN"),
    "Infinity": (b'{"query": "{ viewer { user } }", "variables": {"x": [-Infinity]}}', "Infinity"),
    "1e999": (b'{"query": "{ viewer { user } }", "variables": {"x": 1e999}}', "1e999"),
    "an integer of 65 bits": (b'{"query": "{ viewer { user } }", "variables": {"x": 9223372036854775808}}', "9223372036854775808"),
    "an integer of 5000 digits": (b'{"query": "{ viewer { user } }", "variables": {"x": %s}}' % HUGE.encode(), "64 bits"),
    "a NUL": (b'{"query": "{ viewer { user } }", "variables": {"x": {"y": "\\u0000"}}}', "variables.x.y"),
    "a NUL in a key": (b'{"query": "{ viewer { user } }", "variables": {"\\u0000": 1}}', "NUL"),
    "a NUL in the query": (b'{"query": "{ viewer \\u0000 { user } }"}', "NUL"),
    "a lone surrogate": (b'{"query": "{ viewer { user } }", "variables": {"x": "\\ud800"}}', "surrogate"),
    "a lone surrogate in the query": (b'{"query": "{ viewer { user } } # \\udfff"}', "surrogate"),
    "variables too deep": (b'{"query": "{ viewer { user } }", "variables": {"x": %s}}' % json.dumps(nested(200)).encode(), "nested"),
    "variables far too deep": (b'{"query": "{ viewer { user } }", "variables": %s}' % (b'{"x":' * 100_000), "nested"),
}  # fmt: skip


IN_TIME = {"a query of comments", "no name of two"}
"""What is wrong with the document itself is answered as GraphQL over HTTP has always been."""


@pytest.mark.parametrize("what", BODIES)
async def test_a_body_is_refused_that_is(client: httpx.AsyncClient, what: str) -> None:
    body, named = BODIES[what]
    await refused(client, body, named, statuses=(200,) if what in IN_TIME else (400,))


@pytest.mark.parametrize(
    ("status", "method", "arguments"),
    [
        (415, "POST", {"content": b"{ viewer { user } }"}),
        (415, "POST", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
        (415, "POST", {"data": {"query": "{ viewer { user } }"}}),
        (415, "POST", {"files": {"operations": b"{}"}}),
        (405, "PUT", {"json": {"query": "{ viewer { user } }"}}),
        (405, "DELETE", {}),
        (405, "GET", {"params": {"query": 'mutation { deleteJob(input: {id: "x"}) { deletedId } }'}}),
        (400, "GET", {"params": {"query": "{ viewer { user } }", "variables": "{"}}),
        (400, "GET", {"params": {"query": "{ viewer { user } }", "variables": '{"x": NaN}'}}),
        (400, "GET", {"params": {"query": "{ viewer { user } }", "operationName": "B"}}),
        (400, "GET", {"params": {"variables": "{}"}}),
        (413, "POST", {"json": {"query": " " * 2**20}}),
    ],
)
async def test_a_request_is_answered_with_its_status(client: httpx.AsyncClient, status: int, method: str, arguments: dict[str, Any]) -> None:
    headers = {"Accept": "application/json", **arguments.pop("headers", {})}
    response = await client.request(method, "/graphql", headers=headers, **arguments)
    assert response.status_code == status
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert ("Allow" in response.headers) == (status == 405)

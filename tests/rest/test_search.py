"""Searches: in the body of a GET or in a parameter, by key, by time and by free text."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from .conftest import Ask

pytestmark = pytest.mark.anyio

Found = Callable[..., Awaitable[str]]

METADATA = {
    "a": {"hostname": "Alpha", "n": 1, "time_stamp": 10, "job_id": "j1"},
    "b": {"hostname": "beta", "n": 1.0, "time_stamp": 20, "deep": [{"x": [{"y": "z"}]}]},
    "c": {"hostname": "gamma", "n": "1", "time_stamp": 30, "x": None, "job_id": ""},
    "d": {"hostname": "delta", "n": True, "q\"\\u00e9'": "é'\"\\\n", "job_id": "j2"},
    "e": {"hostname": "x-alpha", "n": False, "x": {"y": "z", "n": 1}, "big": 2**63 - 1},
    "f": {"hostname": "phi", "n": 1.5, "": 0, "0": "zero", "list": ["zero", 7]},
}


@pytest.fixture
async def found(ask: Ask) -> Found:
    """Return a function that searches six backups, and returns the names of those it found."""
    for name, metadata in METADATA.items():
        await ask("POST backups", {"backup_name": name, "container": "Box", **metadata}, 201)

    async def search(*match: Any, match_not: Any = (), **more: Any) -> str:
        sought = {"match": list(match), "match_not": list(match_not)} | more
        in_body = (await ask("GET backups", sought)).json()
        assert (await ask(f"GET backups?search={quote(json.dumps(sought))}")).json() == in_body
        return "".join(item["backup_metadata"]["backup_name"] for item in in_body["backups"])

    return search


async def test_keys_at_any_depth(found: Found) -> None:
    assert await found({"hostname": "beta"}) == "b"
    assert await found({"hostname": "BETA"}) == ""
    assert await found({"hostname": "bet"}) == ""
    assert await found({"y": "z"}) == "be"
    assert await found({"y": "z"}, {"hostname": "beta"}) == "b"
    assert await found({"y": "z", "hostname": "beta"}) == "b"
    assert await found({"hostname": "beta"}, {"hostname": "gamma"}) == ""
    assert await found({"q\"\\u00e9'": "é'\"\\\n"}) == "d"
    assert await found({"": 0}) == "f"
    assert await found({"0": "zero"}) == "f"
    # The elements of an array have no keys.
    assert await found({"1": 7}) == ""
    assert await found() == await found({}) == "abcdef"


async def test_values_compare_with_their_types(found: Found) -> None:
    assert await found({"n": 1}) == await found({"n": 1.0}) == "abe"
    assert await found({"n": "1"}) == "c"
    assert await found({"n": True}) == "d"
    assert await found({"n": False}) == "e"
    assert await found({"n": 0}) == ""
    assert await found({"n": 1.5}) == "f"
    assert await found({"big": 2**63 - 1}) == "e"
    assert await found({"n": 1e300}) == await found({"n": -1e-300}) == ""
    assert await found({"x": {"y": "z"}}) == await found({"hostname": ["beta"]}) == ""
    assert await found(match_not=[{"hostname": ["beta"]}]) == "abcdef"


async def test_null_is_an_absent_key(found: Found) -> None:
    assert await found({"x": None}) == "acdf"
    assert await found({"nowhere": None}) == "abcdef"
    assert await found({"nowhere": ""}) == ""
    assert await found({"deep": None}) == "acdef"
    assert await found({"hostname": None}) == ""
    assert await found({"job_id": None}) == "bcef"


async def test_columns(found: Found, ask: Ask) -> None:
    assert await found({"job_id": "j1"}) == "a"
    assert await found({"job_id": 1}) == await found({"job_id": True}) == ""
    assert await found({"status": "available"}) == "abcdef"
    assert await found({"status": "error"}) == ""
    assert await found({"project_id": "p1", "user_id": "local", "user_name": "local"}) == "abcdef"
    assert await found({"project_id": "p2"}) == ""
    assert await found({"backup_metadata": {}}) == await found({"backup_metadata": None}) == ""
    first = (await ask("GET backups?limit=1")).json()["backups"][0]["backup_id"]
    assert await found({"backup_id": first}) == "a"


async def test_match_not(found: Found) -> None:
    assert await found(match_not=[{"hostname": "beta"}, {"n": "1"}]) == "adef"
    assert await found({"y": "z"}, match_not=[{"hostname": "beta"}]) == "e"
    # Both keys of an entry are one condition; an empty entry is none.
    assert await found(match_not=[{"hostname": "beta", "n": "1"}]) == "abcdef"
    assert await found(match_not=[{}]) == "abcdef"
    assert await found(match_not=[{"nowhere": None}]) == ""
    assert await found(match_not=[{"_all": "alpha"}]) == "bcdf"


async def test_times(found: Found) -> None:
    assert await found(time_before=20) == "a"
    assert await found(time_after=20) == "c"
    assert await found(time_after=9, time_before=30) == "ab"
    assert await found({"hostname": "gamma"}, time_after=-1) == "c"
    # Without a time it is neither before nor after.
    assert await found(time_after=-(2**63)) + await found(time_before=-(2**63)) == "abc"


async def test_free_text(found: Found, ask: Ask) -> None:
    assert await found({"_all": "alpha"}) == await found({"_all": "ALPHA"}) == "ae"
    assert await found({"_all": "lph"}) == "ae"
    assert await found({"_all": "box"}) == "abcdef"
    assert await found({"_all": "%"}) == await found({"_all": "_"}) == ""
    assert await found({"_all": "alpha"}, {"n": False}) == "e"
    assert await found({"_all": " "}) == await found({"_all": ""}) == "abcdef"
    last = (await ask("GET backups?offset=5")).json()["backups"][0]["backup_id"]
    assert await found({"_all": last}) == "f"
    assert await found({"_all": last[:-1]}) == ""


async def test_a_json_list_as_text(found: Found) -> None:
    assert await found({"_all": '[{"hostname": "beta"}]'}) == "b"
    assert await found({"_all": '[{"y": "z"}, {"n": 1}]'}) == "be"
    assert await found({"_all": "[]"}) == "abcdef"
    assert await found({"_all": json.dumps([{"_all": json.dumps([{"n": "1"}])}])}) == "c"
    for text in ("[", "[alpha", '{"hostname": "beta"}', "[NaN]", f"[{2**64}]", "7"):
        assert await found({"_all": text}) == ""


async def test_falsy_searches(ask: Ask) -> None:
    await ask("POST clients", {"client_id": "n"}, 201)
    nobody = quote(json.dumps({"match": [{"client_id": "nobody"}]}))
    for body in (b"{}", b"[]", b"null", b'""', b"0", b"false", b""):
        assert len((await ask("GET clients", body)).json()["clients"]) == 1
        assert len((await ask(f"GET clients?search={quote(body)}")).json()["clients"]) == 1
        assert (await ask(f"GET clients?search={nobody}", body)).json() == {"clients": []}


async def test_chunked_body(client: httpx.AsyncClient, ask: Ask) -> None:
    for name in ("n1", "n2"):
        await ask("POST clients", {"client_id": name}, 201)

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"match": [{"clie'
        yield b'nt_id": "n2"}]}'

    response = await client.request("GET", "/v2/p1/clients", content=pieces())
    (listed,) = response.json()["clients"]
    assert listed["client"]["client_id"] == "n2"


ACTION = {"action": "backup", "mode": "fs", "backup_name": "Nightly", "container": "c1"}


@pytest.fixture
async def jobs(ask: Ask) -> Found:
    """Return a function that searches three jobs, and returns the descriptions of those found."""
    await ask("POST clients", {"client_id": "host-1"}, 201)
    await ask("POST clients", {"client_id": "host-2"}, 201)
    for body in (
        {
            "description": "a",
            "client_id": "host-1",
            "session_id": "s1",
            "job_schedule": {"status": "completed", "time_created": 10, "schedule_month": "1"},
            "job_actions": [
                {"freezer_action": ACTION, "max_retries": 2},
                {"freezer_action": {"action": "restore", "opt": {"k": [{"v": 1}]}}},
            ],
        },
        {
            "description": "b",
            "client_id": "host-2",
            "job_schedule": {"status": "running", "event": "stop", "time_created": 20},
            "job_actions": [{"freezer_action": ACTION | {"opt": None}, "mandatory": True}],
        },
        {"description": "c", "job_schedule": {"status": "", "time_created": 30}, "job_actions": []},
    ):
        await ask("POST jobs", body, 201)

    async def search(*match: Any, match_not: Any = (), **more: Any) -> str:
        sought = {"match": list(match), "match_not": list(match_not)} | more
        listed = (await ask("GET jobs/?limit=10&offset=0&all_projects=False", sought)).json()
        return "".join(item["description"] for item in listed["jobs"])

    return search


async def test_the_schedulers_poll(jobs: Found) -> None:
    assert await jobs({"client_id": "host-1"}, match_not=[{"status": "completed"}]) == ""
    assert await jobs({"client_id": "host-2"}, match_not=[{"status": "completed"}]) == "b"
    # A job without a status isn't completed.
    assert await jobs(match_not=[{"status": "completed"}]) == "bc"


async def test_nothing_said_is_an_empty_text_or_null(jobs: Found) -> None:
    for value in ("", None):
        assert await jobs({"status": value}) == "c"
        assert await jobs({"event": value}) == "ac"
        assert await jobs({"session_id": value}) == "bc"
        assert await jobs({"client_id": value}) == "c"
        assert await jobs(match_not=[{"status": value}]) == "ab"
    assert await jobs({"session_id": "s1"}) == "a"


async def test_a_jobs_document_includes_its_actions(jobs: Found) -> None:
    assert await jobs({"backup_name": "Nightly"}) == "ab"
    assert await jobs({"action": "restore"}) == "a"
    assert await jobs({"v": 1}) == "a"
    assert await jobs({"v": True}) == ""
    assert await jobs({"max_retries": 2}) == "a"
    assert await jobs({"max_retries": 5}) == "ab"
    assert await jobs({"max_retries": "5"}) == await jobs({"max_retries": 5.5}) == ""
    assert await jobs({"mandatory": True}) == "b"
    assert await jobs({"mandatory": 1}) == ""
    assert await jobs({"schedule_month": "1"}) == "a"
    assert await jobs({"time_created": 20}) == "b"
    assert await jobs(match_not=[{"max_retries": 2}]) == "bc"
    assert await jobs({"action": "restore", "backup_name": "Nightly"}) == "a"
    assert await jobs({"job_actions": None}) == ""


async def test_keys_that_jobs_lack(jobs: Found) -> None:
    assert await jobs({"max_retries": None}) == "c"
    assert await jobs({"opt": None}) == "bc"
    assert await jobs({"schedule_month": None}) == "bc"
    assert await jobs({"nowhere": None}) == "abc"
    assert await jobs({"backup_name": None}) == "c"


async def test_free_text_and_times_of_jobs(jobs: Found) -> None:
    assert await jobs({"_all": "nightly"}) == "ab"
    assert await jobs({"_all": "HOST-1"}) == "a"
    assert await jobs({"_all": "B"}, {"client_id": "host-2"}) == "b"
    assert await jobs(time_after=10, time_before=30) == "b"


async def test_credentials_are_searched_by_those_who_see_them(ask: Ask) -> None:
    body = {"job_actions": [], "user_credentials": {"trust_id": "t", "trustor_user_id": "u"}}
    await ask("POST jobs", body, 201)
    assert len((await ask("GET jobs", {"match": [{"trust_id": "t"}]})).json()["jobs"]) == 1
    assert (await ask("GET jobs", {"match": [{"trust_id": "u"}]})).json() == {"jobs": []}


async def test_a_session_is_found_by_the_times_that_it_shows(ask: Ask) -> None:
    await ask("POST sessions", {"schedule": {}, "time_start": 5}, 201)
    await ask("POST sessions", {"schedule": {}, "time_end": -1}, 201)
    for key in ("time_start", "time_end", "time_started", "time_ended"):
        for item in (await ask("GET sessions")).json()["sessions"]:
            found = (await ask("GET sessions", {"match": [{key: item[key]}]})).json()["sessions"]
            assert item in found
            assert all(other[key] == item[key] for other in found)
        assert (await ask("GET sessions", {"match": [{key: None}]})).json() == {"sessions": []}


async def test_a_key_at_the_top_may_stand_in_a_document_as_well(ask: Ask) -> None:
    backup = {"backup_name": "n", "container": "c", "hostname": "h"}
    await ask("POST backups", backup | {"volume": {"status": "in-use", "user_id": "u7"}}, 201)
    for sought in ({"status": "in-use"}, {"status": "available"}, {"user_id": "u7"}):
        assert len((await ask("GET backups", {"match": [sought]})).json()["backups"]) == 1
        assert (await ask("GET backups", {"match_not": [sought]})).json() == {"backups": []}
    action = ACTION | {"project_id": "nova's", "timeout": "30"}
    await ask("POST jobs", {"job_actions": [{"freezer_action": action}]}, 201)
    for sought in ({"project_id": "nova's"}, {"timeout": "30"}):
        assert len((await ask("GET jobs", {"match": [sought]})).json()["jobs"]) == 1
        assert len((await ask("GET actions", {"match": [sought]})).json()["actions"]) == 1
    assert len((await ask("GET actions", {"match": [{"timeout": 30}]})).json()["actions"]) == 1


async def test_clients_and_actions(ask: Ask) -> None:
    for name, host in (("p_web", "web.example"), ("p_db", "db")):
        body = {"client_id": name, "hostname": host, "description": f"The {host}"}
        await ask("POST clients", body, 201)

    async def clients(**entry: Any) -> list[str]:
        listed = (await ask("GET clients", {"match": [entry]})).json()["clients"]
        return [item["client"]["client_id"] for item in listed]

    assert await clients(hostname="db") == await clients(client_id="p_db") == ["p_db"]
    assert await clients(_all="EXAMPLE") == ["p_web"]
    assert await clients(_all="the d") == ["p_db"]
    assert await clients(is_central=False) == ["p_db", "p_web"]
    assert await clients(is_central=0) == await clients(supported_modes="fs") == []
    assert await clients(nowhere=None) == ["p_db", "p_web"]
    for mode, mandatory in (("fs", True), ("nova", False)):
        action = ACTION | {"mode": mode, "timeout": 3}
        await ask("POST actions", {"freezer_action": action, "mandatory": mandatory}, 201)

    async def actions(**entry: Any) -> list[str]:
        listed = (await ask("GET actions", {"match": [entry]})).json()["actions"]
        return [item["freezer_action"]["mode"] for item in listed]

    assert await actions(mode="nova") == await actions(mandatory=False) == ["nova"]
    assert len(await actions(timeout=3)) == len(await actions(_all="night")) == 2


async def test_fifty_comparisons(found: Found, ask: Ask) -> None:
    assert await found(*[{f"k{n}": None} for n in range(50)]) == "abcdef"
    assert await found({f"k{n}": None for n in range(50)}) == "abcdef"
    for sought in (
        {"match": [{f"k{n}": 1} for n in range(51)]},
        {"match": [{f"k{n}": 1 for n in range(50)}], "match_not": [{"x": 1}]},
        {"match": [{"_all": json.dumps([{"x": 1}] * 30)}, {"_all": json.dumps([{"x": 1}] * 30)}]},
    ):
        assert "50" in (await ask("GET jobs", sought, 400)).json()["description"]
    await ask("GET jobs", {"match": [{f"k{n}": None} for n in range(50)]})


@pytest.mark.parametrize(
    ("search", "named"),
    [
        ('{"match_all": []}', "match_all"),
        ('{"Match": [], "x": 1}', "Match"),
        ('{"match": {"a": 1}}', "match"),
        ('{"match": "x"}', "match"),
        ('{"match": null}', "match"),
        ('{"match": ["x"]}', "'x'"),
        ('{"match": [[]]}', "match"),
        ('{"match_not": [null]}', "match_not"),
        ('{"match_not": 5}', "match_not"),
        ('{"match": [{"_all": 5}]}', "_all"),
        ('{"match": [{"_all": null}]}', "_all"),
        ('{"match": [{"_all": "[1]"}]}', "_all"),
        ('{"time_before": "5"}', "time_before"),
        ('{"time_before": 1.5}', "time_before"),
        ('{"time_after": true}', "time_after"),
        ('{"time_after": null}', "time_after"),
        ('{"time_after": 9223372036854775808}', "9223372036854775808"),
        ("[1]", "[1]"),
        ('"x"', "x"),
        ("5", "5"),
        ("true", "true"),
        ('{"match"', "JSON"),
        ('{"match": [{"a": NaN}]}', "NaN"),
        (r'{"match": [{"a": "\u0000"}]}', "NUL"),
        (r'{"match": [{"\u0000": 1}]}', "NUL"),
        (r'{"match": [{"a": "\ud800"}]}', "surrogate"),
        ("[" * 5000, "nested"),
    ],
)
async def test_bad_searches(ask: Ask, search: str, named: str) -> None:
    for path in ("backups", "jobs"):
        said = (await ask(f"GET {path}", search.encode(), 400)).json()["description"]
        assert named in said
        said = (await ask(f"GET {path}?search={quote(search)}", status=400)).json()["description"]
        assert named in said


async def test_more_bad_searches(ask: Ask) -> None:
    for path in ("actions", "clients"):
        for key in ("time_before", "time_after"):
            assert key in (await ask(f"GET {path}", {key: 5}, 400)).json()["description"]
    sought = {"match": [{"a": 1}]}
    both = await ask(f"GET jobs?search={quote(json.dumps(sought))}", sought, 400)
    assert "search" in both.json()["description"]
    for raw in ("%ff", "%7B%22match%22%3A%5B%7B%22a%22%3A%22%FF%22%7D%5D%7D"):
        assert "UTF-8" in (await ask(f"GET jobs?search={raw}", status=400)).json()["description"]

"""Bad input is refused by naming it, alike on both databases, and writes nothing."""

import json
from typing import Any

import httpx
import pytest

from tests.support.apps import MakeClient

from .conftest import Ask, asking

pytestmark = pytest.mark.anyio

COLLECTIONS = ("backups", "jobs", "actions", "clients")
ACTION = {"action": "backup", "mode": "fs"}
GOOD: dict[str, dict[str, Any]] = {
    "backups": {"backup_name": "b", "container": "c", "hostname": "h"},
    "jobs": {"job_actions": [{"freezer_action": ACTION}]},
    "actions": {"freezer_action": ACTION},
    "clients": {"client_id": "n"},
}
NUMBERS = (
    "0x10",
    "1.5",
    "abc",
    "1,2",
    "1_000",
    "1e3",
    "--1",
    "%2B",
    "1 2",
    "٣",
    "null",
    "%00",
    "1%00",
)


async def nothing_in(ask: Ask) -> bool:
    """Tell whether the project is empty."""
    return not any([(await ask(f"GET {name}")).json()[name] for name in COLLECTIONS])


async def description(ask: Ask, request: str, body: Any = b"", status: int = 400) -> str:
    """Return what the gateway says is wrong."""
    return str((await ask(request, body, status)).json()["description"])


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_numbers(ask: Ask, collection: str) -> None:
    for name in ("limit", "offset"):
        for value in (*NUMBERS, "-1", "9" * 19, "9" * 30, "9223372036854775808", "9" * 5000):
            said = (await ask(f"GET {collection}?{name}={value}", status=400)).json()
            assert said["title"] == "Invalid parameter"
            assert f'"{name}"' in said["description"]
            assert value[:50] in said["description"] or "%" in value
    assert "'0'" in await description(ask, f"GET {collection}?limit=0")
    assert "'-0'" in await description(ask, f"GET {collection}?limit=-0")
    await ask(f"GET {collection}?offset=-0")


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_markers_and_ids(ask: Ask, collection: str) -> None:
    # No item can have these, and PostgreSQL refuses some of them.
    for bad in ("%00", "a%00b", "%0A", "x" * 256, "%C3%A9" * 128, "%7F", "%C2%85"):
        assert "marker" in await description(ask, f"GET {collection}?marker={bad}")
        await ask(f"GET {collection}/{bad}", status=400)
        await ask(f"DELETE {collection}/{bad}", status=400)
        if collection != "clients":
            change = {"backup_metadata": {}} if collection == "backups" else {}
            await ask(f"PATCH {collection}/{bad}", change, 400)
    # These could be there, and aren't.
    for missing in ("none", "x" * 255, "a%20b", "%27%22%3B--", "%F0%9F%98%80", "..", "%25", "a:b"):
        said = await description(ask, f"GET {collection}?marker={missing}")
        assert "marker" in said
        if missing != "..":
            await ask(f"GET {collection}/{missing}", status=404)
            await ask(f"DELETE {collection}/{missing}", status=404)
    for raw in ("%ff", "%ED%A0%80"):
        assert "UTF-8" in await description(ask, f"GET {collection}?marker={raw}")
        await ask(f"GET {collection}/{raw}", status=404)


async def test_ids_in_paths_that_would_be_created(ask: Ask) -> None:
    for collection in ("jobs", "actions"):
        for bad in ("%00", "a%20b", "x" * 256, "a.b", "%F0%9F%98%80"):
            await ask(f"POST {collection}/{bad}", GOOD[collection], 400)
    await ask("POST jobs/%00/event", {"start": None}, 400)
    await ask(f"POST jobs/{'x' * 256}/event", {"start": None}, 400)
    assert await nothing_in(ask)


async def test_projects(client: httpx.AsyncClient) -> None:
    for bad in ("%00", "a%20b", "x" * 256, "%C3%A9", "a:b", "%0A", "%27"):
        for method in ("GET", "POST"):
            response = await client.request(method, f"/v2/{bad}/jobs", content=b"{}")
            assert response.status_code == 400
            assert "project_id" in response.json()["description"]


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_bodies(ask: Ask, collection: str) -> None:
    whole = json.dumps(GOOD[collection]).encode()
    for raw, named in (
        (b"{", "JSON"),
        (b"{'a': 1}", "JSON"),
        (whole + b"x", "JSON"),
        (whole[:-1] + b',"x":"\xff"}', "UTF-8"),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        (b"[]", "[]"),
        (b'"x"', "x"),
        (b"5", "5"),
        (b"null", "null"),
        (b"true", "true"),
        (whole[:-1] + b',"x":NaN}', "NaN"),
        (whole[:-1] + b',"x":-Infinity}', "-Infinity"),
        (whole[:-1] + b',"x":1e999}', "1e999"),
        (whole[:-1] + b',"x":[9223372036854775808]}', "9223372036854775808"),
        (whole[:-1] + b',"x":-9223372036854775809}', "-9223372036854775809"),
        (whole[:-1] + b',"x":' + b"9" * 5000 + b"}", "99999"),
        (whole[:-1] + b',"x":"\\u0000"}', "x"),
        (whole[:-1] + b',"x\\u0000":1}', "NUL"),
        (whole[:-1] + b',"x":[{"y":"\\ud800"}]}', "x.0.y"),
        (whole[:-1] + b',"x":"\\udc00\\ud800"}', "surrogate"),
        (whole[:-1] + b',"x":' + b"[" * 200 + b"]" * 200 + b"}", "nested"),
        (b"[" * 100_000, "nested"),
        (b'{"x":' * 100_000, "nested"),
    ):
        assert named in await description(ask, f"POST {collection}", raw)
        if collection != "clients":
            assert named in await description(ask, f"PATCH {collection}/none", raw)
        if collection in {"jobs", "actions"}:
            assert named in await description(ask, f"POST {collection}/own", raw)
    for empty in (b"", b"{}"):
        await ask(f"POST {collection}", empty, 400)
    assert await nothing_in(ask)


async def test_long_bodies(make_client: MakeClient) -> None:
    ask = asking(await make_client(max_body_bytes=2000), "p1")
    for collection in COLLECTIONS:
        long = GOOD[collection] | {"note": "x" * 2000}
        said = (await ask(f"POST {collection}", long, 413)).json()
        assert "2000" in said["description"]
        await ask(f"GET {collection}", b" " * 2001, 413)
    await ask("PATCH jobs/none", b" " * 2001, 413)
    assert await nothing_in(ask)


JOB_SCHEDULES: tuple[tuple[str, Any], ...] = (
    ("schedule_interval", "soon"),
    ("schedule_interval", "5 minute"),
    ("schedule_interval", "5minutes"),
    ("schedule_interval", 5),
    ("schedule_date", "2020-01-01"),
    ("schedule_start_date", "2020-01-01T10:00"),
    ("schedule_end_date", "2020-13-01T10:00:00"),
    ("schedule_date", "2020-01-01T10:00:00\n"),
    ("schedule_year", "20"),
    ("schedule_month", 1),
    ("schedule_second", ["1"]),
    ("status", "unknown"),
    ("status", 5),
    ("event", "fly"),
    ("result", {}),
    ("time_created", "1"),
    ("time_started", 1.0),
    ("time_ended", True),
    ("current_pid", "7"),
    ("foo", 1),
    ("foo", None),
)


async def test_schedules(ask: Ask) -> None:
    job_id = (await ask("POST jobs", GOOD["jobs"], 201)).json()["job_id"]
    before = (await ask(f"GET jobs/{job_id}")).json()
    for key, value in JOB_SCHEDULES:
        bad = {"job_schedule": {key: value}}
        for request in ("POST jobs", f"POST jobs/{job_id}", f"PATCH jobs/{job_id}"):
            assert key in await description(ask, request, GOOD["jobs"] | bad)
        # What is wrong with the body is said before what is missing.
        assert key in await description(ask, "PATCH jobs/none", bad)
    for key in ("status", "event", "schedule_month", "time_created", "current_pid"):
        nulls = GOOD["jobs"] | {"job_schedule": {key: None}}
        assert key in await description(ask, "POST jobs", nulls)
    for value in ([], "x", 5):
        bad = {"job_schedule": value}
        assert "job_schedule" in await description(ask, "POST jobs", GOOD["jobs"] | bad)
        assert "job_schedule" in await description(ask, f"PATCH jobs/{job_id}", bad)
    assert "job_schedule" in await description(
        ask, "POST jobs", GOOD["jobs"] | {"job_schedule": None}
    )
    assert (await ask("GET jobs")).json() == {"jobs": [before]}


JOB_KEYS: tuple[tuple[str, Any], ...] = (
    ("job_actions", None),
    ("job_actions", {}),
    ("job_actions", "x"),
    ("job_actions", [5]),
    ("job_actions", [None]),
    ("job_actions", [[]]),
    ("freezer_action", [{}]),
    ("freezer_action", [{"freezer_action": None}]),
    ("freezer_action", [{"freezer_action": []}]),
    ("action_id", [{"action_id": 5}]),
    ("max_retries", [{"freezer_action": {}, "max_retries": "5"}]),
    ("max_retries", [{"freezer_action": {}, "max_retries": True}]),
    ("max_retries_interval", [{"freezer_action": {}, "max_retries_interval": 1.5}]),
    ("mandatory", [{"freezer_action": {}, "mandatory": "yes"}]),
    ("teleport", [{"freezer_action": {"action": "teleport"}}]),
    ("action", [{"freezer_action": {"action": None}}]),
    ("mode", [{"freezer_action": {"mode": "telepathy"}}]),
    ("path_to_backup", [{"freezer_action": {"path_to_backup": 5}}]),
    ("backup_name", [{"freezer_action": {"backup_name": "x" * 513}}]),
    ("cindernative_freezer_only", [{"freezer_action": {"cindernative_freezer_only": "x"}}]),
    ("description", 5),
    ("description", "x" * 65),
    ("description", "\N{GRINNING FACE}" * 17),
    ("client_id", 5),
    ("client_id", "bad%project$id_host.domain.tld"),
    ("client_id", "x" * 300),
    ("session_id", 5),
    ("session_id", "a b"),
    ("session_tag", "1"),
    ("session_tag", 1.5),
    ("session_name", 5),
    ("_version", "1"),
    ("action_defaults", []),
    ("project_id", "other"),
    ("project_id", None),
    ("foo", 1),
    ("foo", None),
    ("exit_status", "x"),
)


async def test_job_keys(ask: Ask) -> None:
    job_id = (await ask("POST jobs", GOOD["jobs"], 201)).json()["job_id"]
    before = (await ask(f"GET jobs/{job_id}")).json()
    for named, value in JOB_KEYS:
        key = "job_actions" if isinstance(value, list) and value else named
        bad = {key: value}
        for request in ("POST jobs", f"POST jobs/{job_id}", f"PATCH jobs/{job_id}"):
            assert named in await description(ask, request, GOOD["jobs"] | bad), (request, bad)
    for bad in ({"job_id": 5}, {"job_id": ""}, {"job_id": "a b"}, {"job_id": "x" * 256}):
        assert "id" in await description(ask, "POST jobs", GOOD["jobs"] | bad)
    for bad in ({"session_tag": None}, {"action_defaults": None}, {"user_credentials": []}):
        assert next(iter(bad)) in await description(ask, "POST jobs", GOOD["jobs"] | bad)
    assert "job_actions" in await description(ask, "POST jobs", {"description": "d"})
    assert "job_actions" in await description(ask, "POST jobs/own", {"description": "d"})
    assert (await ask("GET jobs")).json() == {"jobs": [before]}
    assert len((await ask("GET actions")).json()["actions"]) == 1


BACKUP_KEYS: tuple[tuple[str, Any], ...] = (
    ("backup_name", ""),
    ("backup_name", None),
    ("backup_name", 5),
    ("backup_name", "x" * 513),
    ("container", ""),
    ("container", None),
    ("container", ["c"]),
    ("hostname", ""),
    ("hostname", "é" * 257),
    ("status", "weird"),
    ("status", None),
    ("status", {}),
    ("time_stamp", "soon"),
    ("time_stamp", 1.5),
    ("time_stamp", []),
    ("time_stamp", True),
    ("job_id", 5),
    ("job_id", "x" * 256),
    ("client_id", {}),
    ("backup_uuid", False),
)


async def test_backup_keys(ask: Ask) -> None:
    backup_id = (await ask("POST backups", GOOD["backups"], 201)).json()["backup_id"]
    before = (await ask(f"GET backups/{backup_id}")).json()
    for key, value in BACKUP_KEYS:
        bad = {key: value}
        assert key in await description(ask, "POST backups", GOOD["backups"] | bad)
        if (key, value) != ("container", None):
            assert key in await description(ask, f"PATCH backups/{backup_id}", bad), bad
        if key != "status":
            nested = {"backup_metadata": bad}
            assert key in await description(ask, f"PATCH backups/{backup_id}", nested), bad
    for bad in ({"backup_metadata": None}, {"backup_metadata": []}, {"backup_metadata": "x"}):
        assert "backup_metadata" in await description(ask, f"PATCH backups/{backup_id}", bad)
    assert (await ask("GET backups")).json() == {"backups": [before]}


async def test_action_and_client_keys(ask: Ask) -> None:
    for collection, key, value in (
        ("actions", "freezer_action", None),
        ("actions", "freezer_action", "x"),
        ("actions", "max_retries", "many"),
        ("actions", "max_retries_interval", 1.5),
        ("actions", "mandatory", "no"),
        ("actions", "action_id", 5),
        ("actions", "action_id", "a b"),
        ("clients", "client_id", None),
        ("clients", "client_id", ""),
        ("clients", "client_id", "a b!"),
        ("clients", "client_id", "host-.x"),
        ("clients", "client_id", "x" * 64),
        ("clients", "hostname", 5),
        ("clients", "hostname", "--"),
        ("clients", "hostname", "h" * 513),
        ("clients", "description", 5),
        ("clients", "description", "x" * 513),
        ("clients", "uuid", 5),
        ("clients", "is_central", "true"),
        ("clients", "is_central", None),
        ("clients", "supported_modes", "fs"),
        ("clients", "supported_modes", ["warp"]),
        ("clients", "supported_actions", [5]),
        ("clients", "supported_engines", {}),
    ):
        bad = GOOD[collection] | {key: value}
        assert key in await description(ask, f"POST {collection}", bad), bad
    await ask("POST actions", GOOD["actions"] | {"action_id": "x" * 256}, 400)
    assert "freezer_action" in await description(ask, "POST actions", {"max_retries": 1})
    assert "client_id" in await description(ask, "POST clients", {"hostname": "h"})
    assert await nothing_in(ask)


# Paths, methods, media types.


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/", "GET, HEAD, OPTIONS"),
        ("/v2", "GET, HEAD, OPTIONS"),
        ("/v2/", "GET, HEAD, OPTIONS"),
        ("//v2", "GET, HEAD, OPTIONS"),
        ("/healthcheck", "GET, HEAD, OPTIONS"),
        ("/readyz", "GET, HEAD, OPTIONS"),
        ("/v2/p1/backups", "GET, HEAD, POST, OPTIONS"),
        ("/v2/p1//backups//", "GET, HEAD, POST, OPTIONS"),
        ("/v2/p1/backups/x", "DELETE, GET, HEAD, PATCH, OPTIONS"),
        ("/v2/p1/jobs/x/", "DELETE, GET, HEAD, PATCH, POST, OPTIONS"),
        ("/v2/p1/jobs/x/event", "POST, OPTIONS"),
        ("/v2/p1/actions/x", "DELETE, GET, HEAD, PATCH, POST, OPTIONS"),
        ("/v2/p1/clients/x", "DELETE, GET, HEAD, OPTIONS"),
    ],
)
async def test_methods(client: httpx.AsyncClient, path: str, allow: str) -> None:
    # httpx would take the part after two slashes for a host.
    address = f"{client.base_url!s}".rstrip("/") + path
    options = await client.request("OPTIONS", address)
    assert (options.status_code, options.content) == (200, b"")
    assert options.headers["Allow"] == allow
    for method in ("PUT", "TRACE", "PROPFIND", "DELETE", "POST", "HEAD"):
        if method not in allow:
            response = await client.request(method, address, content=b"{")
            assert response.status_code == 405
            assert response.headers["Allow"] == allow
            if method != "HEAD":
                assert method in response.json()["description"]


@pytest.mark.parametrize(
    "path", ["/v1", "/v2/p1", "/v2/p1/", "/v2/p1/unknown", "/v2/p1/jobs/x/y", "/x%0Ay", "/%00"]
)
async def test_paths_that_there_are_not(client: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        response = await client.request(method, path)
        assert response.status_code == 404
        assert response.json()["title"] == "Not Found"
    assert (await client.head(path)).status_code == 404


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/p1/jobs", "/v2/p1/jobs/gone"])
async def test_accept(client: httpx.AsyncClient, path: str) -> None:
    usual = await client.get(path)
    for accept in (
        "",
        "*/*",
        "*",
        "application/*",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/html, image/gif, *; q=.2",
        "text/plain;q=0.9, application/json;q=0.001",
        "text/html;q=0, */*",
        "nonsense, application/json",
        "application/json;q=high",
        'text/html;x="a,b;q=0", application/json',
        "application/json;v=2;q=0, application/json",
    ):
        response = await client.get(path, headers={"Accept": accept})
        assert response.content == usual.content, accept
    for accept in (
        "text/html",
        "application/xml, text/*",
        "application/json;q=0",
        "application/json;q=0.000, */*",
        "*/*;q=0",
        "application/*;q=0, */*",
        "garbage",
        ",",
        "application/json5",
        "\xe9",
    ):
        if path == "/v2" and accept == "application/json;q=0.000, */*":
            continue  # json-home is something else
        for method in ("GET", "HEAD"):
            response = await client.request(
                method, path, headers=[(b"Accept", accept.encode("latin-1"))]
            )
            assert response.status_code == 406, accept
        body = (await client.get(path, headers=[(b"Accept", accept.encode("latin-1"))])).json()
        assert list(body) == ["title", "description"]
    several = [("Accept", "text/html"), ("Accept", "application/json")]
    assert (await client.get(path, headers=several)).content == usual.content


async def test_home(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).status_code == 300
    home = await client.get("/v2/", headers={"Accept": "application/json-home"})
    assert home.headers["Content-Type"] == "application/json-home"
    for accept, media_type in (
        ("*/*", "application/json-home"),
        ("application/json, application/json-home", "application/json-home"),
        ("application/json;q=0.5, application/json-home;q=0.4", "application/json"),
        ("application/json-home;q=0, application/json", "application/json"),
    ):
        answer = await client.get("/v2", headers={"Accept": accept})
        assert answer.headers["Content-Type"] == media_type
        assert answer.content == home.content
    resources = home.json()["resources"]
    backups = resources["rel/backups"]
    assert backups["href-template"] == "/v2/{project_id}/backups/{backup_id}"
    assert backups["href-vars"] == {
        "project_id": "param/project_id",
        "backup_id": "param/backup_id",
    }
    assert backups["hints"]["allow"] == ["GET", "PATCH", "DELETE"]
    assert backups["hints"]["formats"] == {"application/json": {}}
    assert resources["rel/job"]["hints"]["allow"] == ["GET", "POST", "PATCH", "DELETE"]
    assert resources["rel/jobs"]["href-template"].startswith("/v2/{project_id}/jobs{?all_projects,")
    assert (await client.get("/healthcheck")).text == "OK"
    assert (await client.get("/healthcheck", headers={"Accept": "image/gif"})).status_code == 200

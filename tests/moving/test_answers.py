"""Both services' answers: what is meant to differ is counted by kind, anything else is shown."""

import json
import math
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.errors import Unavailable
from gateway.moving import answers
from gateway.moving.answers import IDS, MISSING, Answers, Side
from tests.moving.conftest import Move, Silent
from tests.support.apps import BASE_URL, MakeClient
from tests.support.freezer_tables import METADATA, FreezerTables

pytestmark = pytest.mark.anyio

Change = Callable[[Any], Any]


def fill(tables: FreezerTables) -> None:
    """Make an item of each kind, and some backups."""
    tables.client("web-1")
    tables.session("s1", job="{}")
    tables.action("a1")
    tables.job("j1", "a1", session_id="s1")
    for number in range(7):
        tables.backup(f"b{number}", METADATA | {"time_stamp": number})


def other(own: httpx.AsyncClient, change: Change) -> httpx.AsyncClient:
    """Return a service that answers as this one, but for what is changed, and pages by offset."""

    async def answer(request: httpx.Request) -> httpx.Response:
        parameters = dict(request.url.params)
        offset = int(parameters.pop("offset", 0))
        if "limit" in parameters and offset:
            everything = await own.get(request.url.path)
            collection = request.url.path.rpartition("/")[2]
            listed = everything.json()[collection][offset:]
            found: Any = {collection: listed[: int(parameters["limit"])]}
            status = 200
        else:
            response = await own.get(request.url.path, params=parameters)
            status, found = response.status_code, response.json()
        changed = change(found)
        if isinstance(changed, int):
            return httpx.Response(changed, content=b"")
        return httpx.Response(status, content=json.dumps(changed).encode())

    return httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url=BASE_URL)


async def compared(
    own: httpx.AsyncClient,
    change: Change,
    refused: frozenset[Any] = frozenset(),
    duplicates: frozenset[str] = frozenset(),
) -> Answers:
    """Compare all items and lists."""
    there = other(own, change)
    sides = (
        Side(there, {"": "token"}, "freezer-api"),
        Side(own, {}, "the gateway", pages_by_marker=True),
    )
    work = Answers(*sides, Silent(), refused=refused, duplicates=duplicates)
    ids = {
        "clients": ["web-1"],
        "sessions": ["s1"],
        "actions": ["a1"],
        "jobs": ["j1"],
        "backups": [f"b{number}" for number in range(7)],
    }
    async with there:
        for collection in IDS:
            await work.items(collection, "p1", ids[collection])
            await work.lists(collection, "p1")
    return work


async def test_a_service_answers_as_itself(
    tables: FreezerTables, move: Move, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "PAGE", 3)
    fill(tables)
    await move()
    work = await compared(await make_client(rest_dialect="freezer-19"), lambda found: found)
    assert work.is_same
    assert dict(work.kinds) == {}
    assert dict(work.compared) == {
        "clients": 2,
        "sessions": 2,
        "actions": 2,
        "jobs": 2,
        "backups": 14,
    }


async def test_what_is_meant_is_counted_and_what_isnt_is_shown(
    tables: FreezerTables, move: Move, make_client: MakeClient
) -> None:
    fill(tables)
    await move()

    def change(found: Any) -> Any:
        for job in found.get("jobs", [found]) if isinstance(found.get("jobs"), list) else [found]:
            if "job_schedule" in job:
                del job["job_schedule"]["event"]
        for backup in found.get("backups", [found]):
            if backup.get("backup_id") == "b3":
                backup["status"] = "error"
                backup["backup_metadata"]["ratio"] = math.nan
        return found

    work = await compared(await make_client(rest_dialect="freezer-19"), change)
    assert not work.is_same
    assert work.kinds["event"] == 2
    shown = {(one.id, one.path, one.there, one.here) for one in work.shown if one.path == "status"}
    assert shown == {("b3", "status", "error", "available")}


async def test_rows_that_freezer_api_fails_at_and_rows_that_were_refused_are_meant(
    tables: FreezerTables, move: Move, make_client: MakeClient
) -> None:
    fill(tables)
    await move()
    own = await make_client(rest_dialect="freezer-19")
    assert (await own.delete("/v2/p1/backups/b5")).status_code == 204
    held = {"backup_id": "b5", "project_id": "p1"}

    def change(found: Any) -> Any:
        if found.get("session_id") == "s1" and "hold_off" in found:
            return 500
        if isinstance(found.get("backups"), list):
            return {"backups": [*found["backups"], held]}
        return found

    work = await compared(own, change, refused=frozenset({("backups", "p1", "b5")}))
    assert work.is_same
    assert dict(work.kinds) == {answers.FAILS_THERE: 1, answers.REFUSED: 1}
    assert not (await compared(own, change)).is_same


async def test_a_row_that_freezer_api_cant_list_spoils_no_comparison(
    tables: FreezerTables, move: Move, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "PAGE", 3)
    fill(tables)
    await move()
    own = await make_client(rest_dialect="freezer-19")

    def change(found: Any) -> Any:
        listed = [backup["backup_id"] for backup in found.get("backups", [])]
        return 500 if "b3" in listed else found

    work = await compared(own, change)
    assert work.is_same
    assert dict(work.kinds) == {answers.FAILS_THERE: 1}
    assert work.compared["backups"] == 14, "it is asked for by itself"

    def fail(found: Any) -> Any:
        return 500 if found.get("backups") else found

    with pytest.raises(Unavailable, match="freezer-api answers no page of the list of backups"):
        await compared(own, fail)


async def test_a_client_that_freezer_api_has_twice_is_meant(
    tables: FreezerTables, move: Move, make_client: MakeClient
) -> None:
    fill(tables)
    await move()
    own = await make_client(rest_dialect="freezer-19")

    def change(found: Any) -> Any:
        for one in found.get("clients", [found] if "client" in found else []):
            one["client"] |= {"uuid": "another", "hostname": "another"}
        return found

    work = await compared(own, change, duplicates=frozenset({"web-1"}))
    assert dict(work.kinds) == {answers.DUPLICATE: 2}
    assert (await compared(own, change)).kinds[answers.OTHER] == 4


async def test_a_service_that_refuses_the_list_ends_the_comparison(
    tables: FreezerTables, move: Move, make_client: MakeClient
) -> None:
    fill(tables)
    await move()
    own = await make_client(rest_dialect="freezer-19")
    with pytest.raises(Unavailable, match="freezer-api answers 403 to the list of clients"):
        await compared(own, lambda found: 403 if "clients" in found else found)


@pytest.mark.parametrize(
    ("path", "there", "here", "kind"),
    [
        (("job_schedule", "event"), MISSING, "", "event"),
        (("job_schedule", "current_pid"), MISSING, 0, "event"),
        (("job_schedule",), "", {"event": ""}, "event"),
        (("job_schedule", "event"), MISSING, "start", "other"),
        (("backup_metadata", "a"), math.inf, None, "not-a-number"),
        (("backup_metadata", "a"), 10**400, str(10**400), "not-a-number"),
        (("backup_metadata", "a"), 10**30, str(10**30), "other"),
        (("backup_metadata", "a"), "x\0", "x\ufffd", "unusable-text"),
        (("backup_metadata", "a\0"), "x", MISSING, "unusable-text"),
        (("backup_metadata", "a\ufffd"), MISSING, "x", "unusable-text"),
        (("backup_metadata", "a"), "x", MISSING, "other"),
        (("user_credentials",), {"trust_id": "t"}, MISSING, "credentials"),
        (("backup_metadata", "a"), "x", "y", "other"),
        (("max_retries",), None, 5, "null"),
        (("max_retries",), None, 6, "other"),
        (("description",), None, "", "null"),
        (("mandatory",), None, False, "null"),
        (("time_end",), None, -1, "null"),
        (("status",), "", None, "null"),
        (("jobs",), MISSING, {}, "states"),
        (("jobs",), [1], {}, "states"),
        (("jobs",), {"j1": {}}, {}, "other"),
        (("jobs", "j1", "result"), MISSING, "", "states"),
        (("client", "supported_storages"), [], ["swift"], "other"),
        (("job_actions",), [], [{}], "other"),
    ],
)
def test_kinds(path: tuple[str, ...], there: Any, here: Any, kind: str) -> None:
    assert answers.kind_of(path, there, here) == kind


def test_documents_differ_by_type_and_as_deep_as_they_go() -> None:
    there = {"a": 1, "b": {"c": [1, {"d": 2}], "e": None}, "f": [1]}
    here = {"a": True, "b": {"c": [1, {"d": 3}]}, "f": [1, 2]}
    assert list(answers.differing(there, here)) == [
        (("a",), 1, True),
        (("b", "c", "1", "d"), 2, 3),
        (("b", "e"), None, MISSING),
        (("f",), [1], [1, 2]),
    ]

"""What both surfaces do, they do alike: whichever writes, both show the same."""

from typing import Any

import httpx
import pytest

from gateway.errors import Code
from tests.support.surfaces import Document, GraphQL, RefusedError, Rest, Surface

pytestmark = pytest.mark.anyio

METADATA = {"backup_name": "n", "container": "c", "hostname": "h", "x": {"ü": [1, None, "😀"]}}
ACTION = {"freezer_action": {"action": "backup", "mode": "fs", "ssh_port": 22}, "max_retries": 2}
JOB = {
    "description": "nightly",
    "job_schedule": {"schedule_interval": "1 days", "schedule_day_of_week": "mon", "event": "stop"},
    "job_actions": [ACTION, {"freezer_action": {"action": "exec"}, "mandatory": True}],
}
CLIENT = {"client_id": "host", "hostname": "host", "supported_modes": ["fs"]}
ITEMS: dict[str, Document] = {
    "backup": METADATA | {"job_id": "j", "client_id": "host", "status": "error"},
    "action": ACTION,
    "client": CLIENT,
    "job": JOB,
}


@pytest.fixture
def rest(client: httpx.AsyncClient) -> Surface:
    """Return REST."""
    return Rest(client)


@pytest.fixture
def graphql(client: httpx.AsyncClient) -> Surface:
    """Return GraphQL."""
    return GraphQL(client)


@pytest.fixture(params=["rest", "graphql"])
def surface(request: pytest.FixtureRequest) -> Any:
    """Return either surface."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def both(rest: Surface, graphql: Surface) -> list[Surface]:
    """Return both surfaces."""
    return [rest, graphql]


async def shown(both: list[Surface], kind: str, item_id: str) -> Document:
    """Return an item's facts, which both surfaces must agree about."""
    first, second = [await surface.show(kind, item_id) for surface in both]
    if kind == "client":
        # REST shows what the published documents have.
        second = {key: second[key] for key in first}
    assert first == second
    return first


async def refused(code: Code, asked: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        await asked
    assert caught.value.code is code
    return caught.value.message


@pytest.mark.parametrize("kind", ITEMS)
async def test_an_item_is_the_same_by_both(
    surface: Surface, both: list[Surface], kind: str
) -> None:
    item_id = await surface.create(kind, dict(ITEMS[kind]))
    facts = await shown(both, kind, item_id)
    assert facts[f"{kind}_id"] == item_id
    if kind == "backup":
        assert facts["backup_metadata"].items() >= METADATA.items()
        assert (facts["job_id"], facts["client_id"], facts["status"]) == ("j", "host", "error")
    if kind == "job":
        made = [action["freezer_action"] for action in facts["job_actions"]]
        assert made == [action["freezer_action"] for action in JOB["job_actions"]]
        assert facts["job_schedule"].items() >= JOB["job_schedule"].items()


async def test_a_backup_is_of_its_jobs_client(surface: Surface, both: list[Surface]) -> None:
    await surface.create("client", dict(CLIENT))
    job_id = await surface.create("job", JOB | {"client_id": "host"})
    for given, client_id in (
        # As the agent sends it.
        ({"job_id": job_id}, "host"),
        ({"job_id": job_id, "client_id": "another"}, "another"),
        ({"job_id": "unknown"}, None),
        ({}, None),
    ):
        facts = await shown(both, "backup", await surface.create("backup", METADATA | given))
        assert facts["client_id"] == client_id
        assert facts["backup_metadata"].get("client_id") == given.get("client_id")


@pytest.mark.parametrize("kind", ITEMS)
async def test_a_deleted_item_is_gone_by_both(
    surface: Surface, both: list[Surface], kind: str
) -> None:
    item_id = await surface.create(kind, dict(ITEMS[kind]))
    await surface.delete(kind, item_id)
    for other in both:
        assert item_id not in await other.list(kind)
        await refused(Code.NOT_FOUND, other.show(kind, item_id))
        await refused(Code.NOT_FOUND, other.delete(kind, item_id))


@pytest.mark.parametrize(
    ("kind", "patch", "key", "value"),
    [
        ("job", {"description": "new"}, "description", "new"),
        ("job", {"job_actions": []}, "job_actions", []),
        ("backup", {"status": "deleting"}, "status", "deleting"),
        ("backup", {"backup_metadata": {"x": None}}, "backup_metadata", ...),
        ("action", {"max_retries": 7}, "max_retries", 7),
        (
            "action",
            {"freezer_action": {"mode": None, "new": {"a": 1}}},
            "freezer_action",
            {"action": "backup", "ssh_port": 22, "new": {"a": 1}},
        ),
    ],
)
async def test_a_change_is_seen_by_both(  # noqa: PLR0913, PLR0917
    surface: Surface, both: list[Surface], kind: str, patch: Document, key: str, value: Any
) -> None:
    item_id = await surface.create(kind, dict(ITEMS[kind]))
    before = await shown(both, kind, item_id)
    await surface.update(kind, item_id, patch, version=0)
    after = await shown(both, kind, item_id)
    if value is ...:
        value = {name: held for name, held in before[key].items() if name != "x"}
    assert after == before | {key: value}
    for other in both:
        await refused(Code.CONFLICT, other.update(kind, item_id, patch, version=0))


async def test_a_part_of_a_schedule_is_changed_alone(surface: Surface, both: list[Surface]) -> None:
    job_id = await surface.create("job", dict(JOB))
    before = (await shown(both, "job", job_id))["job_schedule"]
    change = {"schedule_interval": None, "schedule_month": "5", "status": "running"}
    await surface.update("job", job_id, {"job_schedule": change})
    after = (await shown(both, "job", job_id))["job_schedule"]
    del before["schedule_interval"]
    assert after == before | {"schedule_month": "5", "status": "running"}


@pytest.mark.parametrize("event", ["start", "stop", "abort"])
async def test_an_event_is_asked_for_once(
    surface: Surface, both: list[Surface], event: str
) -> None:
    job_id = await surface.create("job", JOB | {"job_schedule": {}})
    assert await surface.request(job_id, event)
    schedule = (await shown(both, "job", job_id))["job_schedule"]
    assert schedule["event"] == event
    for other in both:
        assert not await other.request(job_id, event)
    assert (await shown(both, "job", job_id))["job_schedule"] == schedule
    for other in both:
        await refused(Code.NOT_FOUND, other.request("nobody", event))


async def test_a_client_registers_again(surface: Surface, both: list[Surface]) -> None:
    for other in both:
        await other.create("client", dict(CLIENT))
    before = await shown(both, "client", "host")
    await surface.create("client", CLIENT | {"description": "new", "hostname": "other"})
    assert await shown(both, "client", "host") == before | {"description": "new"}


async def test_lists_have_the_same_order(surface: Surface, both: list[Surface]) -> None:
    names = ["b", "a", "B", "é", "", "😀", "a"]
    for number, name in enumerate(names):
        await surface.create("job", {"description": name, "job_actions": []})
        await surface.create("client", {"client_id": f"h{9 - number}"})
        await surface.create("action", {"action_id": f"a{9 - number}", **ACTION})
        metadata = METADATA | {"backup_name": name or "x", "time_stamp": number % 3}
        await surface.create("backup", metadata)
    for kind in ITEMS:
        first, second = [await other.list(kind) for other in both]
        assert len(first) == len(names)
        assert first == second


@pytest.mark.parametrize(
    ("code", "kind", "document"),
    [
        (Code.BAD_USER_INPUT, "job", JOB | {"description": "é" * 33}),
        (Code.BAD_USER_INPUT, "job", JOB | {"job_schedule": {"schedule_interval": "often"}}),
        (Code.BAD_USER_INPUT, "job", JOB | {"job_schedule": {"schedule_date": "tomorrow"}}),
        (Code.BAD_USER_INPUT, "job", JOB | {"job_schedule": {"event": "dance"}}),
        (Code.BAD_USER_INPUT, "job", JOB | {"job_actions": [{"freezer_action": {"action": "x"}}]}),
        (Code.BAD_USER_INPUT, "job", JOB | {"job_actions": [ACTION, {}]}),
        (Code.BAD_USER_INPUT, "job", JOB | {"client_id": "no host"}),
        (Code.UNPROCESSABLE, "job", JOB | {"client_id": "nobody"}),
        (Code.UNPROCESSABLE, "job", JOB | {"job_actions": [ACTION, {"action_id": "nobody"}]}),
        (Code.UNPROCESSABLE, "job", JOB | {"client_id": "only-exec"}),
        (Code.UNPROCESSABLE, "job", JOB | {"job_actions": [{**ACTION, "action_id": "known"}]}),
        (Code.BAD_USER_INPUT, "action", {"freezer_action": {"mode": "x"}}),
        (Code.BAD_USER_INPUT, "action", {"freezer_action": {"backup_name": "x" * 513}}),
        (Code.BAD_USER_INPUT, "action", {"freezer_action": []}),
        (Code.CONFLICT, "action", {"freezer_action": {"action": "exec"}, "action_id": "known"}),
        (Code.BAD_USER_INPUT, "client", {"client_id": "no host"}),
        (Code.BAD_USER_INPUT, "client", {"client_id": "h", "supported_actions": ["x"]}),
        (Code.BAD_USER_INPUT, "backup", {"backup_name": "n", "container": "c"}),
        (Code.BAD_USER_INPUT, "backup", METADATA | {"status": "dance"}),
        (Code.BAD_USER_INPUT, "backup", METADATA | {"time_stamp": "x"}),
        (Code.BAD_USER_INPUT, "backup", METADATA | {"hostname": "h" * 513}),
    ],
)
async def test_what_is_wrong_is_wrong_by_both(
    surface: Surface, both: list[Surface], code: Code, kind: str, document: Document
) -> None:
    await both[0].create("client", {"client_id": "only-exec", "supported_actions": ["exec"]})
    await both[0].create("client", {"client_id": "another"})
    await both[0].create("action", {"action_id": "known", "freezer_action": {"action": "exec"}})
    lists = [await both[0].list(each) for each in ITEMS]
    await refused(code, surface.create(kind, dict(document)))
    assert [await both[0].list(each) for each in ITEMS] == lists

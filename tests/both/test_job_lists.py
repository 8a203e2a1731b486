"""The lists of actions in jobs: their places, ids of one's own, and what the client supports."""

from typing import Any

import httpx
import pytest

from gateway.errors import Code
from tests.support.surfaces import GraphQL, RefusedError, Rest, Surface

pytestmark = pytest.mark.anyio

POSITIONS = """
query($id: ID!) { job(jobId: $id) { actions { edges { position node { actionId } } } } }
"""


@pytest.fixture(params=[Rest, GraphQL])
def surface(request: pytest.FixtureRequest, client: httpx.AsyncClient) -> Surface:
    """Return either surface."""
    made: Surface = request.param(client)
    return made


def action(action_id: str | None = None, **definition: Any) -> dict[str, Any]:
    """Return an action as jobs are given it."""
    freezer_action = {"action": "info"} | definition
    given = {"freezer_action": freezer_action}
    return given if action_id is None else given | {"action_id": action_id}


async def places(client: httpx.AsyncClient, job_id: str) -> list[tuple[int, str]]:
    """Return the places of a job's actions."""
    sent = {"query": POSITIONS, "variables": {"id": job_id}}
    answer = await client.post("/graphql", json=sent, headers={"X-Project-Id": "p1"})
    edges = answer.json()["data"]["job"]["actions"]["edges"]
    return [(edge["position"], edge["node"]["actionId"]) for edge in edges]


async def refused(asked: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        await asked
    assert caught.value.code is Code.UNPROCESSABLE
    return caught.value.message


async def test_places_have_no_gaps(surface: Surface, client: httpx.AsyncClient) -> None:
    for name in "abc":
        await surface.create("action", action(name))
    jobs = []
    for listed in ("abac", "baca", "bc", "aaaa", "cb"):
        actions = [{"action_id": name} for name in listed]
        jobs.append(await surface.create("job", {"job_actions": actions}))
    await surface.delete("action", "a")
    left = [await places(client, job_id) for job_id in jobs]
    assert left == [
        [(0, "b"), (1, "c")],
        [(0, "b"), (1, "c")],
        [(0, "b"), (1, "c")],
        [],
        [(0, "c"), (1, "b")],
    ]
    await surface.delete("action", "b")
    assert [await places(client, job_id) for job_id in jobs] == [[(0, "c")]] * 3 + [[], [(0, "c")]]


async def test_an_action_gets_the_id_that_a_job_gives_it(surface: Surface) -> None:
    own = [action("own1"), {"action_id": "own1"}, action("own2", mode="fs"), action("own1")]
    job_id = await surface.create("job", {"job_actions": own})
    shown = (await surface.show("job", job_id))["job_actions"]
    assert [each["action_id"] for each in shown] == ["own1", "own1", "own2", "own1"]
    assert (await surface.show("action", "own2"))["freezer_action"] == {
        "action": "info",
        "mode": "fs",
    }
    # Now they exist: both refer to them, and so does a change.
    await surface.create("job", {"job_actions": own})
    await surface.update("job", job_id, {"job_actions": [action("own3"), {"action_id": "own3"}]})
    assert sorted(await surface.list("action")) == ["own1", "own2", "own3"]
    for bad in (
        [action("new"), {"action_id": "nobody"}],
        [action("own1", mode="fs")],
        [action("new"), action("new", mode="fs")],
    ):
        await refused(surface.create("job", {"job_actions": bad}))
        await refused(surface.update("job", job_id, {"job_actions": bad}))
    assert sorted(await surface.list("action")) == ["own1", "own2", "own3"]
    with pytest.raises(RefusedError) as caught:
        await surface.create("job", {"job_actions": [action("own4", action="dance")]})
    assert caught.value.code is Code.BAD_USER_INPUT


async def test_a_changed_action_must_suit_the_clients_of_its_jobs(
    surface: Surface, client: httpx.AsyncClient
) -> None:
    await surface.create("client", {"client_id": "able"})
    await surface.create("client", {"client_id": "files", "supported_modes": ["fs"]})
    await surface.create("action", action("it", mode="fs", storage="swift"))
    listed = [{"action_id": "it"}]
    await surface.create("job", {"job_actions": listed, "client_id": "able"})
    await surface.update("action", "it", {"freezer_action": {"mode": "mysql"}})
    await surface.update("action", "it", {"freezer_action": {"mode": "fs"}})
    job_id = await surface.create("job", {"job_actions": listed, "client_id": "files"})
    before = await surface.show("action", "it")
    said = await refused(surface.update("action", "it", {"freezer_action": {"mode": "mysql"}}))
    assert job_id in said
    assert "files" in said
    assert "mysql" in said
    replaced = await client.post("/v2/p1/actions/it", json=action(mode="mysql"))
    assert replaced.status_code == 422
    assert await surface.show("action", "it") == before
    # What isn't changed isn't checked: the client may have been registered anew with less.
    await surface.create("client", {"client_id": "files", "supported_modes": ["mysql"]})
    await surface.update("action", "it", {"max_retries": 7, "freezer_action": {"mode": "fs"}})
    await surface.delete("client", "files")
    await surface.update("action", "it", {"freezer_action": {"mode": "mongo"}})


async def test_an_action_must_suit_the_project_s_own_client_of_an_id(
    surface: Surface, client: httpx.AsyncClient
) -> None:
    central = {"client_id": "host", "is_central": True, "supported_modes": ["fs"]}
    made = await client.post("/v2/p2/clients", json=central)
    assert made.status_code == 201
    await surface.create("action", action("it", mode="fs"))
    listed = {"job_actions": [{"action_id": "it"}], "client_id": "host"}
    await surface.create("job", dict(listed))
    await refused(surface.update("action", "it", {"freezer_action": {"mode": "nova"}}))
    await client.request("DELETE", "/v2/p2/clients/host")
    await surface.create("client", {"client_id": "host", "supported_modes": ["fs", "nova"]})
    await client.post("/v2/p2/clients", json=central)
    await surface.update("action", "it", {"freezer_action": {"mode": "nova"}})

"""Conditional requests for items: tags that change with the body, and what they guard."""

from typing import Any

import pytest

from tests.support.apps import GraphQL

from .conftest import Ask

pytestmark = pytest.mark.anyio

RUN = {"action": "backup", "mode": "fs", "backup_name": "b", "container": "c"}
POSTS: dict[str, tuple[str, dict[str, Any]]] = {
    "backups": ("backup_id", {"backup_name": "b", "container": "c", "hostname": "h"}),
    "jobs": ("job_id", {"description": "d", "job_actions": [{"freezer_action": RUN}]}),
    "actions": ("action_id", {"freezer_action": RUN}),
    "clients": ("client_id", {"client_id": "node"}),
    "sessions": ("session_id", {"description": "d", "schedule": {}, "session_tag": 0}),
}
PATCHES: dict[str, dict[str, Any]] = {
    "backups": {"status": "error"},
    "jobs": {"description": "x"},
    "actions": {"max_retries": 1},
    "sessions": {"description": "x"},
}
REPLACED = ("jobs", "actions", "sessions")
"""The resources whose items a POST replaces."""


async def make(ask: Ask, collection: str) -> str:
    """Create an item, and return its path."""
    key, body = POSTS[collection]
    return f"{collection}/{(await ask(f'POST {collection}', body, 201)).json()[key]}"


async def tag_of(ask: Ask, path: str) -> str:
    """Return the tag of an item as it is now."""
    return (await ask(f"GET {path}")).headers["ETag"]


@pytest.mark.parametrize("collection", POSTS)
async def test_an_unchanged_item_is_not_sent_again(ask: Ask, collection: str) -> None:
    path = await make(ask, collection)
    tag = await tag_of(ask, path)
    assert tag.startswith('"0-')
    assert await tag_of(ask, path) == tag
    # Compared weakly, as RFC 9110 says.
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        for method in ("GET", "HEAD"):
            again = await ask(f"{method} {path}", status=304, If_None_Match=known)
            assert again.headers["ETag"] == tag
            assert again.content == b""
    for other in ('"0"', '"x"', f"{tag[:-1]}0" + '"', 'W/"0"'):
        assert (await ask(f"GET {path}", If_None_Match=other)).headers["ETag"] == tag
    await ask(f"GET {path}", status=400, If_None_Match="x")
    await ask(f"GET {collection}/gone", status=404, If_None_Match="*")
    if collection in PATCHES:
        await ask(f"PATCH {path}", PATCHES[collection])
        changed = (await ask(f"GET {path}", If_None_Match=tag)).headers["ETag"]
        assert changed.startswith('"1-')


@pytest.mark.parametrize("collection", POSTS)
async def test_the_tag_of_an_item_guards_its_changes(ask: Ask, collection: str) -> None:
    body = POSTS[collection][1]
    path = await make(ask, collection)
    requests = [f"DELETE {path}"]
    if collection in PATCHES:
        requests.insert(0, f"PATCH {path}")
    if collection in REPLACED:
        requests.insert(0, f"POST {path}")
    bodies = {"PATCH": PATCHES.get(collection), "POST": body}
    for request in requests:
        sent = bodies.get(request.split()[0], b"")
        tag = await tag_of(ask, path)
        number = tag[1:-1].split("-")[0]
        for other in (f'"{number}-0"', f"W/{tag}", f'W/"{number}"', f'"{int(number) + 1}"'):
            refused = await ask(request, sent, 412, If_Match=other)
            assert refused.json()["title"] == "Precondition Failed"
        assert await tag_of(ask, path) == tag
        status = {"POST": 201, "DELETE": 204}.get(request.split()[0], 200)
        await ask(request, sent, status, If_Match=f'"x", {tag}')
    await ask(f"GET {path}", status=404)
    await ask(f"DELETE {path}", status=404, If_Match=tag)
    if collection in REPLACED:
        await ask(f"POST {path}", body, 412, If_Match=tag)
        await ask(f"GET {path}", status=404)


async def test_the_tag_of_a_job_changes_with_its_actions(ask: Ask) -> None:
    path = await make(ask, "jobs")
    first = await ask(f"GET {path}")
    action = first.json()["job_actions"][0]["action_id"]
    tags = [first.headers["ETag"]]
    for request in (f"PATCH actions/{action}", f"DELETE actions/{action}"):
        sent = {"max_retries": 1} if "PATCH" in request else b""
        await ask(request, sent, 200 if sent else 204)
        tags.append(await tag_of(ask, path))
        await ask(f"PATCH {path}", {"description": "x"}, 412, If_Match=tags[0])
        await ask(f"GET {path}", If_None_Match=tags[0])
    # The version counts changes of the list of actions, and none of an action.
    assert [tag.split("-")[0] for tag in tags] == ['"0', '"0', '"1']
    assert len({*tags}) == 3
    # The version alone doesn't tell whether an action was edited.
    await ask(f"PATCH {path}", {"description": "x"}, 412, If_Match='"0"')
    await ask(f"PATCH {path}", {"description": "x"}, If_Match='"1"')


async def test_the_tag_of_a_written_backup_is_that_of_the_backup(ask: Ask) -> None:
    path = await make(ask, "backups")
    tag = (await ask(f"PATCH {path}", {"status": "error"})).headers["ETag"]
    assert await tag_of(ask, path) == tag


async def test_a_deleted_action_counts_in_every_job_that_ran_it(ask: Ask, graphql: GraphQL) -> None:
    action = (await make(ask, "actions")).split("/")[1]
    run = {"action_id": action}
    ids = [
        (await ask("POST jobs", {"job_actions": actions}, 201)).json()["job_id"]
        for actions in ([run], [run, run, {"freezer_action": RUN}], [{"freezer_action": RUN}])
    ]
    await ask(f"DELETE actions/{action}", status=412, If_Match='"7"')
    await ask(f"DELETE actions/{action}", status=204)
    text = "{ jobs { nodes { id jobId version actions { totalCount } } } }"
    nodes = {node["jobId"]: node for node in (await graphql(text))["data"]["jobs"]["nodes"]}
    seen = [(nodes[job]["version"], nodes[job]["actions"]["totalCount"]) for job in ids]
    assert seen == [(1, 0), (1, 1), (0, 1)]
    change = (
        "mutation ($id: ID!) { updateJob(input: {id: $id, expectedVersion: 0}) { job { id } } }"
    )
    codes = []
    for job in ids:
        answer = await graphql(change, {"id": nodes[job]["id"]})
        codes.append([one["extensions"]["code"] for one in answer.get("errors", ())])
    assert codes == [["CONFLICT"], ["CONFLICT"], []]

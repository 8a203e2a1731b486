"""The endpoints of REST v2: each parses a call, asks one resolver, and writes the answer."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.catalogue.tables import INT64
from gateway.errors import NotFound, StaleVersion, shown
from gateway.query.paging import PageRequest
from gateway.resolvers import actions, backups, clients, job_actions, jobs, sessions
from gateway.resolvers.collection import Collection
from gateway.rest_compat import bodies
from gateway.rest_compat.documents import (
    ACTIONS,
    BACKUPS,
    CLIENTS,
    JOBS,
    SESSIONS,
    Document,
    Many,
    Resource,
)
from gateway.rest_compat.requests import Call

Endpoint = Callable[[Call], Awaitable[Response]]


def lists(resource: Resource) -> Endpoint:
    """Return the endpoint that lists a resource."""
    return partial(find, resource, resource.collection.with_revision)


async def find_jobs(call: Call) -> Response:
    """List the jobs of the project, or, for those who may see them, of all projects."""
    if not call.flag("all_projects"):
        return await find(JOBS, JOBS.collection.with_revision, call)
    call.ctx.authorize(JOBS.collection.all_projects.rule)
    return await find(JOBS, JOBS.collection.all_projects, call)


async def find(resource: Resource, collection: Collection, call: Call) -> Response:
    """Answer with one page of a list, or that it is the one that the caller has.

    That costs one look-up; a list that isn't dated is always answered.
    """
    known, revision = call.known() if collection.has_revision else (), None
    if known:
        revision = await collection.revision(call.ctx)
        if (tag := await call.tag(resource, revision)) in known:
            return unchanged(tag)
        collection = resource.collection
    where, sent = await call.search(resource)
    page_request, found = await call.page_request(collection)
    if found is not None:
        revision, collection = found, resource.collection
    document = call.shown(resource).entry
    page = await collection.find(call.ctx, page_request, where, document.columns)
    entries = await _whole(call, document, document.of(page.rows))
    following = call.next_page(resource, page, sent)
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    # By the revision that was found first: what has been written since is asked for again.
    if revision is None:
        revision = page.revision
    if revision is not None:
        headers["ETag"] = await call.tag(resource, revision)
    if "*" in known:
        return unchanged(headers["ETag"])
    return answer({resource.name: entries}, **headers)


def shows(resource: Resource) -> Endpoint:
    """Return the endpoint that shows one item."""

    async def endpoint(call: Call) -> Response:
        document = call.shown(resource).item
        select = (*document.columns, resource.collection.source.c.version)
        row = await resource.collection.get(call.ctx, call.item_id, select)
        if row is None:
            raise NotFound(f"no {resource.name[:-1]} with the id {shown(call.item_id)}")
        items = document.of([row], len(row) - len(select))
        (item,) = await _whole(call, document, items)
        return answer(item, ETag=f'"{row[-1]}"')

    return endpoint


def deletes(resource: Resource, delete: Callable[..., Awaitable[None]]) -> Endpoint:
    """Return the endpoint that deletes one item."""

    async def endpoint(call: Call) -> Response:
        await delete(call.ctx, call.item_id, expected_version=await expected(call, resource))
        return Response(status_code=204)

    return endpoint


async def create_backup(call: Call) -> Response:
    """Register a backup."""
    row = await backups.create(call.ctx, bodies.backup_draft(await call.body()))
    return created(call, BACKUPS, row)


async def update_backup(call: Call) -> Response:
    """Change a backup, and show it."""
    changes = bodies.backup_changes(await call.body())
    version = await expected(call, BACKUPS)
    row = await backups.update(call.ctx, call.item_id, changes, expected_version=version)
    return answer(call.shown(BACKUPS).item.of_item(row), ETag=f'"{row.version}"')


async def create_job(call: Call) -> Response:
    """Create a job."""
    row = await jobs.create(call.ctx, bodies.job_draft(call.ctx, await call.body()))
    return created(call, JOBS, row)


async def replace_job(call: Call) -> Response:
    """Replace a job, or create it under its id."""
    draft = bodies.job_draft(call.ctx, await call.body())
    version = await expected(call, JOBS, creates=True)
    row = await jobs.replace(call.ctx, call.item_id, draft, expected_version=version)
    return created(call, JOBS, row, version=row.version)


async def update_job(call: Call) -> Response:
    """Change a job."""
    changes = bodies.job_changes(call.ctx, await call.body())
    version = await expected(call, JOBS)
    row = await jobs.update(call.ctx, call.item_id, changes, expected_version=version)
    return updated(JOBS, row)


async def request_event(call: Call) -> Response:
    """Ask a job's scheduler to start, stop or abort it."""
    event = bodies.event(await call.body())
    asked = await jobs.request(call.ctx, call.item_id, event)
    return answer({"result": "success" if asked else f"{event} already requested"}, 202)


async def create_action(call: Call) -> Response:
    """Create an action."""
    row = await actions.create(call.ctx, bodies.action_draft(await call.body()))
    return created(call, ACTIONS, row)


async def replace_action(call: Call) -> Response:
    """Replace an action, or create it under its id."""
    draft = bodies.action_draft(await call.body())
    version = await expected(call, ACTIONS, creates=True)
    row = await actions.replace(call.ctx, call.item_id, draft, expected_version=version)
    return created(call, ACTIONS, row, version=row.version)


async def update_action(call: Call) -> Response:
    """Change an action."""
    changes = bodies.action_changes(await call.body())
    version = await expected(call, ACTIONS)
    row = await actions.update(call.ctx, call.item_id, changes, expected_version=version)
    return updated(ACTIONS, row)


async def register_client(call: Call) -> Response:
    """Register a client, or update a registered one."""
    row = await clients.create(call.ctx, bodies.client_draft(await call.body()))
    return created(call, CLIENTS, row)


async def create_session(call: Call) -> Response:
    """Create a session."""
    row = await sessions.create(call.ctx, bodies.session_draft(await call.body()))
    return created(call, SESSIONS, row)


async def replace_session(call: Call) -> Response:
    """Replace a session, or create it under its id."""
    draft = bodies.session_draft(await call.body(), replaces=True)
    version = await expected(call, SESSIONS, creates=True)
    row = await sessions.replace(call.ctx, call.item_id, draft, expected_version=version)
    return created(call, SESSIONS, row, version=row.version)


async def update_session(call: Call) -> Response:
    """Change a session."""
    changes = bodies.session_changes(await call.body())
    version = await expected(call, SESSIONS)
    row = await sessions.update(call.ctx, call.item_id, changes, expected_version=version)
    return updated(SESSIONS, row)


async def act_on_session(call: Call) -> Response:
    """Start a session with a job, or end the job's part in it."""
    name, asked = bodies.session_action(await call.body())
    if name == "start":
        tag = int(asked["current_tag"])
        outcome = await sessions.start(call.ctx, call.item_id, asked["job_id"], tag)
    elif name == "end":
        outcome = await sessions.end(call.ctx, call.item_id, asked["job_id"], asked["result"])
    else:
        raise HTTPException(405, f"Bad Action Method: {shown(name)}", {"Allow": "POST, OPTIONS"})
    return answer({"result": outcome.result, "session_tag": outcome.session_tag}, 202)


async def add_to_session(call: Call) -> Response:
    """Take a job into a session."""
    await sessions.add_job(call.ctx, call.item_id, call.in_path("job_id"))
    return Response(status_code=204)


async def remove_from_session(call: Call) -> Response:
    """Take a job out of a session."""
    await sessions.remove_job(call.ctx, call.item_id, call.in_path("job_id"))
    return Response(status_code=204)


def answer(document: object, status: int = 200, /, **headers: str) -> Response:
    """Write a document as JSON."""
    body = orjson.dumps(document)
    return Response(body, status, headers, media_type="application/json")


def unchanged(tag: str) -> Response:
    """Tell the caller to keep what this tag came with."""
    return Response(status_code=304, headers={"ETag": tag})


def created(call: Call, resource: Resource, row: Any, **more: object) -> Response:
    """Tell where the new item is, unless the caller does without."""
    headers = {
        "Location": call.address(call.ctx.project_id, resource.name, row.id),
        "ETag": f'"{row.version}"',
    }
    if call.minimal:
        applied = {"Preference-Applied": "return=minimal"}
        return Response(status_code=201, headers=headers | applied)
    return answer({resource.id: row.id, **more}, 201, **headers)


def updated(resource: Resource, row: Any) -> Response:
    """Tell which version the item has now."""
    return answer({resource.id: row.id, "version": row.version}, ETag=f'"{row.version}"')


async def expected(call: Call, resource: Resource, *, creates: bool = False) -> int | None:
    """Return the version that the item must have to be changed; None: whichever it has.

    Raises StaleVersion for `If-Match: *` where there is no item, and one would be created.
    """
    versions = call.versions()
    if versions is not None and len(versions) == 1:
        return versions[0]
    if versions is None and not (creates and call.must_exist):
        return None
    row = await resource.collection.get(
        call.ctx, call.item_id, (resource.collection.source.c.version,)
    )
    if versions is None:
        if row is None:
            raise StaleVersion(
                f"there is no {resource.name[:-1]} with the id {shown(call.item_id)}"
            )
        return None
    return row[-1] if row is not None and row[-1] in versions else versions[0]


async def _whole(
    call: Call, document: Document, items: Sequence[dict[str, Any]]
) -> Sequence[dict[str, Any]]:
    """Put in what isn't in jobs' own rows, their actions, and take out what isn't for the caller.

    One statement, whatever the number of items.
    """
    many = document.keys.get("job_actions")
    if not isinstance(many, Many) or not items:
        return items
    part = many.document
    page_request = PageRequest(job_actions.COLLECTION.order, first=INT64 // 2)
    keys = [(item["project_id"], item["job_id"]) for item in items]
    # Jobs of another project are there only for those who may read all projects.
    own = all(project == call.ctx.project_id for project, _ in keys)
    collection = job_actions.COLLECTION if own else job_actions.COLLECTION.all_projects
    pages = await collection.pages_by_parent(
        call.ctx, keys, job_actions.OF_JOB, page_request, None, part.columns
    )
    for item, key in zip(items, keys, strict=True):
        item["job_actions"] = part.of(pages[key].rows, len(key))
        trust = item.get("user_credentials")
        if trust and not call.shows_trust(trust.get("trustor_user_id")):
            del item["user_credentials"]
    return items

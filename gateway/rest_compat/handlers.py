"""The endpoints of REST v2: each parses a request, asks one resolver, and writes the answer."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.errors import NotFound, shown
from gateway.kept import tags
from gateway.kept.questions import Question
from gateway.rates import costs
from gateway.resolvers import actions, backups, clients, jobs, sessions
from gateway.resolvers.collection import Collection
from gateway.rest_compat import bodies, conditional, items, links, polls
from gateway.rest_compat.documents import (
    ACTIONS,
    BACKUPS,
    CLIENTS,
    JOBS,
    SESSIONS,
)
from gateway.rest_compat.long_polling import LongPolls
from gateway.rest_compat.representations import Resource
from gateway.rest_compat.requests import V2Request
from gateway.rest_compat.responses import JSON, json_response, no_content

Endpoint = Callable[[V2Request], Awaitable[Response]]


def lists(resource: Resource) -> Endpoint:
    """Return the endpoint that lists a resource's items."""
    return partial(find, resource, resource.collection.with_revision)


async def find_jobs(request: V2Request) -> Response:
    """List the jobs of the project or, with `all_projects`, of all projects."""
    if (client_id := polls.client_of(await request.raw())) is not None:
        # Before anything answers it: what is answered doesn't matter.
        clients.note_poll(request.ctx, client_id)
    if not request.flag("all_projects"):
        return await find(JOBS, JOBS.collection.with_revision, request)
    request.ctx.authorize(JOBS.collection.all_projects.rule)
    return await find(JOBS, JOBS.collection.all_projects, request)


async def find(resource: Resource, collection: Collection, request: V2Request) -> Response:
    """Return a page of a list, for a caller who waits when it isn't the one that they have."""
    if request.wait is None or not collection.has_revision:
        return await read(resource, collection, request)
    polls: LongPolls = request.http.app.state.long_polls
    return await polls.answer(request, collection.rule, partial(read, resource, collection))


async def read(resource: Resource, collection: Collection, request: V2Request) -> Response:
    """Return a page of a list, or 304 for a caller who has it already.

    A 304, or an answer that is kept, costs one look-up. Collections without a revision have no
    ETag, and neither of them.
    """
    question: Question | None = None
    charged = 0
    if collection.has_revision:
        question = await conditional.question(request, resource)
        if (response := await question.answered()) is not None:
            return response
        charged = question.charged
        if question.revision is not None:
            collection = resource.collection
    where, sent = await request.search(resource)
    cost = costs.page(request.page_length, scans=where is not None)
    await request.ctx.charge(cost - charged)
    page_request, found = await request.page_request(collection)
    if question is not None and found is not None:
        question.revision, collection = question.revision or found, resource.collection
    document = request.representation(resource).entry
    page = await collection.find(request.ctx, page_request, where, document.columns)
    entries = await items.embed_actions(request, document, document.from_rows(page.rows))
    following = links.next_page(request, resource, page, sent)
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    response = json_response({resource.name: entries}, **headers)
    if question is None:
        return response
    if question.revision is None:
        # That of the first statement: a later write must not count as known.
        question.revision = page.revision
    return question.keep(response)


def shows(resource: Resource) -> Endpoint:
    """Return the endpoint that shows one item, or answers 304 to a caller who has it already."""

    async def endpoint(request: V2Request) -> Response:
        await request.ctx.charge(costs.ITEM)
        known = conditional.known_tags(request)
        item = await items.read(request, resource)
        if item is None:
            raise NotFound(f"no {resource.name[:-1]} with the id {shown(request.item_id)}")
        body, version = item
        tag = conditional.item_tag(version, body)
        if known and (f"W/{tag}" in known or "*" in known):
            return tags.not_modified(tag)
        return Response(body, headers={"ETag": tag}, media_type=JSON)

    return endpoint


def deletes(resource: Resource, delete: Callable[..., Awaitable[None]]) -> Endpoint:
    """Return the endpoint that deletes one item."""

    async def endpoint(request: V2Request) -> Response:
        await delete(
            request.ctx,
            request.item_id,
            expected_version=await conditional.expected_version(request, resource),
        )
        return no_content()

    return endpoint


async def create_backup(request: V2Request) -> Response:
    """Register a backup."""
    row = await backups.create(request.ctx, bodies.backup_draft(await request.body()))
    return created(request, BACKUPS, row)


async def update_backup(request: V2Request) -> Response:
    """Change a backup, and return it."""
    changes = bodies.backup_changes(await request.body())
    version = await conditional.expected_version(request, BACKUPS)
    row = await backups.update(request.ctx, request.item_id, changes, expected_version=version)
    body = orjson.dumps(request.representation(BACKUPS).item.from_item(row))
    tag = conditional.item_tag(row.version, body)
    return Response(body, headers={"ETag": tag}, media_type=JSON)


async def create_job(request: V2Request) -> Response:
    """Create a job."""
    row = await jobs.create(request.ctx, bodies.job_draft(request.ctx, await request.body()))
    return created(request, JOBS, row)


async def replace_job(request: V2Request) -> Response:
    """Replace a job, or create it under its id."""
    draft = bodies.job_draft(request.ctx, await request.body())
    version = await conditional.expected_version(request, JOBS, creates=True)
    row = await jobs.replace(request.ctx, request.item_id, draft, expected_version=version)
    return created(request, JOBS, row, version=row.version)


async def update_job(request: V2Request) -> Response:
    """Change a job."""
    changes = bodies.job_changes(request.ctx, await request.body())
    version = await conditional.expected_version(request, JOBS)
    row = await jobs.update(request.ctx, request.item_id, changes, expected_version=version)
    return updated(JOBS, row)


async def request_event(request: V2Request) -> Response:
    """Ask a job's scheduler to start, stop or abort it."""
    event = bodies.event(await request.body())
    is_new = await jobs.request(request.ctx, request.item_id, event)
    return json_response({"result": "success" if is_new else f"{event} already requested"}, 202)


async def create_action(request: V2Request) -> Response:
    """Create an action."""
    row = await actions.create(request.ctx, bodies.action_draft(request.ctx, await request.body()))
    return created(request, ACTIONS, row)


async def replace_action(request: V2Request) -> Response:
    """Replace an action, or create it under its id."""
    draft = bodies.action_draft(request.ctx, await request.body())
    version = await conditional.expected_version(request, ACTIONS, creates=True)
    row = await actions.replace(request.ctx, request.item_id, draft, expected_version=version)
    return created(request, ACTIONS, row, version=row.version)


async def update_action(request: V2Request) -> Response:
    """Change an action."""
    changes = bodies.action_changes(await request.body())
    version = await conditional.expected_version(request, ACTIONS)
    row = await actions.update(request.ctx, request.item_id, changes, expected_version=version)
    return updated(ACTIONS, row)


async def register_client(request: V2Request) -> Response:
    """Register a client, or update a registered one."""
    row = await clients.create(request.ctx, bodies.client_draft(await request.body()))
    return created(request, CLIENTS, row)


async def create_session(request: V2Request) -> Response:
    """Create a session."""
    row = await sessions.create(request.ctx, bodies.session_draft(await request.body()))
    return created(request, SESSIONS, row)


async def replace_session(request: V2Request) -> Response:
    """Replace a session, or create it under its id."""
    draft = bodies.session_draft(await request.body(), replaces=True)
    version = await conditional.expected_version(request, SESSIONS, creates=True)
    row = await sessions.replace(request.ctx, request.item_id, draft, expected_version=version)
    return created(request, SESSIONS, row, version=row.version)


async def update_session(request: V2Request) -> Response:
    """Change a session."""
    changes = bodies.session_changes(await request.body())
    version = await conditional.expected_version(request, SESSIONS)
    row = await sessions.update(request.ctx, request.item_id, changes, expected_version=version)
    return updated(SESSIONS, row)


async def act_on_session(request: V2Request) -> Response:
    """Start a session for a job, or record the job's result."""
    name, given = bodies.session_action(await request.body())
    if name == "start":
        tag = int(given["current_tag"])
        outcome = await sessions.start(request.ctx, request.item_id, given["job_id"], tag)
    elif name == "end":
        outcome = await sessions.end(request.ctx, request.item_id, given["job_id"], given["result"])
    else:
        raise HTTPException(405, f"Bad Action Method: {shown(name)}", {"Allow": "POST, OPTIONS"})
    return json_response({"result": outcome.result, "session_tag": outcome.session_tag}, 202)


async def add_to_session(request: V2Request) -> Response:
    """Add a job to a session."""
    await sessions.add_job(request.ctx, request.item_id, request.path_id("job_id"))
    return no_content()


async def remove_from_session(request: V2Request) -> Response:
    """Remove a job from a session."""
    await sessions.remove_job(request.ctx, request.item_id, request.path_id("job_id"))
    return no_content()


def created(request: V2Request, resource: Resource, row: Any, **more: object) -> Response:
    """Return the answer to a creation: 201, with the item's address, its ETag and its id.

    The body is left out for callers with `Prefer: return=minimal`.
    """
    headers = {
        "Location": links.item_address(request, resource, row.id),
        "ETag": conditional.version_tag(row.version),
    }
    if request.prefers_minimal:
        applied = {"Preference-Applied": "return=minimal"}
        return Response(status_code=201, headers=headers | applied)
    return json_response({resource.id: row.id, **more}, 201, **headers)


def updated(resource: Resource, row: Any) -> Response:
    """Return the answer to a change: the item's id and its new version."""
    tag = conditional.version_tag(row.version)
    return json_response({resource.id: row.id, "version": row.version}, ETag=tag)

"""Items as documents: reading one, and putting the actions into jobs."""

from collections.abc import Sequence
from typing import Any

import orjson

from gateway.catalogue.tables import INT64
from gateway.query.paging import PageRequest
from gateway.resolvers import job_actions
from gateway.rest_compat.representations import Document, Nested, Resource
from gateway.rest_compat.requests import V2Request


async def read(request: V2Request, resource: Resource) -> tuple[bytes, int] | None:
    """Return the request's item as the caller sees it, in JSON, and its version, or None.

    Raises Forbidden and Unavailable.
    """
    document = request.representation(resource).item
    select = (*document.columns, resource.collection.source.c.version)
    row = await resource.collection.get(request.ctx, request.item_id, select)
    if row is None:
        return None
    items = document.from_rows([row], len(row) - len(select))
    (item,) = await embed_actions(request, document, items)
    return orjson.dumps(item), row[-1]


async def embed_actions(
    request: V2Request, document: Document, items: Sequence[dict[str, Any]]
) -> Sequence[dict[str, Any]]:
    """Put the jobs' actions into their documents, and take out trusts that the caller may not see.

    Returns the documents; those of other resources are left as they are. One statement, whatever
    the number of jobs.
    """
    nested = document.keys.get("job_actions")
    if not isinstance(nested, Nested) or not items:
        return items
    part = nested.document
    page_request = PageRequest(job_actions.COLLECTION.order, first=INT64 // 2)
    keys = [(item["project_id"], item["job_id"]) for item in items]
    # Jobs of another project are there only for those who may read all projects.
    own = all(project == request.ctx.project_id for project, _ in keys)
    collection = job_actions.COLLECTION if own else job_actions.COLLECTION.all_projects
    pages = await collection.pages_by_parent(
        request.ctx, keys, job_actions.OF_JOB, page_request, None, part.columns
    )
    for item, key in zip(items, keys, strict=True):
        item["job_actions"] = part.from_rows(pages[key].rows, len(key))
        trust = item.get("user_credentials")
        if trust and not request.may_see_trust(trust.get("trustor_user_id")):
            del item["user_credentials"]
    return items

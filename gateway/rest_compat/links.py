"""Links: the addresses of lists and items, and of a list's next page."""

from urllib.parse import quote, urlencode

from gateway.query.paging import Page
from gateway.rest_compat.representations import Resource
from gateway.rest_compat.requests import V2Request

MAX_LINK_LENGTH = 8000


def address(request: V2Request, *parts: str) -> str:
    """Return the absolute URL of the path `/v2/` with these parts, percent-encoded."""
    return "/".join([request.base_url, "v2", *(quote(part, safe="") for part in parts)])


def item_address(request: V2Request, resource: Resource, item_id: str) -> str:
    """Return the absolute URL of an item of the request's project."""
    return address(request, request.ctx.project_id, resource.name, item_id)


def next_page(request: V2Request, resource: Resource, page: Page, search: str) -> str | None:
    """Return the URL of the page after this one, or None after the last.

    `search` is the body's search as a parameter. A URL over `MAX_LINK_LENGTH` is None as well.
    """
    if not page.more:
        return None
    query = [(key, value) for key, value in request.pairs if key not in {"marker", "offset"}]
    if search:
        query.append(("search", search))
    if "offset" in request.query:
        query.append(("offset", str(page.next_offset())))
    else:
        sorted_by = {sort.column for sort in page.page_request.order}
        # With its project, where the list may hold two items of one id.
        named = [column for column in resource.collection.key if column in sorted_by]
        last = page.rows[-1]
        query.append(("marker", ":".join(getattr(last, str(column.key)) for column in named)))
    url = f"{address(request, request.ctx.project_id, resource.name)}?{urlencode(query)}"
    # A body may hold a longer search than a URL can; servers refuse very long ones.
    return url if len(url) <= MAX_LINK_LENGTH else None

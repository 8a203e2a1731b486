"""The documents that describe the API: its versions, its resources (json-home), its health."""

import re

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.draining import Draining
from gateway.errors import Unavailable
from gateway.headers import request_headers
from gateway.negotiation import preferred
from gateway.origins import base_url
from gateway.rest_compat.responses import JSON, json_response
from gateway.rest_compat.routes import ROUTES, template
from gateway.settings import Settings

JSON_HOME = "application/json-home"

HEALTHCHECK = "/healthcheck"
READYZ = "/readyz"
VERSIONS = "/"


async def versions(settings: Settings, request: Request) -> Response:
    """Return the versions of the API, which needs no token."""
    version = {
        "id": "v2",
        "status": "CURRENT",
        "updated": "2018-02-21T13:30:00",
        "links": [{"href": f"{base_url(settings, request)}/v2/", "rel": "self"}],
    }
    return json_response({"versions": [version]}, 300)


async def healthcheck(_request: Request) -> Response:
    """Return OK, which needs neither a token nor the database."""
    return PlainTextResponse("OK")


async def readyz(request: Request) -> Response:
    """Return OK as long as requests should be sent here, which needs no token.

    Raises Unavailable until the schema has been found right, and once the gateway has been asked to
    stop.
    """
    draining: Draining = request.app.state.draining
    draining.is_watched = True
    if draining.has_begun:
        raise Unavailable("the gateway is about to stop")
    check_schema = request.app.state.contexts.db.before_first_use
    if check_schema is not None:
        await check_schema()
    return PlainTextResponse("OK")


async def home(request: Request) -> Response:
    """Return the resources (json-home), for any caller with a valid token."""
    await request.app.state.contexts.open(
        request_headers(request.scope), request.scope["path"], method=request.method
    )
    accept = request_headers(request.scope).get("accept", "")
    # Of equals it is json-home, whether or not the header names it.
    media_type = preferred(accept, JSON_HOME, JSON, JSON_HOME)
    return Response(orjson.dumps(HOME), media_type=media_type)


def relation(path: str, *query: str) -> dict[str, object]:
    """Return json-home's description of a path with these parameters."""
    whole = template(path)
    variables = [*re.findall(r"{(\w+)}", whole), *query]
    return {
        "href-template": whole + (f"{{?{','.join(query)}}}" if query else ""),
        "href-vars": {name: f"param/{name}" for name in variables},
        "hints": {
            "allow": [method for route, method, _, _ in ROUTES if route == path],
            "formats": {JSON: {}},
        },
    }


_PAGE = ("offset", "limit", "marker", "search")

HOME = {
    "resources": {
        # freezer-api's name for a single backup, which the tempest plugin insists on.
        "rel/backups": relation("/backups/{id}"),
        "rel/jobs": relation("/jobs", "all_projects", *_PAGE),
        "rel/job": relation("/jobs/{id}"),
        "rel/job_event": relation("/jobs/{id}/event"),
        "rel/actions": relation("/actions", *_PAGE),
        "rel/action": relation("/actions/{id}"),
        "rel/clients": relation("/clients", *_PAGE),
        "rel/client": relation("/clients/{id}"),
        "rel/sessions": relation("/sessions", *_PAGE),
        "rel/session": relation("/sessions/{id}"),
        "rel/session_action": relation("/sessions/{id}/action"),
    }
}

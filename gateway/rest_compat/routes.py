"""REST v2 on one screen: every route, and what each kind of failure is answered with."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import NoReturn

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from gateway import errors
from gateway.context import Context
from gateway.errors import GatewayError, shown
from gateway.resolvers import actions, backups, clients, jobs, sessions
from gateway.rest_compat import handlers
from gateway.rest_compat.documents import ACTIONS, BACKUPS, CLIENTS, JOBS, SESSIONS
from gateway.rest_compat.handlers import Endpoint, deletes, lists, shows
from gateway.rest_compat.requests import BadParameter, Call, accepts, base
from gateway.settings import Settings

ROUTES: tuple[tuple[str, str, str, Endpoint], ...] = (
    # Below /v2/{project_id}: the path, the method, the rule (or rules, one of which must let the
    # caller in), the endpoint.
    ("/backups", "GET", "backups:get_all", lists(BACKUPS)),
    ("/backups", "POST", "backups:create", handlers.create_backup),
    ("/backups/{id}", "GET", "backups:get", shows(BACKUPS)),
    ("/backups/{id}", "PATCH", "backups:update", handlers.update_backup),
    ("/backups/{id}", "DELETE", "backups:delete", deletes(BACKUPS, backups.delete)),
    ("/jobs", "GET", "jobs:get_all", handlers.find_jobs),
    ("/jobs", "POST", "jobs:create", handlers.create_job),
    ("/jobs/{id}", "GET", "jobs:get", shows(JOBS)),
    ("/jobs/{id}", "POST", "jobs:create", handlers.replace_job),
    ("/jobs/{id}", "PATCH", "jobs:update", handlers.update_job),
    ("/jobs/{id}", "DELETE", "jobs:delete", deletes(JOBS, jobs.delete)),
    ("/jobs/{id}/event", "POST", "jobs:event:create", handlers.request_event),
    ("/actions", "GET", "actions:get_all", lists(ACTIONS)),
    ("/actions", "POST", "actions:create", handlers.create_action),
    ("/actions/{id}", "GET", "actions:get", shows(ACTIONS)),
    ("/actions/{id}", "POST", "actions:replace", handlers.replace_action),
    ("/actions/{id}", "PATCH", "actions:update", handlers.update_action),
    ("/actions/{id}", "DELETE", "actions:delete", deletes(ACTIONS, actions.delete)),
    ("/clients", "GET", "clients:get_all", lists(CLIENTS)),
    ("/clients", "POST", "clients:create clients:create_central", handlers.register_client),
    ("/clients/{id}", "GET", "clients:get", shows(CLIENTS)),
    ("/clients/{id}", "DELETE", "clients:delete", deletes(CLIENTS, clients.delete)),
    ("/sessions", "GET", "sessions:get_all", lists(SESSIONS)),
    ("/sessions", "POST", "sessions:create", handlers.create_session),
    ("/sessions/{id}", "GET", "sessions:get", shows(SESSIONS)),
    ("/sessions/{id}", "POST", "sessions:replace", handlers.replace_session),
    ("/sessions/{id}", "PATCH", "sessions:update", handlers.update_session),
    ("/sessions/{id}", "DELETE", "sessions:delete", deletes(SESSIONS, sessions.delete)),
    ("/sessions/{id}/action", "POST", "sessions:action:create", handlers.act_on_session),
    ("/sessions/{id}/jobs/{job_id}", "PUT", "sessions:job:add", handlers.add_to_session),
    ("/sessions/{id}/jobs/{job_id}", "DELETE", "sessions:job:remove", handlers.remove_from_session),
)

FLAGS = (("/jobs", "GET", "all_projects", "jobs:get_all_projects"),)
"""Parameters that ask for another rule as well: the path, the method, the parameter, the rule."""


def template(path: str) -> str:
    """Return a route's whole path, in which every id has the name of its resource."""
    return f"/v2/{{project_id}}{path}".replace("{id}", f"{{{path.split('/')[1][:-1]}_id}}")


def requests_by_rule() -> dict[str, list[str]]:
    """Return the requests that each rule guards, such as `GET /v2/{project_id}/jobs`."""
    found: dict[str, list[str]] = {}
    for path, method, rules, _ in ROUTES:
        for rule in rules.split():
            found.setdefault(rule, []).append(f"{method} {template(path)}")
    for path, method, parameter, rule in FLAGS:
        found.setdefault(rule, []).append(f"{method} {template(path)}?{parameter}=true")
    return found


STATUSES: Mapping[type[Exception], tuple[int, str]] = {
    BadParameter: (400, "Invalid parameter"),
    errors.TooLarge: (413, "Request Entity Too Large"),
    errors.BadInput: (400, "Bad request format"),
    errors.Unauthenticated: (401, "Unauthorized"),
    errors.Forbidden: (403, "Access Forbidden"),
    errors.NotFound: (404, "Not Found"),
    errors.StaleVersion: (412, "Precondition Failed"),
    errors.Conflict: (409, "Document already existing"),
    errors.Unprocessable: (422, "Unprocessable Entity"),
    errors.Unavailable: (503, "Service Unavailable"),
    Exception: (500, "Internal Server Error"),
}

JSON = "application/json"
JSON_HOME = "application/json-home"


def routes(settings: Settings) -> list[BaseRoute]:
    """Return the route of REST, which takes every path, also those that there aren't."""
    served: dict[str, dict[str, Served]] = {}
    for path, method, rule, endpoint in ROUTES:
        methods = served.setdefault(f"/v2/{{project_id}}{path}", {})
        methods[method] = partial(serve, settings, rule.split(), endpoint)
    return [
        Paths(
            Path("/", {"GET": partial(versions, settings)}, JSON),
            Path("/v2", {"GET": home}, JSON_HOME, JSON),
            Path("/healthcheck", {"GET": healthcheck}),
            *(Path(path, methods, JSON) for path, methods in served.items()),
        )
    ]


Served = Callable[[Request], Awaitable[Response]]


async def serve(
    settings: Settings, rules: Sequence[str], endpoint: Endpoint, request: Request
) -> Response:
    """Let a request in and answer it: who may not come is told so before the body is read."""
    ctx = await request.app.state.contexts.open(
        request.headers,
        request.scope["path"],
        request.path_params["project_id"],
        method=request.method,
    )
    _let_in(ctx, rules)
    return await endpoint(Call(request, ctx, settings))


def _let_in(ctx: Context, rules: Sequence[str]) -> None:
    """Raise Forbidden, unless one of the rules lets the caller pass."""
    for rule in rules[:-1]:
        with suppress(errors.Forbidden):
            ctx.authorize(rule)
            return
    ctx.authorize(rules[-1])


async def versions(settings: Settings, request: Request) -> Response:
    """Tell which versions of the API there are."""
    version = {
        "id": "v2",
        "status": "CURRENT",
        "updated": "2018-02-21T13:30:00",
        "links": [{"href": f"{base(settings, request)}/v2/", "rel": "self"}],
    }
    return handlers.answer({"versions": [version]}, 300)


async def healthcheck(_request: Request) -> Response:
    """Tell that the gateway answers."""
    return PlainTextResponse("OK")


async def home(request: Request) -> Response:
    """Tell which resources there are (json-home), to whoever may call at all."""
    await request.app.state.contexts.open(
        request.headers, request.scope["path"], method=request.method
    )
    return Response(orjson.dumps(HOME), media_type=JSON_HOME)


def relation(path: str, *query: str) -> dict[str, object]:
    """Describe one path as json-home does."""
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


class Path:
    """A path and its methods. Names and ids take turns in it, and an id has braces."""

    def __init__(self, path: str, served: Mapping[str, Served], *media_types: str) -> None:
        """Serve each method by its function; `media_types` are what it answers, none: any."""
        self.parts = parts_of(path)
        self.ids = [part.strip("{}") for part in self.parts[1::2]]
        self.served = served
        self.media_types = media_types
        names = {*served, "HEAD"} if "GET" in served else {*served}
        self.allow = ", ".join([*sorted(names), "OPTIONS"])

    async def answer(self, request: Request) -> Response:
        """Answer by the method. Raises HTTPException for a method or media type there isn't."""
        method = "GET" if request.method == "HEAD" else request.method
        if method == "OPTIONS":
            return Response(headers={"Allow": self.allow})
        if method not in self.served:
            reason = f"{shown(request.method)} is none of the methods here: {self.allow}"
            raise HTTPException(405, reason, {"Allow": self.allow})
        accept = ", ".join(request.headers.getlist("accept"))
        if self.media_types and not accepts(accept, *self.media_types):
            raise HTTPException(406, f"the answer is JSON, which is not in {shown(accept)}")
        return await self.served[method](request)


class Paths(BaseRoute):
    """All the paths as one route: the names in an address lead to its path at once.

    Doubled slashes and one at the end make no difference.
    """

    def __init__(self, *paths: Path) -> None:
        self.paths = {(len(path.parts), *path.parts[::2]): path for path in paths}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Take every request, whatever its address."""
        return (Match.FULL if scope["type"] == "http" else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at the address. Raises HTTPException where there is nothing."""
        parts = parts_of(scope["path"])
        path = self.paths.get((len(parts), *parts[::2]))
        request = Request(scope, receive)
        if path is None:
            await nothing(request)
        else:
            scope["path_params"] = dict(zip(path.ids, parts[1::2], strict=True))
            response = await path.answer(request)
            await response(scope, receive, send)


def parts_of(path: str) -> list[str]:
    """Return what is between the slashes of a path."""
    return [part for part in path.split("/") if part]


async def nothing(request: Request) -> NoReturn:
    """Raise HTTPException, to those who may call at all."""
    await request.app.state.contexts.open(
        request.headers, request.scope["path"], method=request.method
    )
    raise HTTPException(404, f"there is nothing at {shown(request.scope['path'])}")


def render(error: Exception) -> Response:
    """Write an error as v2 does: {"title", "description"}; an unexpected one keeps its secrets."""
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException):
        status, title = error.status_code, HTTPStatus(error.status_code).phrase
        description = error.detail
        headers |= error.headers or {}
    else:
        status, title = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
        description = "An unexpected error occurred on the server."
    if isinstance(error, GatewayError):
        description = error.message
    if isinstance(error, errors.Unavailable):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.Unauthenticated) and error.uri:
        headers["WWW-Authenticate"] = f'Keystone uri="{error.uri}"'
    document = {"title": title, "description": description}
    return handlers.answer(document, status, **headers)

"""Routing: from a request's path and method to its endpoint, once the policy lets it pass."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NoReturn

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from gateway.context import Context
from gateway.errors import Forbidden, shown
from gateway.headers import request_headers
from gateway.negotiation import accepts
from gateway.rates import costs
from gateway.rates.buckets import SCOPE
from gateway.rest_compat import home
from gateway.rest_compat.handlers import Endpoint
from gateway.rest_compat.requests import V2Request
from gateway.rest_compat.responses import JSON
from gateway.rest_compat.routes import ROUTES, template
from gateway.settings import Settings

READS = frozenset({"GET", "HEAD"})
Served = Callable[[Request], Awaitable[Response]]


def routes(settings: Settings) -> list[BaseRoute]:
    """Return REST's routes: the first takes what is below /v2, the second every path.

    They answer 404 for unknown ones.
    """
    served: dict[str, dict[str, Served]] = {}
    for path, method, rules, endpoint in ROUTES:
        methods = served.setdefault(path, {})
        methods[method] = partial(serve, settings, rules.split(), endpoint)
    paths = (
        Path(home.VERSIONS, {"GET": partial(home.versions, settings)}, JSON),
        Path("/v2", {"GET": home.home}, home.JSON_HOME, JSON),
        Path(home.HEALTHCHECK, {"GET": home.healthcheck}),
        Path(home.READYZ, {"GET": home.readyz}),
        *(
            Path(f"/v2/{{project_id}}{path}", methods, JSON, template=template(path))
            for path, methods in served.items()
        ),
    )
    return [Router(*paths, below="/v2/"), Router(*paths)]


async def serve(
    settings: Settings, rules: Sequence[str], endpoint: Endpoint, request: Request
) -> Response:
    """Authorize a request, before its body is read, and return its endpoint's answer.

    Raises GatewayError and HTTPException.
    """
    ctx = await request.app.state.contexts.open(
        request_headers(request.scope),
        request.scope["path"],
        request.path_params["project_id"],
        method=request.method,
    )
    request.scope[SCOPE] = ctx.account
    _authorize(ctx, rules)
    if request.method not in READS:
        # Never refused: freezer-scheduler doesn't send again what it has to say of a run.
        await ctx.charge(costs.WRITE, refusable=False)
    v2 = V2Request(request, ctx, settings)
    if request.method == "POST":
        ctx.take_key(v2.headers)
        if ctx.has_key:
            async with ctx.once(parts_of(request.scope["path"]), await v2.body()):
                return await endpoint(v2)
    return await endpoint(v2)


def _authorize(ctx: Context, rules: Sequence[str]) -> None:
    """Raise Forbidden, unless one of the rules lets the caller pass."""
    for rule in rules[:-1]:
        with suppress(Forbidden):
            ctx.authorize(rule)
            return
    ctx.authorize(rules[-1])


class Path:
    """A path and its methods. Names and ids alternate in it, and an id has braces."""

    def __init__(
        self, path: str, served: Mapping[str, Served], *media_types: str, template: str = ""
    ) -> None:
        """Serve each method by its function; without `media_types`, whatever `Accept` says.

        `template` is the path for telemetry, if it isn't the same.
        """
        self.parts = parts_of(path)
        self.ids = [part.strip("{}") for part in self.parts[1::2]]
        self.path = template or path
        self.served = served
        self.media_types = media_types
        names = {*served, "HEAD"} if "GET" in served else {*served}
        self.allow = ", ".join([*sorted(names), "OPTIONS"])

    async def answer(self, request: Request) -> Response:
        """Return the answer of the request's method.

        Raises HTTPException for a method or media type that the path doesn't have.
        """
        method = "GET" if request.method == "HEAD" else request.method
        if method == "OPTIONS":
            return Response(headers={"Allow": self.allow})
        if method not in self.served:
            reason = f"{shown(request.method)} is none of the methods here: {self.allow}"
            raise HTTPException(405, reason, {"Allow": self.allow})
        accept = request_headers(request.scope).get("accept", "")
        if self.media_types and not accepts(accept, *self.media_types):
            raise HTTPException(406, f"the answer is JSON, which is not in {shown(accept)}")
        return await self.served[method](request)


class Router(BaseRoute):
    """All paths as one route: the names in an address lead to its path at once.

    Doubled slashes and one at the end make no difference.
    """

    def __init__(self, *paths: Path, below: str = "") -> None:
        """Take the paths, and how an address begins that this route is for."""
        self.below = below
        self.paths = {(len(path.parts), *path.parts[::2]): path for path in paths}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match every HTTP request to an address that begins so, whatever its rest."""
        is_below = scope["type"] == "http" and scope["path"].startswith(self.below)
        return (Match.FULL if is_below else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Raises HTTPException for an unknown address."""
        parts = parts_of(scope["path"])
        path = self.paths.get((len(parts), *parts[::2]))
        request = Request(scope, receive)
        if path is None:
            await not_found(request)
        else:
            # As Starlette does for its own routes; telemetry reads its `path`.
            scope["route"] = path
            scope["path_params"] = dict(zip(path.ids, parts[1::2], strict=True))
            response = await path.answer(request)
            await response(scope, receive, send)


def parts_of(path: str) -> list[str]:
    """Return the parts of a path between its slashes."""
    return [part for part in path.split("/") if part]


async def not_found(request: Request) -> NoReturn:
    """Raise HTTPException for an unknown address, or Unauthenticated for an unknown caller."""
    await request.app.state.contexts.open(
        request_headers(request.scope), request.scope["path"], method=request.method
    )
    raise HTTPException(404, f"there is nothing at {shown(request.scope['path'])}")

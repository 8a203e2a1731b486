"""GraphQL over HTTP: a request in, an operation, an answer out."""

from functools import lru_cache
from typing import Any, cast

import orjson
from cross_web.request._base import HTTPMethod
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from gateway.catalogue import json_values, projections
from gateway.context import Context, Contexts
from gateway.errors import BadInput, Code, GatewayError, Unavailable, shown
from gateway.http_errors import headers_of, status_of
from gateway.negotiation import weight_of, weights
from gateway.schema import errors
from gateway.schema.execution.operations import Plans
from gateway.schema.root import Schema
from gateway.settings import Settings

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"

_UNAVAILABLE = Unavailable("a dependency doesn't answer")
"""The error whose status and headers an operation has that found nothing but outages."""


class GraphQLApp:
    """The endpoint: an ASGI application for one address."""

    def __init__(self, schema: Schema, settings: Settings) -> None:
        self.schema = schema
        self.plans = Plans(schema, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """Run the request's operation in the caller's context."""
        if request.method not in {"GET", "POST"}:
            return _refusal(request, 405, f"{request.method} is not a method of GraphQL over HTTP")
        media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if request.method == "POST" and media_type != JSON:
            # Also what keeps web pages of other sites from sending mutations.
            return _refusal(request, 415, f"the body must be {JSON}, not {shown(media_type)}")
        contexts: Contexts = request.app.state.contexts
        try:
            ctx = await contexts.open(request.headers, request.scope["path"], method=request.method)
            return await self._run(request, ctx, *await _operation(request))
        except GatewayError as error:
            return _failure(request, error)

    async def _run(
        self,
        request: Request,
        ctx: Context,
        query: str,
        variables: dict[str, Any],
        name: str | None,
    ) -> Response:
        data = await self.plans.run(ctx, query, name, variables)
        if data is not None:
            return _respond(request, 200, {"data": data})
        method = cast("HTTPMethod", request.method)
        try:
            result = await self.schema.execute(
                query,
                variables,
                context_value=ctx,
                operation_name=name,
                allowed_operation_types=OperationType.from_http(method),
            )
        except (CannotGetOperationTypeError, MissingQueryError):
            if name is None:
                raise BadInput("'query' has no operation", field="query") from None
            raise BadInput(f"no operation is named {shown(name)}", field="operationName") from None
        except InvalidOperationTypeError:
            return _refusal(request, 405, "GET runs queries only: send mutations by POST")
        if result.errors:
            await ctx.settle()
        else:
            self.plans.admit(query, name)
        return _result(request, result)


async def _operation(request: Request) -> tuple[str, dict[str, Any], str | None]:
    """The request's document, variables and operation name. Raises BadInput."""
    if request.method == "GET":
        given: Any = dict(request.query_params)
        if "variables" in given:
            given["variables"] = json_values.parse(given["variables"] or "null", what="'variables'")
    else:
        given = json_values.parse(await request.body())
    if not isinstance(given, dict):
        raise BadInput("the body must be one GraphQL request, an object")
    query = given.get("query")
    if not isinstance(query, str) or not query.strip():
        raise BadInput(f"'query' must be a GraphQL document, not {shown(query)}", field="query")
    name = given.get("operationName") or None
    if name is not None:
        projections.string("operationName", name)
    variables = given.get("variables")
    return query, {} if variables is None else projections.mapping("variables", variables), name


def _result(request: Request, result: ExecutionResult | PreExecutionError) -> Response:
    body: dict[str, Any] = {}
    status, headers = 200, None
    if result.errors:
        body["errors"] = [error.formatted for error in result.errors]
        codes = {(error.extensions or {}).get("code") for error in result.errors}
        if isinstance(result, PreExecutionError):
            media_type = _media_type(request.headers.get("accept", ""))
            status = 400 if media_type == GRAPHQL_JSON else 200
        if not any((result.data or {}).values()) and Code.UNAVAILABLE in codes:
            status, headers = status_of(_UNAVAILABLE), headers_of(_UNAVAILABLE)
    if not isinstance(result, PreExecutionError):
        body["data"] = result.data
    return _respond(request, status, body, headers)


def _failure(request: Request, error: GatewayError) -> Response:
    shown_error = GraphQLError(error.message, original_error=error)
    errors.show(shown_error)
    body = {"errors": [shown_error.formatted]}
    return _respond(request, status_of(error), body, headers_of(error))


def _refusal(request: Request, status: int, message: str) -> Response:
    error = GraphQLError(message, original_error=BadInput(message))
    errors.show(error)
    headers = {"Allow": "GET, POST"} if status == 405 else None  # noqa: PLR2004 - HTTP's number
    return _respond(request, status, {"errors": [error.formatted]}, headers)


def _respond(
    request: Request, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> Response:
    media_type = f"{_media_type(request.headers.get('accept', ''))}; charset=utf-8"
    return Response(orjson.dumps(body), status, headers, media_type=media_type)


@lru_cache(maxsize=256)
def _media_type(accept: str) -> str:
    """Return the newer media type if the header names and prefers it, else plain JSON."""
    ranges = weights(accept)
    weight = ranges.get(GRAPHQL_JSON, 0.0)
    return GRAPHQL_JSON if 0 < weight >= weight_of(JSON, ranges) else JSON

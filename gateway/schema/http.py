"""GraphQL over HTTP: from a request to an operation, and from its result to a response."""

from asyncio import CancelledError
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import structlog
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import deadlines
from gateway.catalogue import checks, json_values
from gateway.context import Context, Contexts
from gateway.errors import (
    BadInput,
    Code,
    DeadlineExceeded,
    GatewayError,
    RateLimited,
    Unavailable,
    UnknownHash,
    shown,
)
from gateway.headers import request_headers
from gateway.http_errors import headers_of, status_of
from gateway.kept.answers import Answers
from gateway.kept.questions import BYPASS, MAX_ASKED, Question
from gateway.negotiation import preferred
from gateway.rates.buckets import SCOPE
from gateway.schema import errors
from gateway.schema.event_streams import EVENT_STREAM, OneResult, opened, takes_stream
from gateway.schema.execution.documents import MethodNotAllowed, OperationError
from gateway.schema.execution.operations import Executor, Result
from gateway.schema.json_size import JSONSize
from gateway.schema.root import Schema
from gateway.schema.streams import TAKER, Taker
from gateway.schema.trusted_documents import TrustedDocuments
from gateway.settings import Settings

log = structlog.get_logger(__name__)

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
EXPLAIN = "x-graphql-explain"
"""The header that asks for the plan, where the settings let it."""
COST = "x-graphql-cost"
"""The header that asks for the cost, likewise."""

_READING = frozenset({"GET", "HEAD"})
"""The methods that run queries only."""
_ALLOW = {"Allow": "GET, HEAD, POST, OPTIONS"}

_EMPTY = (
    Unavailable("a dependency doesn't answer"),
    DeadlineExceeded("an operation took longer than it may"),
)
"""The errors whose status and headers an operation has that found nothing because of them."""


class GraphQLApp:
    """The endpoint: an ASGI application for one address."""

    def __init__(self, schema: Schema, settings: Settings, own: Iterable[str] = ()) -> None:
        """Take the schema, and documents of the gateway's own pages."""
        self.schema = schema
        self.documents = TrustedDocuments(schema.core, settings, own)
        self.executor = Executor(schema, settings)
        self.explains = settings.graphql_explain
        self.tells_cost = settings.graphql_cost
        self.max_cost = settings.graphql_max_cost
        self.json_size = JSONSize(settings)
        self.max_variables = settings.graphql_max_variables_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> ASGIApp:
        """Return the answer to the request's operation, executed in the caller's context."""
        headers = request_headers(request.scope)
        if (refusal := _refused(request, headers)) is not None:
            return refusal
        is_reading = request.method in _READING
        contexts: Contexts = request.app.state.contexts
        ctx: Context | None = None
        try:
            ctx = await contexts.open(headers, request.scope["path"], method=request.method)
            request.scope[SCOPE] = ctx.account
            ctx.take_key(headers)
            came_in = request.scope["query_string"] if is_reading else await request.body()
            return await self._answered(request, ctx, came_in)
        except GatewayError as error:
            cost = error.cost if isinstance(error, RateLimited) else None
            return _failure(request, error, self._cost(headers, ctx, cost))
        except CancelledError:
            if (reason := deadlines.reason()) is None:
                raise
            return _failure(request, reason, self._cost(headers, ctx, None))
        except MethodNotAllowed:
            return _refusal(
                request, 405, f"{request.method} runs queries only: send mutations by POST"
            )

    async def _answered(self, request: Request, ctx: Context, came_in: bytes) -> ASGIApp:
        """Return the answer that is kept, or execute the operation, whose answer may be kept.

        Raises GatewayError and MethodNotAllowed.
        """
        question = self._question(request, ctx, came_in)
        if question is not None and (kept := await question.answered()) is not None:
            return kept
        headers = request_headers(request.scope)
        given, variables, name = _operation(request, came_in, self.json_size)
        text = self.documents.text_of(ctx, given)
        if len(came_in) > self.max_variables:
            _check_size(variables, self.max_variables)
        if EVENT_STREAM in headers.get("accept", "") or TAKER in request.scope:
            stream = await self._stream(request, ctx, text, variables, name)
            if stream is not None:
                return stream
        is_reading = request.method in _READING
        result = await self.executor.execute(
            ctx, text, variables, name, queries_only=is_reading, question=question
        )
        extensions: dict[str, Any] = {}
        if self.explains and result.is_executed and EXPLAIN in headers:
            extensions |= await self._extensions(ctx, text, variables, name)
        extensions |= self._cost(headers, ctx, result.cost)
        response = _result(request, result, extensions)
        if question is not None and result.lasts is not None:
            if result.lasts:
                return question.keep(response)
            response.raw_headers.append(BYPASS)
        return response

    def _question(self, request: Request, ctx: Context, came_in: bytes) -> Question | None:
        """Return what the request may be answered by from memory; None: it always is executed.

        What was asked are the bytes that came in: so a hit needs to read nothing of them. Raises
        BadInput for a malformed `If-None-Match`.
        """
        answers: Answers = request.app.state.kept
        headers = request_headers(request.scope)
        if not answers.is_on or len(came_in) > MAX_ASKED:
            return None
        if EVENT_STREAM in headers.get("accept", ""):
            return None
        if (self.explains and EXPLAIN in headers) or (self.tells_cost and COST in headers):
            return None
        asked = ("GraphQL", request.method in _READING, _media_type(request), came_in)
        return Question(answers, ctx, asked, headers.get("if-none-match"))

    async def _stream(
        self,
        request: Request,
        ctx: Context,
        text: str,
        variables: Mapping[str, Any],
        name: str | None,
    ) -> ASGIApp | None:
        """Return the stream that answers a request, or what its taker says; None: JSON answers it.

        Raises as `Executor.execute` does, and what the first message of a stream does.
        """
        headers = request_headers(request.scope)
        taker: Taker | None = request.scope.get(TAKER)
        if taker is None and not takes_stream(headers):
            return None
        if "subscription" in text:
            subscribed = self.executor.subscribed(ctx, text, variables, name)
            if subscribed is not None:
                if taker is not None:
                    return await taker.take(ctx, subscribed)
                return await opened(request, ctx, subscribed)
        if _takes_json(headers):
            return None
        result = await self.executor.execute(
            ctx, text, variables, name, queries_only=request.method in _READING
        )
        return OneResult(_body(result))

    def _cost(
        self, headers: Mapping[str, str], ctx: Context | None, requested: int | None
    ) -> dict[str, Any]:
        """Return the operation's cost, and what the caller has left where there are rate limits.

        Nothing, unless the request asks for it, the settings let it, and it is known.
        """
        if not self.tells_cost or COST not in headers or ctx is None or requested is None:
            return {}
        cost = {"requested": requested, "maximum": None, "available": None, "restoreRate": None}
        if ctx.account is not None:
            bucket, available = ctx.account.tightest()
            cost |= {"maximum": self.max_cost, "available": int(available)}
            cost |= {"restoreRate": bucket.rate}
        return {"cost": cost}

    async def _extensions(
        self, ctx: Context, text: str, variables: Mapping[str, Any], name: str | None
    ) -> dict[str, Any]:
        """Return the operation's plan, for those who may see it."""
        if "admin" not in ctx.identity.roles:
            return {}
        try:
            return {"plan": await self.executor.explain(ctx, text, variables, name)}
        except (OperationError, GatewayError):  # which the answer's errors say
            return {}
        except Exception:  # the operation has been executed: its answer must be given
            log.exception("plan not explained")
            return {}


def _refused(request: Request, headers: Mapping[str, str]) -> Response | None:
    """Return the answer to OPTIONS, or to a wrong method or media type, else None."""
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=_ALLOW)
    is_reading = request.method in _READING
    if not is_reading and request.method != "POST":
        return _refusal(request, 405, f"{request.method} is not a method of GraphQL over HTTP")
    if not _takes_json(headers) and not takes_stream(headers):
        accept = headers.get("accept", "")
        message = f"the answer is {JSON} or {GRAPHQL_JSON}, none of which is in {shown(accept)}"
        return _refusal(request, 406, message)
    media_type = headers.get("content-type", "").split(";")[0].strip().lower()
    if not is_reading and media_type != JSON:
        # Also what keeps web pages of other sites from sending mutations.
        return _refusal(request, 415, f"the body must be {JSON}, not {shown(media_type)}")
    return None


def _takes_json(headers: Mapping[str, str]) -> bool:
    return preferred(headers.get("accept", ""), JSON, GRAPHQL_JSON) is not None


def _body(result: Result) -> dict[str, Any]:
    """Return a result as JSON has it."""
    if not result.errors:
        return {"data": result.data}
    body: dict[str, Any] = {"errors": [error.formatted for error in result.errors]}
    if result.is_executed:
        body["data"] = result.data
    return body


def _operation(
    request: Request, came_in: bytes, size: JSONSize
) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """Return the request's parameters, variables and operation name. Raises BadInput."""
    if request.method in _READING:
        given: Any = dict(request.query_params)
        for key in given.keys() & {"variables", "extensions"}:
            size.check(given[key].encode())
            given[key] = json_values.parse(given[key] or "null", what=f"'{key}'")
        # As in a form, nothing is sent for what is absent.
        given["operationName"] = given.get("operationName") or None
    else:
        size.check(came_in)
        given = json_values.parse(came_in)
    if not isinstance(given, dict):
        raise BadInput("the body must be one GraphQL request, an object")
    name = given.get("operationName")
    if name is not None:
        checks.string("operationName", name)
    variables, extensions = given.get("variables"), given.get("extensions")
    if extensions is not None:
        checks.mapping("extensions", extensions)
    return given, {} if variables is None else checks.mapping("variables", variables), name or None


def _check_size(variables: Mapping[str, Any], most: int) -> None:
    length = len(orjson.dumps(variables))
    if length > most:
        message = f"'variables' has {length} bytes, the limit is {most}"
        raise BadInput(message, field="variables")


def _result(request: Request, result: Result, extensions: Mapping[str, Any]) -> Response:
    shown = {"extensions": extensions} if extensions else {}
    if not result.errors:
        return _respond(request, 200, {"data": result.data, **shown})
    body = _body(result) | shown
    status, headers = 200, None
    if not result.is_executed and _media_type(request) == GRAPHQL_JSON:
        status = 400
    codes = {(error.extensions or {}).get("code") for error in result.errors}
    # What was changed must not be tried again.
    found_nothing = Code.NOT_READ_BACK not in codes and not any((result.data or {}).values())
    causes = {error.original_error for error in result.errors}
    told = {cause.code: cause for cause in causes if isinstance(cause, GatewayError)}
    for failure in _EMPTY if found_nothing else ():
        if failure.code in codes:
            cause = told.get(failure.code, failure)
            status, headers = status_of(cause), headers_of(cause)
    return _respond(request, status, body, headers)


def _failure(request: Request, error: GatewayError, extensions: Mapping[str, Any]) -> Response:
    shown_error = GraphQLError(error.message, original_error=error)
    errors.show(shown_error)
    body: dict[str, Any] = {"errors": [shown_error.formatted]}
    if extensions:
        body["extensions"] = extensions
    # A client that asks for JSON as such expects to be told to send the document by a 200.
    is_asked_for = isinstance(error, UnknownHash) and _media_type(request) == JSON
    return _respond(request, 200 if is_asked_for else status_of(error), body, headers_of(error))


def _refusal(request: Request, status: int, message: str) -> Response:
    error = GraphQLError(message, original_error=BadInput(message))
    errors.show(error)
    headers = _ALLOW if status == 405 else None  # noqa: PLR2004 - HTTP's number
    return _respond(request, status, {"errors": [error.formatted]}, headers)


def _respond(
    request: Request, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> Response:
    media_type = f"{_media_type(request)}; charset=utf-8"
    return Response(orjson.dumps(body), status, headers, media_type=media_type)


def _media_type(request: Request) -> str:
    # What can't be answered as the caller asked is said in plain JSON.
    return preferred(request_headers(request.scope).get("accept", ""), JSON, GRAPHQL_JSON) or JSON

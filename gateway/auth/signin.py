"""Signing in from GraphiQL: exchanges a password or a token for a Keystone token.

``POST /graphql/token`` takes one of these, as JSON:

- ``user`` and ``password``; perhaps ``domain``, ``project`` (a name or an id) and
  ``projectDomain``. Without a project it is the only one, or the user's default one, or none.
- ``applicationCredentialId`` and ``applicationCredentialSecret``, which belong to one project.
- with a token in ``X-Auth-Token``: ``project`` (an id), to rescope the token to it; or nothing, to
  get the token's description.

The answer holds the ``token``, its expiry, user, project and roles; the ``projects`` it can be
rescoped to; and the ``root``, the token to send for that, since Keystone may refuse to rescope a
scoped one. ``DELETE /graphql/token`` revokes the token in ``X-Auth-Token``.

Keystone limits the number of attempts. Browsers may send this from the gateway's own pages only,
whatever ``cors_origins`` lets call the API.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from gateway.auth.identity import Headers
from gateway.auth.identity_api import IdentityApi
from gateway.auth.tokens import Token, TokenClient
from gateway.catalogue import json_values
from gateway.errors import BadInput, Forbidden, Unauthenticated, shown
from gateway.origins import own_origins
from gateway.settings import Settings

PATH = "/graphql/token"

_CREDENTIAL = ("applicationCredentialId", "applicationCredentialSecret")
_PASSWORD = ("user", "password")
_PASSWORD_MORE = ("domain", "project", "projectDomain")
_DEFAULT_DOMAIN = "Default"

_METHODS = ("DELETE", "POST", "OPTIONS")
_ALLOW = ", ".join(_METHODS)
_NO_STORE = {"Cache-Control": "no-store"}


def routes(settings: Settings, forget: Callable[[Headers], None]) -> list[BaseRoute]:
    """Return the routes to sign in and out; `forget` is called with a revoked token's headers.

    The endpoint raises GatewayError, and HTTPException for another method or media type.
    """
    endpoint = TokenEndpoint(settings, forget)
    return [Route(PATH, endpoint), Route(f"{PATH}/", endpoint)]


class TokenEndpoint:
    """The ASGI application at `PATH`."""

    def __init__(self, settings: Settings, forget: Callable[[Headers], None]) -> None:
        self._api = IdentityApi(settings, "signin")
        self._forget = forget
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """Sign a user in (POST) or out (DELETE)."""
        if request.method not in _METHODS:
            reason = f"{shown(request.method)} is none of the methods here: {_ALLOW}"
            raise HTTPException(405, reason, {"Allow": _ALLOW})
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": _ALLOW})
        self._refuse_foreign(request)
        token = (request.headers.get("x-auth-token") or "").strip()
        if not (token.isascii() and token.isprintable()):
            raise Unauthenticated("the token is not valid")
        address = request.client.host if request.client else None
        keystone = TokenClient(self._api.session, self._settings.keystone_auth_url, address)
        if request.method == "DELETE":
            if not token:
                raise Unauthenticated("a token in X-Auth-Token is required")
            await self._api.ask(keystone.revoke, token)
            self._forget(request.headers)
            return Response(status_code=204, headers=_NO_STORE)
        media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if media_type != "application/json":
            raise HTTPException(415, f"the body must be application/json, not {shown(media_type)}")
        given = json_values.parse(await request.body())
        signed_in = await self._api.ask(sign_in, keystone, check_request(given, token), token)
        return JSONResponse(signed_in, headers=_NO_STORE)

    def _refuse_foreign(self, request: Request) -> None:
        """Raise Forbidden for a request of a foreign page; programs send no `Origin`."""
        origin = request.headers.get("origin")
        own = own_origins(self._settings, request)
        if origin is not None and origin not in own:
            raise Forbidden(f"the origin {shown(origin)} is not the gateway's own, {shown(own[0])}")


def check_request(given: Any, token: str) -> Mapping[str, str]:
    """Return the body, if it is one of those above. Raises BadInput, which quotes no secret."""
    if not isinstance(given, dict):
        raise BadInput("the body must be an object")
    required: Sequence[str] = _PASSWORD
    more: Sequence[str] = _PASSWORD_MORE
    if token:
        required, more = (), ("project",)
    elif any(key in given for key in _CREDENTIAL):
        required, more = _CREDENTIAL, ()
    for key in required:
        if key not in given:
            raise BadInput(f"'{key}' is a required property", field=key)
    for key, value in given.items():
        if key not in {*required, *more}:
            raise BadInput(f"additional properties are not allowed ({shown(key)})", field=key)
        if not isinstance(value, str) or not value:
            raise BadInput(f"'{key}' must be a string with something in it", field=key)
    return given


def sign_in(keystone: TokenClient, given: Mapping[str, str], token_id: str) -> dict[str, Any]:
    """Get a token from Keystone, and return the answer's document. Blocks.

    Raises Unauthenticated, Forbidden for the project, BadInput and Unavailable.
    """
    if token_id:
        root = keystone.describe(token_id)
    elif _CREDENTIAL[0] in given:
        root = keystone.by_credential(*(given[key] for key in _CREDENTIAL))
    else:
        # In two steps: when asked for a scoped token at once, Keystone answers the same to an
        # unknown project and to a wrong password.
        domain = given.get("domain", _DEFAULT_DOMAIN)
        root = keystone.by_password(given["user"], domain, given["password"])
    projects = keystone.projects(root)
    wanted = _wanted(keystone, given, root, [project["id"] for project in projects])
    token = keystone.rescope(root, wanted) if wanted else root
    project = token.body.get("project")
    return {
        "token": token.id,
        "root": root.id,
        "expiresAt": token.body["expires_at"],
        "user": _named(token.body["user"]),
        "project": project and _named(project),
        "roles": sorted(role["name"] for role in token.body.get("roles", ())),
        "projects": projects,
    }


def _wanted(
    keystone: TokenClient, given: Mapping[str, str], root: Token, ids: Sequence[str]
) -> Mapping[str, Any] | None:
    """Return Keystone's description of the project to rescope to; None: keep the token."""
    wanted = given.get("project")
    if wanted and wanted == root.project_id:
        return None
    if wanted in ids:
        return {"id": wanted}
    if wanted and "user" not in given:
        raise Forbidden(f"the token can't be changed for {shown(wanted)}", field="project")
    if wanted:
        domain = given.get("projectDomain") or given.get("domain", _DEFAULT_DOMAIN)
        return {"name": wanted, "domain": {"name": domain}}
    if root.project_id or not ids:
        return None
    usual = ids[0] if len(ids) == 1 else keystone.default_project(root)
    return {"id": usual} if usual in ids else None


def _named(item: Mapping[str, Any]) -> dict[str, str]:
    return {"id": item["id"], "name": item["name"], "domain": item["domain"]["name"]}

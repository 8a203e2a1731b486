"""GraphiQL: one page with the gateway's facts filled in, and its hashed files.

The page and its files are built by ``build.py`` from the sources beside this module. The page's
address must end in ``graphql``, with no slash after it and any prefix before it: its links are
relative to that.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

from gateway.headers import request_headers
from gateway.negotiation import preferred, weights

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["DOCUMENTS", "Config", "Playground", "Project", "routes", "wants_page"]

DIST: Final = Path(__file__).resolve().parent / "dist"
"""The folder of the built page, in a checkout and in a wheel alike."""

DOCUMENTS: Final = ("{ viewer { roles } }",)
"""The page asks these by itself: the gateway takes them, whatever it takes of others."""

_PAGE_RULES: Final = (
    "default-src 'self'",
    # Monaco, the editor, sets its colours and sizes from scripts.
    "style-src 'self' 'unsafe-inline'",
    "worker-src 'self'",
    # GraphiQL's style sheet carries its fonts and some of its icons.
    "font-src 'self' data:",
    "img-src 'self' data:",
    "connect-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)

PAGE_POLICY: Final = "; ".join(_PAGE_RULES)
"""The page's Content-Security-Policy: no script but our files, no network but our origin."""

ASSET_POLICY: Final = "default-src 'self'; frame-ancestors 'none'"
"""The files' Content-Security-Policy. A worker obeys the one that its own file came with."""

_API_TYPES: Final = ("application/json", "application/graphql-response+json")
_PAGE_TYPE: Final = "text/html"

_SAFE: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".woff2": "font/woff2",
}
"""The files of a build. Not ``mimetypes``, which reads tables that differ between machines."""

_ENCODINGS: Final = {"br": ".br", "gzip": ".gz", "identity": ""}
"""Content codings, the smallest first, and the suffix of the file that holds each."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")

_MISSING: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<h1>{title}</h1>
<p>GraphiQL is not built yet. In the gateway's checkout, run</p>
<pre>make playground</pre>
<p>and reload this page; <code>make serve</code> does it by itself, and an installed wheel always
contains GraphiQL.</p>
<p>The API works without it: send POST requests to this address.</p>
</html>
"""


@dataclass(frozen=True, slots=True)
class Project:
    """A project that the page's switcher offers."""

    id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """The gateway's facts in the page, all of them public: anyone who opens it can read them."""

    name: str
    """The gateway's name, for the title."""
    version: str
    """Its version, for the title."""
    auth: Literal["none", "keystone"]
    """The gateway's authentication; with Keystone the page has a form to sign in."""
    default_project: str | None = None
    """The project that the page starts with; None: none until the user names one."""
    projects: Sequence[Project] = ()
    """Known projects. Leave it empty with Keystone: the page is served before the sign-in."""

    @property
    def title(self) -> str:
        """The page's title."""
        return f"{self.name} {self.version}"

    def json(self) -> str:
        """Return the object that ``src/config.js`` reads."""
        return json.dumps(
            {
                "name": self.name,
                "version": self.version,
                "auth": self.auth,
                "defaultProject": self.default_project,
                "projects": [{"id": project.id, "name": project.name} for project in self.projects],
            }
        )


class Playground:
    """GraphiQL as built into a folder; a later build is served at once."""

    def __init__(self, dist: Path = DIST) -> None:
        """Serve the build in ``dist``, which need not exist yet."""
        self._dist = dist

    def page(self, config: Config) -> Response:
        """Return the page, or 503 with the command to run if it was never built."""
        headers = {**_SAFE, "Cache-Control": "private, no-cache"}
        title = html.escape(config.title)
        try:
            template = (self._dist / "index.html").read_text(encoding="utf-8")
        except FileNotFoundError:
            headers["Content-Security-Policy"] = (
                "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
            )
            return HTMLResponse(_MISSING.format(title=title), status_code=503, headers=headers)
        headers["Content-Security-Policy"] = PAGE_POLICY
        filling = {"title": title, "config": html.escape(config.json())}
        # In one pass, so that a name with braces in it stays what it is.
        return HTMLResponse(
            re.sub(r"\{\{ (title|config) \}\}", lambda place: filling[place[1]], template),
            headers=headers,
        )

    async def asset(self, request: Request) -> Response:
        """Return the file of the path parameter ``name``, in the client's preferred coding."""
        name = request.path_params["name"]
        file = self._dist / "assets" / name
        # The pattern has no slash in it and no leading dot, so `file` is in the folder.
        if not _NAME.fullmatch(name) or file.suffix not in _MEDIA_TYPES or not file.is_file():
            return PlainTextResponse(
                "Not Found", status_code=404, headers={**_SAFE, "Cache-Control": "no-cache"}
            )
        # A file that changes gets another name, so what a name refers to never changes.
        headers = {
            **_SAFE,
            "Cache-Control": "public, max-age=31536000, immutable",
            "Content-Security-Policy": ASSET_POLICY,
            "Vary": "Accept-Encoding",
        }
        encoding, path = _variant(file, request_headers(request.scope).get("accept-encoding", ""))
        if encoding != "identity":
            headers["Content-Encoding"] = encoding
        return FileResponse(path, headers=headers, media_type=_MEDIA_TYPES[file.suffix])


def routes(path: str, api: ASGIApp, config: Callable[[], Awaitable[Config]]) -> Sequence[BaseRoute]:
    """Return the routes at the API's address: the page for browsers, the API for all others.

    ``config`` is called for each page; it must not raise.
    """
    playground = Playground()

    class PageOrAPI:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            is_page = scope["method"] != "POST" and wants_page(Request(scope))
            answer = playground.page(await config()) if is_page else api
            await answer(scope, receive, send)

    class WithSlash:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            answer: ASGIApp = api
            if wants_page(Request(scope)):
                # The page's links are relative to the address without the slash.
                query = scope["query_string"].decode(errors="replace")
                address = f"..{path}?{query}" if query else f"..{path}"
                answer = RedirectResponse(address, 307)
            await answer(scope, receive, send)

    return [
        Route(path, PageOrAPI()),
        Route(f"{path}/", WithSlash()),
        Route(f"{path}/assets/{{name}}", playground.asset, methods=["GET"]),
    ]


def wants_page(request: Request) -> bool:
    """Return True for a browser's request: a GET whose ``Accept`` prefers ``text/html``.

    ``*/*`` doesn't, which is sent by programs that take anything.
    """
    if request.method not in {"GET", "HEAD"}:
        return False
    accept = request_headers(request.scope).get("accept", "")
    return preferred(accept, *_API_TYPES, _PAGE_TYPE) == _PAGE_TYPE


def _variant(file: Path, accept: str) -> tuple[str, Path]:
    """Return the coding of an asset, and the file that holds it."""
    named = weights(accept)

    def weight(encoding: str) -> float:
        # The plain file is the last resort, unless the header names it.
        return named.get(encoding, 0.0 if encoding == "identity" else named.get("*", 0.0))

    files = {
        encoding: file.with_name(file.name + suffix) for encoding, suffix in _ENCODINGS.items()
    }
    usable = [
        name for name in files if name == "identity" or (weight(name) > 0 and files[name].is_file())
    ]
    # Of equals, max takes the first: the smallest.
    best = max(usable, key=weight)
    return best, files[best]

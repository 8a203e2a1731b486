"""Knows how GraphiQL is served: one page with the gateway's facts filled in, and its hashed files.

The page and its files are built by ``build.py`` from the sources beside this module; nothing else
of the gateway is imported here. It belongs at two routes::

    playground = Playground()
    Route("/graphql/assets/{name}", playground.asset, methods=["GET"])
    # in the endpoint of /graphql, before the API is asked:
    if wants_page(request):
        return playground.page(Config(name="Freezer gateway", version=version, auth="none", …))

The page's address must end in ``graphql``, with no slash after it and any prefix before it: its
links are relative to that.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["Config", "Playground", "Project", "wants_page"]

DIST: Final = Path(__file__).resolve().parent / "dist"
"""Where ``build.py`` leaves the page, in a checkout and in a wheel alike."""

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
"""The policy of the page's files. A worker obeys the one that its own file came with."""

_SAFE: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".woff2": "font/woff2",
}
"""What a build consists of. Not ``mimetypes``, which reads tables that differ between machines."""

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
    """What the page says and suggests, all of it public: anyone who opens the page can read it."""

    name: str
    """The gateway's name, for the title."""
    version: str
    """Its version, for the title."""
    auth: Literal["none", "keystone"]
    """How the gateway knows who asks; with Keystone the page lets one sign in."""
    default_project: str | None = None
    """The project that the page starts with, or None to send none until the user names one."""
    projects: Sequence[Project] = ()
    """Known projects. Leave it empty with Keystone: nobody has logged in to get the page."""

    @property
    def title(self) -> str:
        """The page's title."""
        return f"{self.name} {self.version}"

    def json(self) -> str:
        """Write the object that ``src/config.js`` reads."""
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
    """GraphiQL as it was built into a folder; a later build is taken up at once."""

    def __init__(self, dist: Path = DIST) -> None:
        """Serve the build in ``dist``, which need not exist yet."""
        self._dist = dist

    def page(self, config: Config) -> Response:
        """Answer with the page, or with 503 and what to run if it was never built."""
        # The same address answers other requests as the API, hence Vary.
        headers = {**_SAFE, "Cache-Control": "no-cache", "Vary": "Accept"}
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
        """Answer with the file of the path parameter ``name``, in the client's best coding."""
        name = request.path_params["name"]
        file = self._dist / "assets" / name
        # The pattern has no slash in it and no leading dot, so `file` is in the folder.
        if not _NAME.fullmatch(name) or file.suffix not in _MEDIA_TYPES or not file.is_file():
            return PlainTextResponse(
                "Not Found", status_code=404, headers={**_SAFE, "Cache-Control": "no-cache"}
            )
        # A file that changes gets another name, so what a name stands for never changes.
        headers = {
            **_SAFE,
            "Cache-Control": "public, max-age=31536000, immutable",
            "Content-Security-Policy": ASSET_POLICY,
            "Vary": "Accept-Encoding",
        }
        encoding, path = _variant(file, ", ".join(request.headers.getlist("Accept-Encoding")))
        if encoding != "identity":
            headers["Content-Encoding"] = encoding
        return FileResponse(path, headers=headers, media_type=_MEDIA_TYPES[file.suffix])


def wants_page(request: Request) -> bool:
    """Whether a request to the API's address is a browser's: a GET that likes ``text/html`` best.

    It must name it: ``Accept: */*`` is what programs send which take anything.
    """
    if request.method not in {"GET", "HEAD"}:
        return False
    weights = _weights(", ".join(request.headers.getlist("Accept")))
    as_html = weights.get("text/html", 0.0)
    as_data = max(
        weights.get(kind, 0.0) for kind in ("application/json", "application/graphql-response+json")
    )
    return as_html > 0 and as_html >= as_data


def _variant(file: Path, accept: str) -> tuple[str, Path]:
    """Choose the coding of an asset, and the file that holds it."""
    weights = _weights(accept)

    def weight(encoding: str) -> float:
        # The plain file is what is left when nothing else will do, unless it is asked for by name.
        return weights.get(encoding, 0.0 if encoding == "identity" else weights.get("*", 0.0))

    files = {
        encoding: file.with_name(file.name + suffix) for encoding, suffix in _ENCODINGS.items()
    }
    usable = [
        name for name in files if name == "identity" or (weight(name) > 0 and files[name].is_file())
    ]
    # Of equals, max takes the first: the smallest.
    best = max(usable, key=weight)
    return best, files[best]


def _weights(header: str) -> dict[str, float]:
    """Parse an Accept-like header: what it names, in lower case, and the ``q`` of each."""
    weights = {}
    for item in header.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                # What is no number is a header that nobody should send: taken for a refusal.
                weight = float(value) if re.fullmatch(r"\s*[01](\.\d{0,3})?\s*", value) else 0.0
        if name:
            weights[name] = weight
    return weights

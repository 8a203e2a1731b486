"""How GraphiQL is served and built, shown with a made-up build; no browser, no Node.js."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route

from gateway.playground import ASSET_POLICY, PAGE_POLICY, Config, Playground, Project, wants_page
from gateway.playground import build as building

if TYPE_CHECKING:
    from starlette.responses import Response

SOURCES = Path(building.__file__).parent
SCRIPT = b"console.log('a script that is long enough to be worth compressing')" * 20
GZIPPED = gzip.compress(SCRIPT)
BROTLI = b"stands for what brotli would make of it"
OPERATIONS = ("query ", "mutation ", "subscription ")
CONFIG = Config(name="Freezer gateway", version="1.2.3", auth="none", default_project="demo")


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """Lay out a build as Vite leaves it."""
    built = tmp_path / "dist"
    assets = built / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "secret.js").write_text("not for anyone")
    (built / "index.html").write_text(
        '<!doctype html><meta name="gateway" content="{{ config }}"><title>{{ title }}</title>'
    )
    (assets / "index-Ab_3-x.js").write_bytes(SCRIPT)
    (assets / "index-Ab_3-x.js.br").write_bytes(BROTLI)
    (assets / "index-Ab_3-x.js.gz").write_bytes(GZIPPED)
    (assets / "plain-1.css").write_text("body {}")
    (assets / "font-1.ttf").write_bytes(b"\0")
    (assets / "picture-1.svg").write_text("<svg/>")
    (assets / ".hidden.js").write_text("hidden")
    (assets / "notes.txt").write_text("no part of a page")
    return built


def ask(
    dist: Path, path: str, *, method: str = "GET", config: Config = CONFIG, **headers: str
) -> tuple[httpx.Response, bytes]:
    """Send one request to a gateway that has nothing but its playground, below a prefix.

    Returns the response and its body as it was sent, still compressed.
    """
    playground = Playground(dist)

    async def page(_request: Request) -> Response:
        return playground.page(config)

    routes = [
        Route("/graphql/assets/{name}", playground.asset, methods=["GET"]),
        Route("/graphql", page, methods=["GET"]),
    ]
    transport = httpx.ASGITransport(app=Starlette(routes=[Mount("/backup", routes=routes)]))

    async def send() -> tuple[httpx.Response, bytes]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
            client.stream(method, f"/backup{path}", headers=sent) as response,
        ):
            return response, b"".join([chunk async for chunk in response.aiter_raw()])

    return asyncio.run(send())


class Head(HTMLParser):
    """What a browser reads from the page's head."""

    def __init__(self, page: str) -> None:
        """Read it."""
        super().__init__()
        self.title = ""
        self.config: Any = None
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the configuration from its element."""
        self.tags.append(tag)
        if dict(attrs).get("name") == "gateway":
            self.config = json.loads(dict(attrs)["content"] or "")

    def handle_data(self, data: str) -> None:
        """Collect the title's text."""
        if self.tags[-1] == "title":
            self.title += data


def test_the_page_says_which_gateway_it_is(dist: Path) -> None:
    config = Config(
        name="Freezer gateway",
        version="1.2.3",
        auth="none",
        default_project="demo",
        projects=[Project("demo", "The sample estate"), Project("4f1e")],
    )
    response, body = ask(dist, "/graphql", config=config)
    head = Head(body.decode())
    assert response.status_code == 200
    assert head.title == "Freezer gateway 1.2.3"
    assert head.config == {
        "name": "Freezer gateway",
        "version": "1.2.3",
        "auth": "none",
        "defaultProject": "demo",
        "projects": [{"id": "demo", "name": "The sample estate"}, {"id": "4f1e", "name": ""}],
    }


@pytest.mark.parametrize(
    "name",
    [
        """"><script>alert('hello')</script>""",
        "{{ config }} & {{ title }}",
        r"\1 \g<0>",
        "Größe ✓",
    ],
)
def test_nothing_in_the_configuration_becomes_markup(dist: Path, name: str) -> None:
    config = Config(name=name, version="1", auth="keystone", projects=[Project(name, name)])
    _, body = ask(dist, "/graphql", config=config)
    head = Head(body.decode())
    assert head.tags == ["meta", "title"]
    assert head.title == f"{name} 1"
    assert head.config["name"] == name
    assert head.config["projects"] == [{"id": name, "name": name}]


def test_the_page_is_guarded_and_never_stale(dist: Path) -> None:
    response, _ = ask(dist, "/graphql")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Content-Security-Policy"] == PAGE_POLICY
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "private, no-cache"


def test_the_policy_allows_no_foreign_address_and_no_inline_script() -> None:
    rules = dict(rule.split(" ", 1) for rule in PAGE_POLICY.split("; "))
    assert rules["default-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert "script-src" not in rules
    sources = {source for rule in rules.values() for source in rule.split()}
    assert sources == {"'self'", "'none'", "'unsafe-inline'", "data:"}
    assert [name for name, rule in rules.items() if "'unsafe-inline'" in rule] == ["style-src"]


def test_a_missing_build_says_what_to_run(tmp_path: Path) -> None:
    config = Config(name="<Freezer>", version="1", auth="none")
    response, body = ask(tmp_path / "dist", "/graphql", config=config)
    assert response.status_code == 503
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert "make playground" in body.decode()
    assert "&lt;Freezer&gt; 1" in body.decode()


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("GZIP;Q=0.5", "gzip"),
        ("br;q=0.2, gzip;q=0.8", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("*", "br"),
        ("br;q=0, *", "gzip"),
        ("gzip;q=0.5, identity", "identity"),
        ("br; q=nonsense", "br"),
        ("zstd", "identity"),
        ("*;q=0", "identity"),
        ("", "identity"),
    ],
)
def test_an_asset_comes_in_the_best_coding(dist: Path, accept: str, encoding: str) -> None:
    response, body = ask(dist, "/graphql/assets/index-Ab_3-x.js", Accept_Encoding=accept)
    assert response.status_code == 200
    assert response.headers.get("Content-Encoding", "identity") == encoding
    assert body == {"br": BROTLI, "gzip": GZIPPED, "identity": SCRIPT}[encoding]
    assert response.headers["Content-Length"] == str(len(body))
    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"


def test_an_asset_is_kept_for_ever_and_guarded(dist: Path) -> None:
    response, _ = ask(dist, "/graphql/assets/index-Ab_3-x.js")
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["Content-Security-Policy"] == ASSET_POLICY
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("plain-1.css", "text/css; charset=utf-8"),
        ("font-1.ttf", "font/ttf"),
        ("picture-1.svg", "image/svg+xml"),
    ],
)
def test_an_asset_says_what_it_is(dist: Path, name: str, media_type: str) -> None:
    # None of these has a compressed variant, which is no reason not to serve it.
    response, _ = ask(dist, f"/graphql/assets/{name}", Accept_Encoding="br")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == media_type


def test_head_is_answered_without_a_body(dist: Path) -> None:
    response, body = ask(
        dist, "/graphql/assets/index-Ab_3-x.js", method="HEAD", Accept_Encoding="br"
    )
    assert response.status_code == 200
    assert response.headers["Content-Length"] == str(len(BROTLI))
    assert body == b""


@pytest.mark.parametrize(
    "name",
    [
        "absent.js",
        "index-Ab_3-x.js.br",
        "notes.txt",
        ".hidden.js",
        "%2e%2e",
        "..%2f..%2fsecret.js",
        "..%5c..%5csecret.js",
        "%2e%2e%2f%2e%2e%2fsecret.js",
        "%2fetc%2fpasswd",
        "index-Ab_3-x.js%00.css",
        "index-Ab_3-x.js%0a",
    ],
)
def test_nothing_but_assets_is_served(dist: Path, name: str) -> None:
    response, body = ask(dist, f"/graphql/assets/{name}")
    assert response.status_code == 404
    assert b"not for anyone" not in body


@pytest.mark.parametrize(
    ("method", "accept", "expected"),
    [
        ("GET", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("HEAD", "text/html", True),
        ("GET", "TEXT/HTML", True),
        ("GET", "text/html;q=0.5, application/json", False),
        ("GET", "application/json, text/html;q=0.9", False),
        ("GET", "application/graphql-response+json, text/html;q=0.9", False),
        ("GET", "text/html;q=0", False),
        ("GET", "text/html;q=0, application/json;q=0", False),
        ("GET", "application/*, text/html;q=0.5", False),
        ("GET", "*/*, text/html;q=0.5", False),
        ("GET", "application/json;q=0, text/html;q=0.1", True),
        ("GET", "text/*, application/json;q=0.9", True),
        ("GET", 'text/html;x="a, application/json;q=1", application/json;q=0.9', True),
        ("GET", "*/*", False),
        ("GET", "application/json", False),
        ("GET", None, False),
        ("POST", "text/html", False),
    ],
)
def test_the_page_is_for_browsers(method: str, accept: str | None, *, expected: bool) -> None:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    request = Request({"type": "http", "method": method, "headers": headers})
    assert wants_page(request) is expected


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the build script at sources of its own."""
    (tmp_path / "src" / "tabs").mkdir(parents=True)
    for name in (".npmrc", "index.html", "package.json", "package-lock.json", "vite.config.js"):
        (tmp_path / name).write_text(name)
    (tmp_path / "src" / "tabs" / "1.graphql").write_text("{ jobs }")
    monkeypatch.setattr(building, "HERE", tmp_path)
    monkeypatch.setattr(building, "DIST", tmp_path / "dist")
    monkeypatch.setattr(building, "_PRIVATE_NODE", tmp_path / ".node")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    return tmp_path


def stamped(sources: Path) -> None:
    """Pretend that a build of these sources has been made."""
    (sources / "dist").mkdir()
    (sources / "dist" / "index.html").write_text("built")
    (sources / "dist" / building.STAMP).write_text(building.fingerprint())


def test_a_build_is_current_until_a_source_changes(sources: Path) -> None:
    assert not building.is_current()
    stamped(sources)
    assert building.is_current()
    assert building.build() is False
    (sources / "src" / "tabs" / "1.graphql").write_text("{ backups }")
    assert not building.is_current()
    assert building.main(["--check"]) == 1


@pytest.mark.parametrize("change", ["add", "rename", "lock"])
def test_every_kind_of_change_counts(sources: Path, change: str) -> None:
    stamped(sources)
    tab = sources / "src" / "tabs" / "1.graphql"
    if change == "add":
        (sources / "src" / "more.js").write_text("")
    elif change == "rename":
        tab.rename(tab.with_name("2.graphql"))
    else:
        (sources / "package-lock.json").write_text("newer")
    assert not building.is_current()


def test_an_editors_files_do_not_count(sources: Path) -> None:
    stamped(sources)
    (sources / "src" / ".main.jsx.swp").write_text("half a thought")
    assert building.is_current()


@pytest.mark.skipif(os.name == "nt", reason="the stand-ins for Node.js are shell scripts")
@pytest.mark.parametrize(
    ("version", "enough"), [("v22.12.0", True), ("v24.1.0", True), ("v22.11.9", False), ("", False)]
)
def test_only_a_new_enough_node_will_do(
    sources: Path, monkeypatch: pytest.MonkeyPatch, version: str, *, enough: bool
) -> None:
    programs = sources / "bin"
    programs.mkdir()
    for name in ("node", "npm"):
        (programs / name).write_text(f"#!/bin/sh\necho {version}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    assert building.build_requirements() == ([] if enough else [building.NODE_WHEEL])
    stamped(sources)
    assert building.build_requirements() == []


def test_the_lock_file_names_no_addresses() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    packages = {path: package for path, package in lock["packages"].items() if path}
    assert packages
    assert not [path for path, package in packages.items() if "resolved" in package]
    assert not [path for path, package in packages.items() if "integrity" not in package]


def test_every_example_teaches_and_its_variables_are_json() -> None:
    documents = sorted((SOURCES / "src" / "tabs").glob("*.graphql"))
    assert len(documents) >= 5
    for document in documents:
        text = document.read_text()
        # The first line is the title in the page's menu, the lines after it are the lesson.
        assert text.startswith("# ")
        assert text.splitlines()[1] == "#"
        variables = document.with_suffix(".json")
        assert not variables.exists() or isinstance(json.loads(variables.read_text()), dict)
        # GraphiQL takes the first operation's name for the tab's.
        assert any(line.startswith(OPERATIONS) for line in text.splitlines())

"""Which page a browser gets at /graphql, shown with a made-up build."""

import html
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import app, playground
from tests.support.apps import MakeClient

pytestmark = pytest.mark.anyio

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(autouse=True)
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the page that every application serves."""
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "index.html").write_text('<meta content="{{ config }}"><title>{{ title }}</title>')
    made = playground.Playground(folder)
    monkeypatch.setattr(app.playground, "Playground", lambda: made)
    return folder


async def config(client: httpx.AsyncClient) -> dict[str, Any]:
    response = await client.get("/graphql", headers=BROWSER)
    assert response.status_code == 200
    found = re.search(r'content="([^"]*)"', response.text)
    assert found
    return dict(json.loads(html.unescape(found[1])))


async def test_it_offers_the_projects_that_there_are(demo_client: httpx.AsyncClient) -> None:
    known = await config(demo_client)
    assert known["name"] == "Freezer gateway"
    assert known["auth"] == "none"
    assert known["defaultProject"] == "demo"
    assert [project["id"] for project in known["projects"]] == [
        "752d8bd43d654e7a840bbfda77ce41af",
        "demo",
        "demo-lab",
    ]


async def test_with_keystone_it_tells_strangers_nothing(make_client: MakeClient) -> None:
    keystone = {
        "auth": "keystone",
        "keystone_auth_url": "http://127.0.0.1:1/v3",
        "keystone_username": "gateway",
        "keystone_password": "secret",
    }
    known = await config(await make_client(**keystone))
    assert known["auth"] == "keystone"
    assert known["defaultProject"] is None
    assert known["projects"] == []


async def test_everything_but_a_browser_gets_the_api(client: httpx.AsyncClient) -> None:
    for accept in ("*/*", "application/json", "application/graphql-response+json, text/html;q=0.5"):
        asked = {"query": "{ viewer { project } }"}
        response = await client.get("/graphql", headers={"Accept": accept}, params=asked)
        assert response.json()["data"] == {"viewer": {"project": "demo"}}
    response = await client.post("/graphql", headers=BROWSER, json=asked)
    assert response.json()["data"] == {"viewer": {"project": "demo"}}


async def test_its_address_has_no_slash(client: httpx.AsyncClient) -> None:
    # Its links are relative to that.
    response = await client.get("/graphql/", headers=BROWSER)
    assert response.status_code == 307
    assert response.headers["Location"].endswith("../graphql")


async def test_a_missing_build_is_no_blank_page(client: httpx.AsyncClient, dist: Path) -> None:
    (dist / "index.html").unlink()
    response = await client.get("/graphql", headers=BROWSER)
    assert response.status_code == 503
    assert "make playground" in response.text

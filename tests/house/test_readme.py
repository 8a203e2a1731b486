"""The README is true: its settings are the code's, and its query runs on the sample data."""

import re
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from gateway.__main__ import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_settings_are_the_codes_own() -> None:
    table = README.partition("<!-- settings -->\n")[2].partition("<!-- end of settings -->")[0]
    printed = CliRunner().invoke(app, ["settings", "--markdown"])
    assert table == printed.stdout, "run 'make readme'"


def test_what_it_tells_to_make_can_be_made() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for file in (README, (ROOT / "CONTRIBUTING.md").read_text()):
        targets = set(re.findall(r"^\$ make ([a-z-]+)", file, re.MULTILINE))
        assert targets
        assert [target for target in targets if f"\n{target}:" not in makefile] == []


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


@pytest.mark.anyio
async def test_its_query_runs(demo_client: httpx.AsyncClient) -> None:
    (query,) = re.findall(r"```graphql\n(.*?)```", README, re.DOTALL)
    answer = (await demo_client.post("/graphql", json={"query": query})).json()
    jobs = answer["data"]["jobs"]
    assert jobs["totalCount"] >= len(jobs["nodes"]) == 3
    assert any(job["backups"]["nodes"] for job in jobs["nodes"])


@pytest.mark.anyio
async def test_its_requests_are_answered(demo_client: httpx.AsyncClient) -> None:
    paths = re.findall(r"curl http://127.0.0.1:9090(\S+)", README)
    assert paths
    for path in paths:
        response = await demo_client.get(path)
        assert response.status_code == 200
        assert all(response.json().values())

"""CONTRIBUTING.md: the modules it names are there, and its column can be added as it says."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gateway

HOUSE = Path(gateway.__file__).parent
TEXT = (HOUSE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")

PROGRAM = """
import asyncio, json, sys
import httpx
from gateway.app import create_app
from gateway.settings import load

async def main():
    app = create_app(load(database_url=sys.argv[1]))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            said = []
            for query in sys.argv[2:]:
                answer = await client.post("/graphql", json={"query": query})
                said.append(answer.json())
            sent = {"client_id": "host2", "location": "Oslo"}
            await client.post("/v2/demo/clients", json=sent)
            search = {"match": [{"location": "Oslo"}]}
            answer = await client.request("GET", "/v2/demo/clients", json=search)
            said.append(answer.json())
            print(json.dumps(said))

asyncio.run(main())
"""
REGISTER = """mutation { registerClient(input: {clientId: "host1", location: "Bergen"}) {
  client { location } } }"""
FIND = """{ clients(where: {location: {startsWith: "B"}}, orderBy: {field: LOCATION}) {
  nodes { clientId location } } }"""


def sections() -> dict[str, str]:
    """Return the sections of the text by their headings."""
    parts = re.split(r"^#{2,3} (.+)$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("way", ["query", "POST", "token"])
def test_the_modules_of_a_way_are_there(way: str) -> None:
    section = sections()[f"The way of a {way}"]
    steps = re.findall(r"^\d+\. .*$", section, flags=re.MULTILINE)
    assert len(steps) == 10
    named = re.findall(r"`([a-z_/]+\.py)(?::([\w.]+))?`", section)
    assert len(named) > 5
    for file, name in named:
        found = [path for path in HOUSE.rglob(file) if "node_modules" not in path.parts]
        assert found, f"there is no {file}"
        if name:
            words = {f"def {name.split('.')[-1]}(", f"class {name}", f"\n{name}:", f"\n{name} ="}
            texts = "".join(path.read_text(encoding="utf-8") for path in found)
            assert any(word in texts for word in words), f"{file} has no {name}"


def copied(folder: Path) -> Path:
    """Copy the house into a folder, without what is built."""
    ignored = shutil.ignore_patterns("node_modules", ".node", "dist", "__pycache__")
    return Path(shutil.copytree(HOUSE, folder / "gateway", ignore=ignored))


def changed(root: Path, section: str) -> None:
    """Put the lines of the section's diff where it says, and write its migration."""
    (diff,) = re.findall(r"```diff\n(.*?)```", section, flags=re.DOTALL)
    for part in re.split(r"^--- ", diff, flags=re.MULTILINE)[1:]:
        name, *lines = part.splitlines()
        old = "".join(f"{line[1:]}\n" for line in lines if line[0] == " ")
        new = "".join(f"{line[1:]}\n" for line in lines)
        text = (root / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has these lines {text.count(old)} times:\n{old}"
        (root / name).write_text(text.replace(old, new), encoding="utf-8")
    ((name, body),) = re.findall(r"```python\n# (\S+)\n(.*?)```", section, flags=re.DOTALL)
    versions = (root / name).parent
    newest = max(path.name.partition("_")[0] for path in versions.glob("[0-9]*.py"))
    # Other migrations may have come since the text was written.
    body = re.sub(r'down_revision = ".*"', f'down_revision = "{newest}"', body)
    body = re.sub(r'^revision = ".*"', 'revision = "location"', body, flags=re.MULTILINE)
    (versions / "location.py").write_text(body, encoding="utf-8")


def test_a_column_is_added(tmp_path: Path) -> None:
    copied(tmp_path)
    changed(tmp_path, sections()["Add a column"])
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")},
        "PYTHONPATH": str(tmp_path),
    }

    def run(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    printed = run("-m", "gateway", "schema", "print")
    assert "  location: StringFilter" in printed
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite3'}"
    # The log's lines come before.
    told = run("-c", PROGRAM, url, REGISTER, FIND).splitlines()[-1]
    registered, found, searched = json.loads(told)
    assert registered == {"data": {"registerClient": {"client": {"location": "Bergen"}}}}
    nodes = [{"clientId": "host1", "location": "Bergen"}]
    assert found == {"data": {"clients": {"nodes": nodes}}}
    assert [entry["client"]["location"] for entry in searched["clients"]] == ["Oslo"]

"""PostGraphile 5 on the same PostgreSQL, in Node.js 22, set up as a production server is."""

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.bench import graphql
from tests.bench.catalogue import Catalogue
from tests.bench.machine import on_core
from tests.bench.peers import Peer
from tests.bench.progress import say
from tests.bench.stage import Stage
from tests.bench.workload import COLD, Request, deep, single
from tests.compat.environments import CACHE, fingerprint, made_once
from tests.compat.keystone import free_port

HERE = Path(__file__).parent
SCHEMA = HERE / "peer_schema.sql"
FLAGS = ("--max-semi-space-size=64",)
PATIENCE = 60
"""How many seconds it may take to start."""

BACKUP = """{
  id status backupName hostname container mode storage level
  timeStamp compressedSize uncompressedSize jobId metadata
}"""
JOB = """{
  id description
  scheduleInterval scheduleStartDate scheduleEndDate status result event timeCreated timeStarted
  actions: actionsByJobIdList(orderBy: [POSITION_ASC]) {
    id position maxRetries maxRetriesInterval userId freezerAction
  }
}"""
_PAGE = "pageInfo { hasNextPage endCursor }"
_BACKUPS = "orderBy: [BACKUP_NAME_ASC, TIME_STAMP_ASC]"
DOCUMENTS = {
    "Q1": "query Q1($project: String!) { allJobs(first: 50, condition: {projectId: $project}, "
    f"orderBy: [DESCRIPTION_ASC]) {{ edges {{ cursor node {JOB} }} {_PAGE} }} }}",
    "Q2": "query Q2($project: String!) { allBackups(first: 100, condition: {projectId: $project}, "
    f"{_BACKUPS}) {{ edges {{ cursor node {BACKUP} }} {_PAGE} }} }}",
    "Q3": f"query Q3($id: ID!) {{ node(id: $id) {{ ... on Backup {BACKUP} }} }}",
    "Q4": "query Q4($project: String!, $after: Cursor!) { allBackups(first: 100, after: $after, "
    f"condition: {{projectId: $project}}, {_BACKUPS}) "
    f"{{ edges {{ cursor node {BACKUP} }} {_PAGE} }} }}",
}
DOCUMENTS[COLD] = graphql.cold(DOCUMENTS["Q1"])
"""The requests Q1 to Q4 as PostGraphile's schema has them."""


@contextmanager
def running(stage: Stage) -> Iterator[Peer]:
    """Run it on the schema `peer`, made from the gateway's tables in the same database."""
    with _serving(stage) as peer:
        yield peer.without(COLD)


@contextmanager
def cold(stage: Stage) -> Iterator[Peer]:
    """Run the same once more, for the request that is planned each time."""
    with _serving(stage) as peer:
        yield peer.only(COLD)


@contextmanager
def _serving(stage: Stage) -> Iterator[Peer]:
    packages = _installed()
    _make_schema(stage)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    node = _node(packages)
    command = [*on_core(stage.cores.server), str(node), *FLAGS, "server.mjs"]
    command += [str(port), stage.database]
    environment = os.environ | {"NODE_ENV": "production", "GRAPHILE_ENV": "production"}
    process = subprocess.Popen(command, cwd=packages, env=environment)
    try:
        _wait(process, url)
        version = json.loads((packages / "package.json").read_text())["dependencies"]
        yield Peer(
            "postgraphile",
            url,
            process.pid,
            _requests(url, stage.catalogue),
            lambda _key, answer: graphql.read(answer),
            stage.catalogue,
            about=f"PostGraphile {version['postgraphile']}, Node.js {_version(node)}, "
            f"{' '.join(FLAGS)}",
            counting=partial(stage.postgres.counting, stage.database),
        )
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _make_schema(stage: Stage) -> None:
    """Make the schema, unless there is one already."""
    made = stage.postgres.run("SELECT to_regnamespace('peer')", url=stage.database)
    if made[0][0] is None:
        say("making PostGraphile's schema")
        statements = [text for text in SCHEMA.read_text().split(";") if text.strip()]
        stage.postgres.run(*statements, url=stage.database)


def _requests(url: str, catalogue: Catalogue) -> dict[str, Sequence[Request]]:
    """Make its requests, for which a global id and a cursor have to be known."""
    project = catalogue.project_id
    one = catalogue.identifier("backup", single(catalogue))
    found = _ask(url, "query($id: String!) { backupByRowId(rowId: $id) { id } }", id=one)
    name = catalogue.backup(deep(catalogue))["metadata"]["backup_name"]
    page = _ask(
        url,
        "query($project: String!, $name: String!) { allBackups("
        f"condition: {{projectId: $project, backupName: $name}}, {_BACKUPS}) "
        "{ edges { cursor } } }",
        project=project,
        name=name,
    )
    variables = {
        "Q1": {"project": project},
        COLD: {"project": project},
        "Q2": {"project": project},
        "Q3": {"id": found["id"]},
        "Q4": {"project": project, "after": page["edges"][-1]["cursor"]},
    }
    return {key: [graphql.post(DOCUMENTS[key], {}, **given)] for key, given in variables.items()}


def _ask(url: str, document: str, **variables: str) -> Any:
    body = {"query": document, "variables": variables}
    return graphql.answered(httpx.post(f"{url}/graphql", json=body, timeout=PATIENCE).json())


def _installed() -> Path:
    """Return a folder with the packages of the lock file, and the server."""
    sources = {path.name: path.read_bytes() for path in (HERE / "npm").iterdir() if path.is_file()}
    folder = CACHE / f"postgraphile-{fingerprint(*(each.decode() for each in sources.values()))}"
    with made_once(folder) as missing:
        if missing:
            say("installing PostGraphile")
            shutil.copytree(HERE / "npm", folder, ignore=shutil.ignore_patterns("node_modules"))
            install = ["npm", "ci", "--no-progress", "--loglevel=error"]
            subprocess.run(install, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


def _node(packages: Path) -> Path:
    """Return the Node.js among the packages: one for each kind of processor is named there."""
    found = sorted(packages.glob("node_modules/node-linux-*/bin/node"))
    assert found, f"no Node.js for {platform.machine()} among the packages in {packages}"
    return found[0]


def _version(node: Path) -> str:
    return (
        subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
        .stdout[1:]
        .strip()
    )


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    patient_until = time.monotonic() + PATIENCE
    while time.monotonic() < patient_until and process.poll() is None:
        try:
            answer = httpx.post(f"{url}/graphql", json={"query": "{ __typename }"})
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            assert answer.is_success, answer.text
            return
    raise AssertionError("PostGraphile didn't start")

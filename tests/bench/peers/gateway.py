"""The gateway itself, started as a user would start it, on one core."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import httpx

from gateway import __version__
from gateway.settings import Settings
from tests.bench import graphql, rest
from tests.bench.catalogue import BACKUPS_PER_JOB, Catalogue
from tests.bench.machine import on_core
from tests.bench.peers import Peer
from tests.bench.stage import Stage
from tests.bench.workload import (
    COLD,
    KEPT,
    MISSED,
    UNCHANGED,
    Item,
    Request,
    deep,
    searched,
    single,
)
from tests.compat.keystone import PASSWORD, free_port
from tests.support.live import PROGRAM, LiveGateway, live

TOTAL = "query Total { backups { totalCount } }"
ACCOUNT = {"keystone_username": "gateway", "keystone_password": PASSWORD}
"""By which it logs in at Keystone."""


@contextmanager
def on_postgres(stage: Stage) -> Iterator[Peer]:
    """Run it on PostgreSQL, without authentication."""
    with serving(stage, "gateway", stage.database) as peer:
        yield peer.without(COLD, *KEPT)


@contextmanager
def cold(stage: Stage) -> Iterator[Peer]:
    """Run the same once more, for the request that is planned each time."""
    with serving(stage, "gateway-cold", stage.database) as peer:
        yield replace(peer.only(COLD), name="gateway")


@contextmanager
def keeping(stage: Stage) -> Iterator[Peer]:
    """Run the same once more, as it is by default: it keeps answers."""
    memory = str(Settings.model_fields["kept_answers_bytes"].default)
    with serving(stage, "gateway-keeping", stage.database, kept_answers_bytes=memory) as peer:
        yield replace(peer.only(*KEPT), name="gateway")


@contextmanager
def on_sqlite(stage: Stage) -> Iterator[Peer]:
    """Run it on SQLite, the embedded default."""
    with serving(stage, "sqlite", stage.sqlite) as peer:
        yield peer.only("Q1", "Q2", "Q3", "Q4", "R1", "R6")


@contextmanager
def with_keystone(stage: Stage) -> Iterator[Peer]:
    """Run it on PostgreSQL, with tokens that Keystone has issued."""
    settings = {"auth": "keystone", "keystone_auth_url": stage.keystone.auth_url} | ACCOUNT
    with serving(stage, "keystone", stage.database, authenticated=True, **settings) as peer:
        yield peer.only("Q3", "R1")


@contextmanager
def serving(
    stage: Stage,
    name: str,
    database: str,
    *,
    authenticated: bool = False,
    program: Sequence[str] = PROGRAM,
    **settings: str,
) -> Iterator[Peer]:
    """Run a gateway on a database that has its data; `authenticated` requests show a token.

    `program` begins its command line. Yields how to reach it. Raises AssertionError if it doesn't
    start.
    """
    folder = stage.folder / name
    folder.mkdir()
    settings = {
        "database_url": database,
        "project_id": stage.catalogue.project_id,
        # A line for each request is what none of the others writes, either.
        "log_level": "warning",
        # Every request is sent again and again: none would be executed.
        "kept_answers_bytes": "0",
    } | settings
    command = [*on_core(stage.cores.server), *program]
    with live(folder, program=command, sample_data=False, port=free_port(), **settings) as gateway:
        headers, others = (
            stage.headers(project) if authenticated else {}
            for project in (stage.catalogue, stage.second)
        )
        asked = _graphql(gateway, stage.catalogue, headers)
        dialect = rest.Rest(stage.catalogue, stage.second, headers, others)
        asked |= {key: dialect.requests(key) for key in rest.KEYS}
        asked |= {key: asked[of] for key, of in UNCHANGED.items()}
        asked |= {key: [graphql.never_sent(one) for one in asked[of]] for key, of in MISSED.items()}
        yield Peer(
            name,
            gateway.url,
            gateway.process.pid,
            asked,
            read,
            stage.catalogue,
            about=f"freezer-gateway {__version__} on {database.partition(':')[0]}",
            counting=partial(stage.postgres.counting, database)
            if database.startswith("postgres")
            else None,
        )


def read(key: str, answer: bytes) -> list[Item]:
    """Read an answer of either surface."""
    return list(rest.read(answer) if key.startswith("R") else graphql.read(answer))


def _graphql(
    gateway: LiveGateway, catalogue: Catalogue, headers: Mapping[str, str]
) -> dict[str, Sequence[Request]]:
    """Make the requests in GraphQL, for which a global id and a cursor have to be known."""

    def ask(document: str, **variables: Any) -> Any:
        body = json.dumps({"query": document, "variables": variables})
        sent = {"Content-Type": "application/json", **headers}
        answer = httpx.post(f"{gateway.url}/graphql", content=body, headers=sent, timeout=60)
        return graphql.answered(answer.json())

    last = catalogue.identifier("backup", deep(catalogue))
    one = catalogue.identifier("backup", single(catalogue))
    found = ask("query($id: ID!) { backup(backupId: $id) { id } }", id=one)
    edge = ask(
        "query($name: String!) { backups(first: 100, where: {backupName: {eq: $name}})"
        " { edges { cursor node { backupId } } } }",
        name=catalogue.backup(deep(catalogue))["metadata"]["backup_name"],
    )
    after = next(e["cursor"] for e in edge["edges"] if e["node"]["backupId"] == last)
    full = catalogue.identifier("backup", searched(catalogue) * BACKUPS_PER_JOB)
    deleted = ask("query($id: ID!) { backup(backupId: $id) { id } }", id=full)
    variables: dict[str, dict[str, str]] = {
        "Q3": {"id": found["id"]},
        "Q4": {"after": after},
        "S3": {"id": deleted["id"]},
    }
    known = ask(graphql.HAS_CHAINS) is not None
    return {
        key: [graphql.post(document, headers, **variables.get(key, {}))]
        for key, document in graphql.DOCUMENTS.items()
        if known or key not in graphql.OF_CHAINS
    }

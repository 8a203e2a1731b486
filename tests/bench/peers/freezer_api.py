"""freezer-api 19 on MariaDB, behind Keystone, in gunicorn with two workers on both cores."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.bench import freezer_data, mariadb, rest
from tests.bench.machine import on_core
from tests.bench.peers import Peer
from tests.bench.progress import say
from tests.bench.stage import Stage
from tests.compat.environments import made_of
from tests.compat.keystone import PASSWORD, free_port

WORKERS = 2
VERSION = "19.0.0"
REQUIREMENTS = (f"freezer-api=={VERSION}", "gunicorn>=27,<28", "pymysql>=1.1,<2")
PATIENCE = 120
"""How many seconds it may take to start."""

CONFIGURATION = """
[DEFAULT]
debug = false
[database]
connection = {database}
[paste_deploy]
config_file = {environment}/etc/freezer/freezer-paste.ini
[keystone_authtoken]
www_authenticate_uri = {auth_url}
auth_type = password
auth_url = {auth_url}
username = gateway
password = {password}
project_name = service
user_domain_name = Default
project_domain_name = Default
token_cache_time = 3600
[oslo_policy]
enforce_scope = false
"""


@contextmanager
def running(stage: Stage) -> Iterator[Peer]:
    """Run it on a MariaDB server with the same catalogue."""
    environment = made_of("freezer-api-mariadb", REQUIREMENTS)
    folder = stage.folder / "freezer-api"
    folder.mkdir()
    with mariadb.running(folder) as server:
        server.run("CREATE DATABASE freezer CHARACTER SET utf8mb4")
        configuration = folder / "freezer-api.conf"
        configuration.write_text(
            CONFIGURATION.format(
                database=server.url("freezer"),
                environment=environment,
                auth_url=stage.keystone.auth_url,
                password=PASSWORD,
            )
        )
        log = folder / "freezer-api.log"
        manage = [environment / "bin" / "freezer-manage", "--config-file", configuration]
        with log.open("wb") as output:
            subprocess.run([*manage, "db", "sync"], stdout=output, stderr=output, check=True)
        say(f"loading {stage.catalogue.backups:,} backups into MariaDB")
        freezer_data.fill(server, "freezer", [stage.catalogue, stage.second], folder)
        with _serving(environment, configuration, log, stage) as (url, process):
            dialect = rest.Rest(
                stage.catalogue,
                stage.second,
                stage.headers(stage.catalogue),
                stage.headers(stage.second),
                by_marker=False,
            )
            (version,) = server.run("SELECT VERSION()")[0]
            yield Peer(
                "freezer-api",
                url,
                process,
                {key: dialect.requests(key) for key in rest.KEYS},
                lambda _key, answer: rest.read(answer),
                stage.catalogue,
                about=f"freezer-api {VERSION}, {WORKERS} workers, MariaDB {version}",
                counting=server.counting,
                processes=WORKERS,
            )


@contextmanager
def _serving(
    environment: Path, configuration: Path, log: Path, stage: Stage
) -> Iterator[tuple[str, int]]:
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        *on_core(stage.cores.both),
        str(environment / "bin" / "gunicorn"),
        f"--bind={url.removeprefix('http://')}",
        f"--workers={WORKERS}",
        "--timeout=600",
        "--no-control-socket",
        f"--pythonpath={Path(__file__).parent / 'servers'}",
        "freezer_wsgi:application",
    ]
    variables = os.environ | {"FREEZER_API_CONFIG": str(configuration)}
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
    try:
        _wait(process, url, log)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    patient_until = time.monotonic() + PATIENCE
    while time.monotonic() < patient_until and process.poll() is None:
        try:
            httpx.get(f"{url}/healthcheck", timeout=PATIENCE)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"freezer-api didn't start:\n{log.read_text()[-5000:]}")

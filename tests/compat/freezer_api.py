"""freezer-api 19, in place of a gateway, or to move in from."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.live import LiveGateway

from .environments import installed, program
from .keystone import PASSWORD, Keystone, free_port

PATIENCE = 60
"""How many seconds it may take to answer."""

CONFIGURATION = """
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
[oslo_policy]
enforce_scope = false
"""


@contextmanager
def serving(keystone: Keystone, folder: Path, database: str | None = None) -> Iterator[LiveGateway]:
    """Run a freezer-api; Keystone's catalogue leads to it.

    Its database is the one of the URL, or a new SQLite file.
    """
    file = folder / "freezer-api.conf"
    file.write_text(
        CONFIGURATION.format(
            database=database or f"sqlite:///{folder}/freezer-api.sqlite3",
            environment=installed("freezer-api"),
            auth_url=keystone.auth_url,
            password=PASSWORD,
        )
    )
    log = folder / "freezer-api.log"
    manage = [program("freezer-api", "freezer-manage"), "--config-file", file, "db", "sync"]
    with log.open("wb") as output:
        subprocess.run(manage, stderr=output, check=True)
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program("freezer-api", "gunicorn"),
        f"--bind={url.removeprefix('http://')}",
        "--workers=1",
        "--threads=4",
        "--timeout=600",
        "--no-control-socket",
        f"--pythonpath={Path(__file__).parent / 'servers'}",
        "freezer_api_wsgi:application",
    ]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=os.environ | {"FREEZER_API_CONFIG": str(file)}, stderr=output
        )
    try:
        _wait(process, url, log)
        keystone.register(url)
        yield LiveGateway(url, log, process)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    patient_until = time.monotonic() + PATIENCE
    while time.monotonic() < patient_until and process.poll() is None:
        try:
            httpx.get(f"{url}/healthcheck")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"freezer-api didn't start:\n{log.read_text()[-5000:]}")

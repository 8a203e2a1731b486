"""Horizon with freezer-web-ui: set up once, then driven from inside, or served to a browser."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from .environments import REQUIREMENTS, fingerprint, installed, made_once, program
from .keystone import PASSWORD, Keystone, free_port

PATIENCE = 60
"""How many seconds Horizon may take to answer."""

SERVERS = Path(__file__).parent / "servers"
SETTINGS = SERVERS / "horizon_settings.py"


class Failed(Exception):
    """What was called raised an error; its traceback."""


class WebUI:
    """freezer-web-ui's module `api` in a process of its own, as a user who is signed in sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Talk to this process."""
        self._process = process

    def __call__(self, name: str, *arguments: object, **keywords: object) -> Any:
        """Call `Job.list` or another method; return its value, of objects their attributes.

        Raises Failed if that raises an error.
        """
        answer = self._ask({"call": name, "with": [arguments, keywords]})
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["value"]

    def _ask(self, wanted: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def signed_in(keystone: Keystone, user: str) -> Iterator[WebUI]:
    """Yield the module `api` for a user of Keystone's."""
    who = {"username": user, "password": PASSWORD, "user_domain_name": "Default"}
    with subprocess.Popen(
        [program("horizon", "python"), SERVERS / "web_ui.py"],
        env=variables(keystone),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(who) + "\n")
        yield WebUI(process)
        process.stdin.close()


@contextmanager
def serving(keystone: Keystone, folder: Path) -> Iterator[str]:
    """Run Horizon, and yield its URL; its log goes into the folder."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program("horizon", "gunicorn"),
        f"--bind={url.removeprefix('http://')}",
        # One process, which keeps the sessions.
        "--workers=1",
        "--threads=4",
        "--no-control-socket",
        "django.core.wsgi:get_wsgi_application()",
    ]
    log = folder / "horizon.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=variables(keystone), stdout=output, stderr=output) as process,
    ):
        try:
            _wait(process, url, log)
            yield url
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    patient_until = time.monotonic() + PATIENCE
    while time.monotonic() < patient_until and process.poll() is None:
        try:
            if httpx.get(f"{url}/auth/login/", timeout=PATIENCE).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"Horizon didn't start:\n{log.read_text()[-5000:]}")


def variables(keystone: Keystone) -> dict[str, str]:
    """Return the environment in which Horizon's programs find Keystone and their files."""
    return _django(_set_up()) | {"HORIZON_KEYSTONE_URL": keystone.auth_url}


def _django(static: Path) -> dict[str, str]:
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": SETTINGS.stem,
        "HORIZON_STATIC_ROOT": str(static),
        "PYTHONPATH": str(SERVERS),
        "PYTHONWARNINGS": "ignore",
    }


def _set_up() -> Path:
    """Return the folder of static files of a Horizon that shows freezer-web-ui's panels."""
    environment = installed("horizon")
    folder = environment / f"static-{fingerprint(*REQUIREMENTS['horizon'], SETTINGS.read_text())}"
    with made_once(folder) as missing:
        if missing:
            (packages,) = environment.glob("lib/python*/site-packages")
            # As the plugin's manual says.
            for file in (packages / "freezer_ui" / "enabled").glob("_*_*.py"):
                shutil.copy(file, packages / "openstack_dashboard" / "local" / "enabled")
            folder.mkdir()
            for command in (["collectstatic", "--no-input"], ["compress", "--force"]):
                subprocess.run(
                    [program("horizon", "django-admin"), *command],
                    env=_django(folder),
                    check=True,
                    capture_output=True,
                )
    return folder

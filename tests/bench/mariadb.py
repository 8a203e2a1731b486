"""A throw-away MariaDB server, which is what freezer-api keeps its catalogue in."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql

SETTINGS = (
    # As PostgreSQL's: no client waits for the disk, everything fits into memory.
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-size=2G",
    "--innodb-log-file-size=512M",
    "--max-connections=200",
    "--skip-log-bin",
    "--skip-networking",
)
PATIENCE = 60
"""How many seconds the server may take to start."""
_STATEMENTS = ("Com_select", "Com_insert", "Com_update", "Com_delete", "Com_replace")


class MariaDB:
    """The server, by its socket; whoever runs it may do everything there."""

    def __init__(self, folder: Path) -> None:
        """Take the folder that its files are in."""
        self.socket = folder / "mariadb.sock"

    def url(self, database: str) -> str:
        """Return the URL of a database, for SQLAlchemy."""
        return f"mysql+pymysql://root@localhost/{database}?unix_socket={self.socket}"

    def run(self, *statements: str, database: str | None = None) -> Sequence[Any]:
        """Run statements in a session of their own; return the last one's rows."""
        connection = pymysql.connect(
            unix_socket=str(self.socket), user="root", database=database, autocommit=True
        )
        with connection, connection.cursor() as cursor:
            rows: Sequence[Any] = ()
            for statement in statements:
                cursor.execute(statement)
                rows = cursor.fetchall()
            return rows

    @contextmanager
    def counting(self) -> Iterator[list[int]]:
        """Count the statements in the block; the list gets their number at its end.

        What begins and ends transactions doesn't count.
        """
        counted: list[int] = []
        begun = self._statements()
        yield counted
        counted.append(self._statements() - begun)

    def _statements(self) -> int:
        rows = self.run("SHOW GLOBAL STATUS LIKE 'Com\\_%'")
        return sum(int(value) for name, value in rows if name in _STATEMENTS)


@contextmanager
def running(folder: Path) -> Iterator[MariaDB]:
    """Run a server that keeps its files in the folder."""
    data, log = folder / "mariadb", folder / "mariadb.log"
    server = MariaDB(folder)
    common = ["--no-defaults", f"--datadir={data}", "--user=root"]
    install = ["mariadb-install-db", *common, "--auth-root-authentication-method=normal"]
    with log.open("wb") as output:
        subprocess.run([*install, "--skip-test-db"], stdout=output, stderr=output, check=True)
        command = ["mariadbd", *common, f"--socket={server.socket}", *SETTINGS]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait(server, process, log)
        yield server
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait(server: MariaDB, process: subprocess.Popen[bytes], log: Path) -> None:
    patient_until = time.monotonic() + PATIENCE
    while time.monotonic() < patient_until and process.poll() is None:
        # The driver leaves a socket open that can't be connected.
        if server.socket.exists():
            server.run("SELECT 1")
            return
        time.sleep(0.1)
    raise AssertionError(f"MariaDB didn't start:\n{log.read_text()[-3000:]}")

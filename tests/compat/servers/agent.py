"""freezer-agent's own classes on a local folder: one history for each line of standard input.

A history is how names are listed, and what is done at which time; the answer is a line, too: what
came of each step. The order of listings and the clock are this program's, all else is freezer's.
Where a line has names instead, the answer is how each storage lists a folder of them; where it is
null, what storages do whose servers do all that is asked.
"""

import datetime as dt
import ftplib
import json
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from freezer import job
from freezer.engine import engine
from freezer.storage import ftp, local, s3, ssh, swift
from freezer.utils import utils

NAME = "web1_nightly"
PATIENCE = 2
"""How many seconds the end of a file may take."""


class Clock(dt.datetime):
    """A clock that is set."""

    time: ClassVar[float] = 0

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "Clock":
        """Return the time that it is set to."""
        return cls.fromtimestamp(Clock.time, tz)


class Process:
    """Instead of a process: remembers which backup was to be read."""

    read: ClassVar[list[Any]] = []
    exitcode = 0

    def __init__(self, target: Any, args: Any) -> None:
        """Take what it would run."""
        if target.__name__ == "read_blocks":
            self.read.append(args[0])

    def start(self) -> None:
        """Begin nothing."""

    def join(self) -> None:
        """Wait for nothing."""


class Engine(engine.BackupEngine):  # type: ignore[misc]
    """An engine whose metadata are the time of the backup, as tar's are its list of files."""

    name = "tar"
    base: int | None = None

    def backup_data(self, _: object, manifest_path: str) -> Iterator[bytes]:
        """Yield some data; remember the time of the backup that they are based on."""
        manifest = Path(manifest_path)
        self.base = int(manifest.read_text()) if manifest.exists() else None
        manifest.write_text(str(int(Clock.time)))
        yield b"data"

    def metadata(self, _: object) -> dict[str, object]:
        """Return none."""
        return {}

    def restore_level(self, *_: object) -> None:
        """Do nothing."""


class Series:
    """A folder with one series."""

    def __init__(self, container: Path) -> None:
        """Begin with an empty folder."""
        self.storage = local.LocalStorage(str(container), max_segment_size=1000)
        self.engine = Engine(self.storage)
        self.metadata = container / "metadata" / "tar" / NAME

    def names(self) -> list[str]:
        """Return what there is."""
        return sorted(f"{path.parent.name}/{path.name}" for path in self.metadata.glob("*/*"))

    def conf(self, **more: object) -> SimpleNamespace:
        """Return the configuration of an agent."""
        usual: dict[str, object] = dict.fromkeys(
            ("remove_before_date", "remove_from_date", "remove_older_than", "consistency_checksum")
        )
        usual |= {"backup_media": "fs", "mode": "fs", "overwrite": False}
        return SimpleNamespace(**usual, hostname_backup_name=NAME, **more)

    def backup(self, policy: dict[str, Any]) -> list[object]:
        """Make a backup; return where it is, and the time of what it is based on."""
        before = set(self.names())
        self.engine.backup(".", NAME, **policy)
        (name,) = set(self.names()) - before
        return [name, self.engine.base]

    def remove(self, options: dict[str, Any]) -> list[str]:
        """Remove what is old; return what is left."""
        admin = self._job(job.AdminJob)
        for name, value in options.items():
            setattr(admin.conf, name, value)
        admin._validate()  # noqa: SLF001 - as its constructor does, which asks Keystone first
        admin.execute()
        return self.names()

    def restore(self, date: str | None) -> list[object]:
        """Restore as of a date; return what was read, and the exception it ended in."""
        Process.read.clear()
        restore = self._job(job.RestoreJob)
        restore.conf.restore_from_date = date
        with tempfile.TemporaryDirectory() as target:
            restore.conf.restore_abs_path = target
            failure = attempt(restore.execute)
        read = [
            f"{backup.level_zero_timestamp}/{backup.level}_{backup.timestamp}"
            for backup in Process.read
        ]
        return [read, failure if isinstance(failure, str) else None]

    def lose(self, chain: int, number: int) -> list[str]:
        """Remove one of the backups by hand, its data and the metadata; return what is left."""
        chains = sorted(self.metadata.glob("*"))
        backups = sorted(chains[chain % len(chains)].iterdir()) if chains else []
        if backups:
            shutil.rmtree(backups[number % len(backups)])
        return self.names()

    def _job(self, kind: Any) -> Any:
        made = kind.__new__(kind)
        made.storage, made.engine, made.remove_timestamp = self.storage, self.engine, None
        made.conf = self.conf()
        return made


def attempt(function: Any, *args: object) -> object:
    """Call a function; return its result, or the name of its exception's class."""
    try:
        return function(*args)
    except Exception as error:  # noqa: BLE001 - which one it is is the question
        return type(error).__name__


def listed(names: list[str], order: int | None) -> list[str]:
    """Return names as a storage lists them: sorted, or in the order of this number."""
    if order is None:
        return sorted(names)
    return sorted(names, key=lambda name: random.Random(f"{order} {name}").random())  # noqa: S311


def played(history: dict[str, Any]) -> list[object]:
    """Return what came of each step of a history."""
    local.os = SimpleNamespace(
        listdir=lambda path: listed(
            [found.name for found in Path(path).iterdir()], history["order"]
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        series = Series(Path(folder))
        outcomes = []
        for now, what, *args in history["steps"]:
            Clock.time = now
            outcomes.append(attempt(getattr(series, what), *args))
        return outcomes


def listings(names: list[str]) -> dict[str, list[str]]:
    """Return how each storage lists a folder, whose server or file system lists these names."""
    made = {
        kind._type: kind.__new__(kind)  # noqa: SLF001 - constructors log in
        for kind in (
            *(local.LocalStorage, ssh.SshStorage, ftp.FtpStorage, ftp.FtpsStorage),
            *(swift.SwiftStorage, s3.S3Storage),
        )
    }
    made["ftps"] = ftp.FtpsStorage.__new__(ftp.FtpsStorage)
    local.os = SimpleNamespace(listdir=lambda _: names)
    made["ssh"].ftp = SimpleNamespace(listdir=lambda _: names)
    server = SimpleNamespace(cwd=lambda _: "250", nlst=lambda: names)
    made["ftp"].ftp = made["ftps"].ftp = server
    objects = [{"subdir": f"folder/{name}/"} for name in names]
    made["swift"].swift = lambda: SimpleNamespace(get_container=lambda **_: ({}, objects))
    keys = [{"Key": f"folder/{name}/metadata"} for name in names]
    made["s3"].list_all_objects = lambda **_: keys
    return {storage: list(it.listdir("container/folder")) for storage, it in made.items()}


def faults() -> dict[str, object]:
    """Return what fails, or how many blocks are read of a file of one block."""
    s3_storage = s3.S3Storage.__new__(s3.S3Storage)
    s3_storage.get_s3_connection = lambda: SimpleNamespace(put_object=lambda **_: None)
    ftp_storage = ftp.FtpStorage.__new__(ftp.FtpStorage)
    ftp_storage.max_segment_size = 1000
    ftp_storage.init = lambda: None
    ftp_storage.get_file = lambda _, to_path: Path(to_path).write_text("data")
    ftp_storage.ftp = SimpleNamespace(cwd=missing)
    signal.signal(signal.SIGALRM, lambda *_: impatient())
    signal.alarm(PATIENCE)
    blocks = attempt(lambda: len(list(ftp_storage.backup_blocks(SimpleNamespace(data_path="")))))
    signal.alarm(0)
    return {
        "s3: put_file": attempt(s3_storage.put_file, __file__, "bucket/key"),
        "ftp: listdir": attempt(ftp_storage.listdir, "/missing"),
        "ftp: backup_blocks": blocks,
    }


def missing(_: str) -> None:
    """Answer as a server does without this folder."""
    raise ftplib.error_perm("550 No such file or directory")  # noqa: S321 - nothing is sent


def impatient() -> None:
    """Wait no longer."""
    raise TimeoutError


engine.multiprocessing = SimpleNamespace(Process=Process, Pipe=Pipe)
utils.datetime = job.datetime = SimpleNamespace(datetime=Clock, timedelta=dt.timedelta)
for line in sys.stdin:
    asked = json.loads(line)
    if asked is None:
        answer: object = faults()
    else:
        answer = listings(asked["names"]) if "names" in asked else played(asked)
    print(json.dumps(answer), flush=True)  # noqa: T201 - it is the answer

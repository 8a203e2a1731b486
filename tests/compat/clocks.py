"""A clock that is set from outside, for a host's programs: Debian's libfaketime."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

LIBRARY = "*/faketime/libfaketimeMT.so.1"
"""Where Debian has it, in /usr/lib: `make faketime`."""


class Clock:
    """A clock that runs, and is set to the past; its time zone is UTC."""

    def __init__(self, folder: Path) -> None:
        """Keep how late it is in the folder, where the programs read it."""
        self.folder = folder
        self.file = folder / "clock"
        self.set(datetime.now(UTC))

    def set(self, now: datetime) -> None:
        """Set it, in programs that run, too."""
        new = self.folder / "clock.new"
        new.write_text(f"-{time.time() - now.timestamp():f}")
        new.rename(self.file)

    def variables(self) -> dict[str, str]:
        """Return the variables by which a program and those that it starts have this clock.

        tar has the real one, as the files have: by it, it knows what has changed.
        """
        real = self.folder / "real"
        real.mkdir(exist_ok=True)
        tar = real / "tar"
        tar.write_text('#!/bin/sh\nunset LD_PRELOAD\nexec /bin/tar "$@"\n')
        tar.chmod(0o755)
        (library,) = Path("/usr/lib").glob(LIBRARY)
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            # Two thirds of a second less for each program.
            "EVENTLET_NO_GREENDNS": "yes",
            "PYTHONPATH": str(Path(__file__).parent / "servers" / "clock"),
            "PATH": f"{real}{os.pathsep}{os.environ['PATH']}",
        }

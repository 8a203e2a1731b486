"""The machine: its cores, and the time and memory that processes take."""

import math
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

RESTING = 0.05
"""The seconds in which a process that rests takes less than a tenth of a core."""


@dataclass(frozen=True)
class Cores:
    """Which core serves, and which one has the database and the load."""

    server: int
    load: int

    @property
    def both(self) -> str:
        """For programs that may use two."""
        return f"{self.server},{self.load}"


def cores() -> Cores:
    """Choose two cores of those that this process may use. Raises SystemExit if there is one."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise SystemExit("the benchmark needs two cores: one that serves, one that asks")
    return Cores(usable[0], usable[1])


def on_core(core: int | str) -> list[str]:
    """Return what begins the command line of a program that is to stay on a core."""
    return ["taskset", "--cpu-list", str(core)]


def pin(process: int, core: int) -> None:
    """Keep a process and its children, whose threads don't matter, on a core from now on."""
    for each in tree(process):
        with suppress(psutil.NoSuchProcess):
            each.cpu_affinity([core])


def tree(process: int) -> Iterator[psutil.Process]:
    """Yield a process and everything that it has started."""
    root = psutil.Process(process)
    yield root
    yield from root.children(recursive=True)


def cpu_seconds(process: int) -> float:
    """Return the seconds of CPU that a process and its descendants have taken."""
    # psutil's times come in hundredths of a second, which is 1 % of what a sample takes.
    return sum(time.clock_gettime(_cpu_clock(each.pid)) for each in tree(process))


def _cpu_clock(process: int) -> int:
    """Return Linux's clock of the CPU time of a process, as clock_getcpuclockid(3) makes it."""
    return ~process << 3 | 2


def settle(process: int, patience: float = 5.0) -> None:
    """Wait, for so many seconds at most, until a process rests: until the load it had is done with.

    wrk leaves without the last answers, and not every program notices that nobody wants them.
    """
    patient_until = time.monotonic() + patience
    busy = True
    while busy and time.monotonic() < patient_until:
        begun = cpu_seconds(process)
        time.sleep(RESTING)
        busy = cpu_seconds(process) - begun > RESTING / 10


def resident_mb(process: int) -> float:
    """Return the resident memory, in MB, of that one of a process and its descendants with most."""
    return max(each.memory_info().rss for each in tree(process)) / 1e6


class Calm:
    """Waits until the machine is about as quick as it has been: its host may have other guests.

    That noise comes in waves, of minutes; `patience` is how many seconds all waits together may
    take, and `waited` how many they have taken.
    """

    SLOWER = 1.25
    """From which share of the shortest time on, for a loop that does nothing, it isn't calm."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.waited = 0.0
        self._shortest = math.inf

    def wait(self) -> None:
        """Wait, if there is any patience left."""
        begun = time.perf_counter()
        while (took := self._look()) > self._shortest * self.SLOWER:
            if self.waited + time.perf_counter() - begun > self.patience:
                break
            time.sleep(1)
        self._shortest = min(self._shortest, took)
        self.waited += time.perf_counter() - begun

    def _look(self) -> float:
        """Return the seconds that a loop takes, the shortest of some."""
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            for _ in range(100_000):
                pass
            times.append(time.perf_counter() - begun)
        return min(times)


def described() -> str:
    """Return a line about the machine."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    processor = model[1] if model else platform.machine()
    memory = psutil.virtual_memory().total / 2**30
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"

"""freezer-scheduler, run in the foreground as its operator would, and the agents that it starts."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .clocks import Clock
from .environments import program
from .keystone import PASSWORD, REGION, Keystone

PATIENCE = 300
"""How many seconds it may take to do something; freezer-api keeps it waiting."""

CONFIGURATION = """
[DEFAULT]
log_file = {log}
[scheduler]
{scheduler}
[service_auth]
os_auth_url = {auth_url}
os_username = {user}
os_password = {password}
os_project_name = {project}
os_user_domain_name = Default
os_project_domain_name = Default
os_region_name = {region}
"""


class Scheduler:
    """A running scheduler: what it logs, and its process."""

    def __init__(self, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.log = log
        self.process = process

    def says(self, text: str) -> bool:
        """Tell whether its log has this text."""
        return self.log.exists() and text in self.log.read_text()

    def wait_to_say(self, text: str, times: int = 1) -> None:
        """Wait until its log has this text as often."""
        patient_until = time.monotonic() + PATIENCE
        while not self.log.exists() or self.log.read_text().count(text) < times:
            assert time.monotonic() < patient_until, f"no {text!r} in {self.log}"
            assert self.process.poll() is None, f"the scheduler has ended: {self.log}"
            time.sleep(0.1)


@contextmanager
def running(
    keystone: Keystone,
    folder: Path,
    client_id: str,
    account: tuple[str, str] = ("alice", "alpha"),
    clock: Clock | None = None,
    **options: object,
) -> Iterator[Scheduler]:
    """Run the scheduler of a host, which logs in as this user of this project.

    It keeps what it and its agents keep in the folder. Without a clock, it has the real one. The
    options are the scheduler's own, such as the `interval` at which it asks for jobs, in seconds.
    """
    folder.mkdir(exist_ok=True)
    log = folder / "scheduler.log"
    file = folder / "scheduler.conf"
    usual = {
        "client_id": client_id,
        "jobs_dir": folder / "jobs",
        "interval": 1,
        "concurrent_jobs": 4,
        "no_daemon": True,
    }
    lines = [f"{name} = {value}" for name, value in (usual | options).items()]
    user, project = account
    file.write_text(
        CONFIGURATION.format(
            log=log,
            scheduler="\n".join(lines),
            auth_url=keystone.auth_url,
            user=user,
            password=PASSWORD,
            project=project,
            region=REGION,
        )
    )
    command = program("freezer", "freezer-scheduler")
    variables = {"PATH": os.environ["PATH"]} if clock is None else clock.variables()
    environment = variables | {
        # By which it finds the agent, and the agent tar and gzip.
        "PATH": f"{command.parent}{os.pathsep}{variables['PATH']}",
        "HOME": str(folder),
        "TZ": "UTC",
        "OS_IDENTITY_API_VERSION": "3",
    }
    with (folder / "scheduler.out").open("wb") as output:
        process = subprocess.Popen(
            [command, "--config-file", file, "start"],
            env=environment,
            stdout=output,
            stderr=output,
            # Of its own, so that its agents end with it.
            start_new_session=True,
        )
    scheduler = Scheduler(log, process)
    try:
        scheduler.wait_to_say("Polling for jobs from API")
        yield scheduler
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

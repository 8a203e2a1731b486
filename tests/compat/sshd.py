"""OpenSSH's server on this machine, to which a key lets the user in who runs the tests."""

import getpass
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .keystone import free_port

PATIENCE = 30
"""How many seconds it may take to start."""

CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@contextmanager
def running(folder: Path) -> Iterator[dict[str, object]]:
    """Run it; yield the options by which freezer-agent takes its backups there."""
    port = free_port()
    for name in ("host", "key"):
        generate = ["ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f", folder / name]
        subprocess.run(generate, check=True)
    file = folder / "sshd.conf"
    file.write_text(CONFIGURATION.format(port=port, folder=folder))
    if os.geteuid() == 0:
        # Where the server, as root, locks its helpers in.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    command = ["/usr/sbin/sshd", "-D", "-f", file, "-E", folder / "sshd.log"]
    with subprocess.Popen(command) as process:
        try:
            _wait(process, port, folder / "sshd.log")
            yield {
                "storage": "ssh",
                "ssh_host": "127.0.0.1",
                "ssh_port": port,
                "ssh_username": getpass.getuser(),
                "ssh_key": str(folder / "key"),
            }
        finally:
            process.terminate()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    patient_until = time.monotonic() + PATIENCE
    while time.monotonic() < patient_until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"sshd didn't start:\n{log.read_text()}")

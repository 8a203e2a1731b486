"""The tempest plugin: what OpenStack itself tests of a Freezer API."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from .environments import program
from .gateways import serving
from .keystone import PASSWORD, REGION, Keystone

PLUGIN = "freezer_tempest_plugin.tests.freezer_api"
TESTS = 34
"""How many tests the plugin has of the API."""

WHOLE_DOCUMENTS = {
    "TestFreezerApiBackups.test_api_backups_post",
    "TestFreezerApiBackups.test_api_backups_post_minimal",
}
"""Tests that want a backup to have freezer-api's keys and no others, not even documented ones."""

CONFIGURATION = f"""
[DEFAULT]
log_file = tempest.log
[auth]
use_dynamic_credentials = true
admin_username = admin
admin_password = {PASSWORD}
admin_project_name = admin
admin_domain_name = Default
tempest_roles = member
[identity]
auth_version = v3
uri_v3 = {{auth_url}}
region = {REGION}
v3_endpoint_type = public
[identity-feature-enabled]
application_credentials = true
[backup]
region = {REGION}
endpoint_type = publicURL
[service_available]
cinder = false
glance = false
horizon = false
neutron = false
nova = false
swift = false
freezer = true
[oslo_concurrency]
lock_path = locks
"""


def run(keystone: Keystone, folder: Path) -> dict[str, str]:
    """Return what became of each test of the plugin."""
    workspace = folder / "workspace"
    environment = os.environ | {"HOME": str(folder)}
    tempest = program("tempest", "tempest")
    # What tempest calls is looked for in the path.
    environment["PATH"] = f"{tempest.parent}{os.pathsep}{environment['PATH']}"
    subprocess.run([tempest, "init", workspace], env=environment, check=True, capture_output=True)
    file = workspace / "etc" / "tempest.conf"
    file.write_text(CONFIGURATION.format(auth_url=keystone.auth_url))
    done = subprocess.run(
        [
            # Side by side, they would get in the way of each other in Keystone's SQLite file.
            *(tempest, "run", "--config-file", file, "--serial"),
            *("--regex", rf"^{re.escape(PLUGIN)}\."),
        ],
        cwd=workspace,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    print(done.stdout, done.stderr)  # noqa: T201 - pytest shows it where a test fails
    return dict(re.findall(r"(?m)^\{\d\} (.+?) \[[\d.]+s\] \.\.\. (\w+)$", done.stdout))


@pytest.mark.parametrize(
    ("dialect", "failing"), [("freezer-19", set()), ("documented", WHOLE_DOCUMENTS)]
)
def test_the_plugin(
    keystone: Keystone, postgres_url: str, tmp_path: Path, dialect: str, failing: set[str]
) -> None:
    with serving(keystone, postgres_url, tmp_path, rest_dialect=dialect):
        results = run(keystone, tmp_path)
    failed = {name for name, result in results.items() if result != "ok"}
    assert failed == {f"{PLUGIN}.api.test_api_backups.{name}" for name in failing}
    assert len(results) == TESTS

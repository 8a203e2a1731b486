"""The wheel, as a user gets it: built by pip, installed into an empty environment, and used.

These take their packages from PyPI, and minutes: `make test-install` runs them.
"""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway import __version__
from tests.support.live import LiveGateway, live

ROOT = Path(__file__).parents[2]
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Encoding": "br"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel that `pip wheel .` builds."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
    subprocess.run([*pip, str(ROOT)], check=True)
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """Return a gateway that runs from the wheel alone, with no checkout and no Node.js in reach."""
    folder = tmp_path_factory.mktemp("installed")
    programs = folder / "venv" / "bin"
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    subprocess.run([str(programs / "pip"), "install", "--quiet", str(wheel)], check=True)
    assert not (programs / "node").exists()
    environment = ["env", "-u", "PYTHONPATH", f"PATH={programs}", f"--chdir={folder}"]
    with live(folder, program=[*environment, "freezer-gateway"]) as gateway:
        yield gateway


def test_the_wheel_holds_the_page_and_nothing_it_was_made_of(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name.removeprefix("gateway/playground/") for name in names if "playground" in name}
    assert {name for name in inside if not name.startswith("dist/assets/")} == {
        "__init__.py",
        "dist/.stamp",
        "dist/index.html",
        "dist/licenses.md",
    }
    assert {Path(name).suffix for name in inside} >= {".js", ".css", ".ttf", ".svg", ".br", ".gz"}
    others = {name.split("/")[0] for name in names}
    assert others == {"gateway", f"freezer_gateway-{__version__}.dist-info"}
    assert wheel.stat().st_size < 10_000_000


def test_the_page_is_there(installed: LiveGateway) -> None:
    response = httpx.get(f"{installed.url}/graphql", headers=BROWSER)
    assert response.status_code == 200
    assert f"<title>Freezer gateway {__version__}</title>" in response.text
    links = re.findall(r'"(graphql/assets/[^"]+)"', response.text)
    assert links
    for link in links:
        asset = httpx.get(f"{installed.url}/{link}", headers=BROWSER)
        assert asset.status_code == 200
        assert "immutable" in asset.headers["Cache-Control"]
        assert asset.headers["Content-Encoding"] == "br"


def test_it_answers_queries(installed: LiveGateway) -> None:
    query = "{ viewer { project } jobs(first: 1) { totalCount nodes { description } } }"
    response = httpx.post(f"{installed.url}/graphql", json={"query": query})
    data = response.json()["data"]
    assert data["viewer"] == {"project": "demo"}
    assert data["jobs"]["totalCount"] == 60
    assert httpx.get(f"{installed.url}/v2/demo/backups").json()["backups"]


def test_an_editable_install_builds_nothing(tmp_path: Path) -> None:
    # Neither asks for Node.js nor builds, although the page isn't there.
    source = tmp_path / "source"
    source.mkdir()
    tracked = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    listed = subprocess.run([*tracked, "--exclude-standard"], capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    pip = [str(tmp_path / "venv" / "bin" / "pip"), "install", "--no-deps"]
    # No Node.js is found on this PATH, and none is asked for.
    without_node = os.environ | {"PATH": "/usr/sbin:/sbin"}
    done = subprocess.run(
        [*pip, "--verbose", "--editable", str(source)],
        env=without_node,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nodejs" not in done.stdout
    assert not (source / "gateway" / "playground" / "dist").exists()
    assert not (source / "gateway" / "playground" / ".node").exists()


def test_the_source_distribution_makes_the_same_wheel_without_node(
    wheel: Path, tmp_path: Path
) -> None:
    build = [sys.executable, "-m", "build", "--sdist", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (file,) = tmp_path.iterdir()
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "tests/conftest.py", "gateway/playground/build.py"} <= names
    assert not [name for name in names if re.search(r"node_modules|\.node/|\.cache|\.venv", name)]
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path)]
    without_node = os.environ | {"PATH": "/usr/sbin:/sbin"}
    done = subprocess.run(
        [*pip, "--verbose", str(file)],
        env=without_node,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nodejs" not in done.stdout
    (second,) = tmp_path.glob("*.whl")
    assert zipfile.ZipFile(second).namelist() == zipfile.ZipFile(wheel).namelist()

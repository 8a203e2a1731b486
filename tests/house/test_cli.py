"""The command line, as an operator meets it."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner, Result

from gateway import __version__, logs, migrations
from gateway.__main__ import app
from gateway.auth.policy import Policy
from gateway.cli.demonstration import seconds_of
from tests.support.databases import OWN_SERVER, Postgres
from tests.support.live import PATIENCE, live


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, and leave the logs of this process alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(OWN_SERVER, raising=False)
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    return tmp_path


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(app, arguments, env=variables)


def lines(result: Result) -> list[str]:
    """Return what was said to be wrong."""
    return [line for line in result.stderr.splitlines() if line.startswith("freezer-gateway: ")]


def test_version() -> None:
    assert run("--version").stdout == f"freezer-gateway {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["serve", "demo", "settings", "GATEWAY_DATABASE_URL", "freezer-gateway db upgrade"]),
        (["serve"], ["--host", "--port", "--insecure-no-auth", "--config", "GATEWAY_CONFIG"]),
        (["db"], ["upgrade", "downgrade", "check"]),
        (["schema"], ["print"]),
        (["demo"], ["--config", "--alive", "--speed", "--url", "--project", "--seed", "--for"]),
    ],
)
def test_help(arguments: list[str], words: list[str]) -> None:
    result = run(*arguments, "--help", COLUMNS="200")
    assert result.exit_code == 0
    assert [word for word in words if word not in result.stdout] == []


def test_a_line_for_each_wrong_setting() -> None:
    result = run(
        "serve",
        GATEWAY_PORT="abc",
        GATEWAY_AUTH="nobody",
        GATEWAY_DATABASE_URL="mysql://user:secret@host/name",
    )
    assert result.exit_code == 2
    port, database, auth = lines(result)
    assert "GATEWAY_PORT" in port
    assert "'abc'" in port
    assert "GATEWAY_DATABASE_URL 'mysql' is none of" in database
    assert "GATEWAY_AUTH must be 'none'" in auth
    assert "secret" not in result.output


def test_settings_that_contradict_each_other() -> None:
    result = run("serve", GATEWAY_DEFAULT_LIMIT="5000")
    assert result.exit_code == 2
    assert lines(result) == ["freezer-gateway: default_limit 5000 is over max_limit"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("prot = 1", "there is no setting 'prot': 'port' perhaps?"),
        ("port = 70000", "GATEWAY_PORT must be less than or equal to 65535, not 70000"),
        ("port = [", "gateway.toml: Invalid value (at end of document)"),
        (None, "no such file: gateway.toml"),
    ],
)
def test_a_file_that_is_wrong(folder: Path, content: str | None, told: str) -> None:
    if content is not None:
        (folder / "gateway.toml").write_text(content)
    for result in (
        run("db", "check", "--config", "gateway.toml"),
        run("db", "check", GATEWAY_CONFIG="gateway.toml"),
    ):
        assert result.exit_code == 2
        (line,) = lines(result)
        assert told in line


def test_a_file_of_settings(folder: Path) -> None:
    (folder / "gateway.toml").write_text('database_url = "sqlite:///other.sqlite3"')
    assert run("db", "upgrade", "--config", "gateway.toml").exit_code == 0
    assert (folder / "other.sqlite3").exists()


def test_the_schema_of_an_embedded_file() -> None:
    before = run("db", "check")
    assert before.exit_code == 1
    assert "freezer-gateway db upgrade" in before.stdout
    for _ in range(2):
        upgraded = run("db", "upgrade")
        assert upgraded.exit_code == 0
        assert "current" in upgraded.stdout
    assert run("db", "check").exit_code == 0


def test_the_schema_goes_back_step_by_step() -> None:
    run("db", "upgrade")
    *_, first = newest_first = migrations.revisions()
    for older in newest_first[1:]:
        result = run("db", "downgrade")
        assert (result.exit_code, f"at revision {older}" in result.stdout) == (0, True)
    assert run("db", "check").exit_code == 1
    result = run("db", "downgrade")
    assert result.exit_code == 1
    assert lines(result) == [f"freezer-gateway: there is nothing before revision {first}"]
    assert run("db", "upgrade").exit_code == 0


def test_a_database_that_is_down() -> None:
    result = run("db", "upgrade", GATEWAY_DATABASE_URL="postgresql://user:secret@127.0.0.1:1/x")
    assert result.exit_code == 1
    assert lines(result) == ["freezer-gateway: the database doesn't answer"]
    assert "secret" not in result.output


def test_a_file_that_cannot_be() -> None:
    result = run("serve", GATEWAY_DATABASE_URL="sqlite:///no/such/folder/file")
    assert result.exit_code == 1
    assert lines(result) == ["freezer-gateway: no/such/folder/file: unable to open database file"]


def test_a_file_that_is_something_else(folder: Path) -> None:
    (folder / "freezer-gateway.sqlite3").write_text("something else" * 100)
    result = run("db", "upgrade")
    assert result.exit_code == 1
    assert lines(result) == ["freezer-gateway: the database says: file is not a database"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org"])  # noqa: S104
def test_nobody_is_served_unauthenticated_from_elsewhere(host: str) -> None:
    result = run("serve", "--host", host)
    assert result.exit_code == 2
    (line,) = lines(result)
    assert "--insecure-no-auth" in line


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("serve", "--port", port)
    assert result.exit_code == 1
    assert lines(result) == [
        f"freezer-gateway: can't listen on 127.0.0.1 port {port}: Address already in use"
    ]


def test_the_schema_is_the_committed_one() -> None:
    committed = Path(__file__).parents[2] / "schema.graphql"
    assert run("schema", "print").stdout == committed.read_text()


def test_rules_that_cannot_be_understood(folder: Path) -> None:
    for content in (None, "jobs:get: 'role:admin or'"):
        if content:
            (folder / "policy.yaml").write_text(content)
        result = run("serve", "--port", "0", GATEWAY_POLICY_FILE="policy.yaml")
        assert result.exit_code == 2
        assert "policy.yaml" in lines(result)[0]


def test_rules_to_begin_with(folder: Path) -> None:
    sample = run("policy", "sample").stdout
    assert '#"jobs:create"' in sample
    (folder / "policy.yaml").write_text(sample)
    assert Policy(folder / "policy.yaml")


def test_settings_are_listed() -> None:
    assert "GATEWAY_PORT=9090" in run("settings").stdout


@pytest.fixture
def empty_url(postgres_url: str) -> Iterator[str]:
    """Return the URL of a PostgreSQL database without tables."""
    server = Postgres(postgres_url)
    url = asyncio.run(server.create())
    yield url
    asyncio.run(server.drop(url))


def test_serving_needs_the_right_schema(empty_url: str, folder: Path) -> None:
    def refusal() -> str:
        result = run("serve", GATEWAY_DATABASE_URL=empty_url)
        assert result.exit_code == 1
        (line,) = lines(result)
        return line

    assert "freezer-gateway db upgrade" in refusal()
    assert run("db", "upgrade", GATEWAY_DATABASE_URL=empty_url).exit_code == 0
    with live(folder, sample_data=False, database_url=empty_url) as gateway:
        assert httpx.get(f"{gateway.url}/v2/p/jobs").status_code == 200
    asyncio.run(set_revision(empty_url, "9999"))
    assert "upgrade the gateway" in refusal()
    assert run("db", "upgrade", GATEWAY_DATABASE_URL=empty_url).exit_code == 1


async def set_revision(url: str, revision: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE alembic_version SET version_num = $1", revision)
    await connection.close()


def test_serving_waits_for_its_database(folder: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    with live(folder, sample_data=False, database_url=url) as gateway:
        assert httpx.get(f"{gateway.url}/v2/p/jobs").status_code == 503
        assert "answering 503" in gateway.log.read_text()


def test_sample_data() -> None:
    added = run("demo")
    assert added.exit_code == 0
    assert added.stdout.startswith("added ")
    assert run("demo").stdout == "the sample data is there already\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--speed", "2"], "--speed goes with --alive"),
        (["--for", "2m"], "--for goes with --alive"),
        (["--alive", "--speed", "0"], "--speed must be above 0, and at most 1000000, not 0"),
        (["--alive", "--speed", "nan"], "--speed must be above 0, and at most 1000000, not nan"),
        (["--alive", "--url", "gateway"], "--url must be an address such as"),
        (["--alive", "--url", "http://a:b"], "--url: http://a:b: Invalid port"),
    ],
)
def test_an_estate_that_is_wrongly_described(arguments: list[str], told: str) -> None:
    result = run("demo", *arguments)
    assert result.exit_code == 2
    (line,) = lines(result)
    assert told in line


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("0.5s", 0.5), ("1h2m3s", 3723)],
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5d", "-1", "m"])
def test_what_is_no_duration(text: str) -> None:
    result = run("demo", "--alive", f"--for={text}")
    assert result.exit_code == 2
    assert "is no duration" in result.stderr


def test_an_estate_without_a_gateway() -> None:
    result = run("demo", "--alive", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "http://127.0.0.1:1 doesn't answer" in lines(result)[0]
    assert "freezer-gateway serve" in lines(result)[1]


def test_serving(folder: Path) -> None:
    with live(folder, sample_data=False) as gateway:
        assert gateway.url.startswith("http://127.0.0.1:")
        response = httpx.get(f"{gateway.url}/v2/p/jobs")
        assert response.json() == {"jobs": []}
        posted = httpx.post(f"{gateway.url}/graphql", json={"query": "{ jobs { totalCount } }"})
        assert posted.json() == {"data": {"jobs": {"totalCount": 0}}}
        log = gateway.log.read_text()
        assert f"{gateway.url}/graphql" in log
        assert response.headers["X-Openstack-Request-Id"] in log
        assert "secret" not in log
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(PATIENCE) == 0


def test_serving_everybody(folder: Path) -> None:
    with live(folder, "--insecure-no-auth", sample_data=False, host="0.0.0.0") as gateway:  # noqa: S104
        assert "nobody is authenticated" in gateway.log.read_text()
        url = gateway.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        for origin, status in (("http://gateway.example.org", 200), ("http://other.org", 403)):
            headers = {"Host": "gateway.example.org", "Origin": origin}
            assert httpx.get(f"{url}/v2/p/jobs", headers=headers).status_code == status


def test_forwarded_headers_are_believed_of_trusted_proxies_only(folder: Path) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    for proxies, scheme in (("10.0.0.0/8", "http"), ("127.0.0.0/8", "https")):
        with live(folder, sample_data=False, trusted_proxies=proxies) as gateway:
            versions = httpx.get(gateway.url, headers=headers).json()
        assert versions["versions"][0]["links"][0]["href"].startswith(f"{scheme}://")

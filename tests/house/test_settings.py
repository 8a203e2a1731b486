"""Where settings come from, what they may be, and what is said of those that can't."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.settings import Settings, described, load, variable


def test_defaults_serve_a_file_on_loopback() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.auth) == ("127.0.0.1", 9090, "none")
    assert settings.database.get_backend_name() == "sqlite"
    assert settings.cors_origins == settings.trusted_proxies == ()


def test_the_nearest_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('port = 1\nhost = "::1"\nproject_id = "filed"\ncors_origins = ["https://a.b"]')
    monkeypatch.setenv("GATEWAY_PORT", "2")
    monkeypatch.setenv("GATEWAY_HOST", "localhost")
    settings = load(file, port=3)
    assert (settings.port, settings.host, settings.project_id) == (3, "localhost", "filed")
    assert settings.cors_origins == ("https://a.b",)


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8, ::1,")
    assert load().trusted_proxies == ("10.0.0.0/8", "::1")


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///file.sqlite3", "sqlite+aiosqlite"),
        ("postgres://host/name", "postgresql+asyncpg"),
        ("postgresql://host/name", "postgresql+asyncpg"),
        ("postgresql+asyncpg://host/name", "postgresql+asyncpg"),
    ],
)
def test_databases(url: str, driver: str) -> None:
    assert load(database_url=url).database.drivername == driver


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("database_url", "mysql://u:secret@h/n", "'mysql' is none of"),
        ("database_url", "postgresql+psycopg://u:secret@h/n", "is none of"),
        ("database_url", "postgresql://u:secret@h:port/n", "is not a database URL"),
        ("database_url", "nonsense", "is not a database URL"),
        ("database_url", "sqlite://", "needs a file"),
        ("database_url", "sqlite:///:memory:", "needs a file"),
        ("port", 65536, "less than or equal to 65535"),
        ("port", -1, "greater than or equal to 0"),
        ("auth", "basic", "'none' or 'keystone'"),
        ("public_url", "gateway.example.org", "must begin with http:// or https://"),
        ("rate_limit_memcached_servers", "cache:11211, other", "must be addresses"),
        ("default_limit", 0, "greater than or equal to 1"),
        ("default_limit", 2000, "over max_limit"),
        ("database_timeout", 0, "greater than 0"),
        ("request_timeout", 0, "greater than 0"),
        ("rest_dialect", "freezer-18", "'freezer-19'"),
    ],
)
def test_values_that_cannot_be(name: str, value: object, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        load(**{name: value})
    (fault,) = caught.value.errors()
    assert told in fault["msg"]
    assert fault["loc"] in {(name,), ()}
    assert "secret" not in fault["msg"]


def test_there_are_no_others(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("prot = 1")
    with pytest.raises(ValidationError, match="prot"):
        load(file)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.toml")


def test_every_setting_is_described() -> None:
    rows = list(described())
    assert sorted(name for name, _, _ in rows) == sorted(map(variable, Settings.model_fields))
    for name, _, description in rows:
        assert description.endswith("."), name
    assert ("GATEWAY_PORT", "9090") in {(name, default) for name, default, _ in rows}


def test_secrets_are_not_shown() -> None:
    settings = load(database_url="postgresql://user:hunter2@host/name")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.database)

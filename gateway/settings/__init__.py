"""Every setting, with its default and its purpose. There is no global instance."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from gateway.errors import shown
from gateway.settings.deadlines import DeadlineSettings
from gateway.settings.graphql import GraphQLSettings
from gateway.settings.history import SILENT_AFTER as SILENT_AFTER
from gateway.settings.history import HistorySettings
from gateway.settings.hosts import HostSettings
from gateway.settings.idempotency import IdempotencySettings
from gateway.settings.kept import KeptSettings
from gateway.settings.keystone import KeystoneSettings
from gateway.settings.live import LiveSettings
from gateway.settings.parts import Names
from gateway.settings.rates import RateSettings
from gateway.settings.shutdown import ShutdownSettings

PREFIX = "GATEWAY_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
"""The variable with the path of the TOML file."""

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
"""The defaults of `default_limit` and `max_limit`, also for contexts made without settings."""

Dialect = Literal["documented", "freezer-19"]
"""REST as the published document has it, or as freezer-api 19."""

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


class Settings(
    BaseSettings,
    KeystoneSettings,
    GraphQLSettings,
    KeptSettings,
    RateSettings,
    HistorySettings,
    DeadlineSettings,
    IdempotencySettings,
    HostSettings,
    ShutdownSettings,
    LiveSettings,
):
    """The gateway's settings: `GATEWAY_*` variables first, then the TOML file, then defaults.

    Raises `pydantic.ValidationError`, which names the setting, on an invalid value.
    """

    # The input that an error would quote may hold a password.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(9090, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    public_url: str = Field(
        "",
        description="The gateway's address for clients, in `Link`, `Location` and the versions "
        "document; empty: the one in the request.",
    )
    trusted_proxies: Names = Field(
        (),
        description="Addresses or networks of proxies whose `X-Forwarded-For` and `-Proto` are "
        "trusted, comma-separated.",
    )
    cors_origins: Names = Field(
        (),
        description="Origins of browser dashboards that may call the gateway, comma-separated.",
    )
    database_url: SecretStr = Field(
        SecretStr("sqlite:///freezer-gateway.sqlite3"),
        description="The catalogue's database: `sqlite:///file` or "
        "`postgresql://user:password@host/name`.",
    )
    database_pool_size: int = Field(
        10,
        ge=1,
        le=1000,
        description="Maximum of database connections per process, for reads and for writes each.",
    )
    database_timeout: float = Field(
        30, gt=0, description="Seconds before a statement on the database server times out."
    )
    database_read_timeout: float = Field(
        5,
        gt=0,
        description="Seconds before a read on the database server times out, waiting for a "
        "connection included; a server that answers nothing for as long is refused all work until "
        "it answers again.",
    )
    database_prepared_statements: bool = Field(
        default=True,
        description="Keep statements prepared on each connection; `false` behind PgBouncer in "
        "transaction mode.",
    )
    sqlite_synchronous: Literal["normal", "full"] = Field(
        "normal",
        description="Durability of an SQLite file: with `normal`, a power failure may lose the "
        "last writes, but a crash of the gateway loses none; `full` keeps them in both cases, and "
        "makes writes slower.",
    )
    auth: Literal["none", "keystone"] = Field(
        "none",
        description="Authentication: `none` serves everybody on loopback, for local use; "
        "`keystone` requires a Keystone token.",
    )
    project_id: str = Field(
        "demo",
        min_length=1,
        description="With `auth = none`, the project of GraphQL requests without `X-Project-Id`.",
    )
    policy_file: Path | None = Field(
        None,
        description="A YAML file of policy rules that override the defaults, which "
        "`freezer-gateway policy sample` prints. Reloaded when it changes.",
    )
    default_limit: int = Field(
        DEFAULT_LIMIT, ge=1, description="Page length of requests without `limit` or `first`."
    )
    max_limit: int = Field(
        MAX_LIMIT,
        ge=1,
        description="Maximum page length. REST lowers a larger `limit` to it; GraphQL refuses a "
        "larger `first`.",
    )
    max_running_requests: int = Field(
        16, ge=1, description="Maximum of requests that run at once in one process."
    )
    max_waiting_requests: int = Field(
        200,
        ge=0,
        description="Maximum of requests that wait for one of those to end; all others get 503 and "
        "`Retry-After` at once.",
    )
    waiting_writes: int = Field(
        100,
        ge=0,
        description="How many of the waiting places are kept for writes over REST v2, which "
        "schedulers don't repeat.",
    )
    max_body_bytes: int = Field(
        1024 * 1024, ge=1024, description="Maximum length of a request body, in bytes."
    )
    request_timeout: float = Field(
        30,
        gt=0,
        description="Seconds for the head of a request to arrive, and again for its body; a slower "
        "one is answered 408, and its connection closed. An answer of which nothing is read for as "
        "long is given up.",
    )
    rest_dialect: Dialect = Field(
        "documented",
        description="Keys of REST documents: as documented, or exactly those of freezer-api 19. "
        "With it, names of jobs have up to 255 characters instead of 64 bytes.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level to log."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto",
        description="`console` for people, `json` for machines; `auto`: `console` on a terminal.",
    )

    @field_validator(
        "trusted_proxies",
        "cors_origins",
        "keystone_memcached_servers",
        "rate_limit_memcached_servers",
        "keystone_service_token_roles",
        "keystone_trust_roles",
        "graphql_introspection_roles",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("public_url", "keystone_auth_url", "keystone_www_authenticate_uri")
    @classmethod
    def _http_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr) -> SecretStr:
        try:
            url = make_url(value.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError("is not a database URL") from None
        if url.drivername not in DRIVERS:
            raise ValueError(f"'{url.drivername}' is none of {', '.join(DRIVERS)}")
        if url.drivername.startswith("sqlite") and url.database in {None, "", ":memory:"}:
            raise ValueError("needs a file: every connection would get a database of its own")
        return value

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.default_limit > self.max_limit:
            raise ValueError(f"default_limit {self.default_limit} is over max_limit")
        if self.waiting_writes > self.max_waiting_requests:
            raise ValueError(f"waiting_writes {self.waiting_writes} is over max_waiting_requests")
        return self

    @model_validator(mode="after")
    def _documents_are_given(self) -> Self:
        if self.graphql_documents_only and self.graphql_documents is None:
            raise ValueError("graphql_documents_only needs graphql_documents")
        return self

    @model_validator(mode="after")
    def _keystone_is_reachable(self) -> Self:
        if self.auth != "keystone":
            return self
        if not self.keystone_auth_url:
            raise ValueError("auth = keystone needs keystone_auth_url")
        if self.keystone_application_credential_id:
            if not self.keystone_application_credential_secret.get_secret_value():
                raise ValueError(
                    "keystone_application_credential_id needs "
                    "keystone_application_credential_secret"
                )
        elif not (self.keystone_username and self.keystone_password.get_secret_value()):
            raise ValueError(
                "auth = keystone needs keystone_username and keystone_password, or "
                "keystone_application_credential_id and keystone_application_credential_secret"
            )
        return self

    @property
    def has_rate_limits(self) -> bool:
        """True if requests are charged."""
        return self.rate_limit == "on" or (self.rate_limit == "auto" and self.auth == "keystone")

    @property
    def database(self) -> URL:
        """The database's URL, with the driver that the gateway uses."""
        url = make_url(self.database_url.get_secret_value())
        return url.set(drivername=DRIVERS[url.drivername])

    @property
    def www_authenticate_uri(self) -> str:
        """The address at which clients get tokens."""
        return self.keystone_www_authenticate_uri or self.keystone_auth_url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources: the caller's values, then the environment, then the TOML file."""
        file = settings_cls.model_config.get("toml_file")
        toml = [TomlConfigSettingsSource(settings_cls, file)] if file else []
        return (init_settings, env_settings, *toml)


def load(config: Path | None = None, **given: object) -> Settings:
    """Return the settings; `given` comes first, and `config` is a TOML file of settings by name.

    Raises `pydantic.ValidationError` for an invalid value, FileNotFoundError for a missing file and
    `tomllib.TOMLDecodeError` for a malformed one.
    """
    if config is None:
        return Settings(**given)  # type: ignore[arg-type]
    if not config.is_file():
        raise FileNotFoundError(f"no such file: {config}")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    return FromFile(**given)  # type: ignore[arg-type]


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def described() -> Iterator[tuple[str, str, str]]:
    """Yield every setting's variable, its default as it would be written, and its description."""
    fields = Settings.model_fields
    # The settings of the parts come after those of the whole.
    for name in sorted(fields, key=lambda name: name not in Settings.__annotations__):
        field = fields[name]
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        if isinstance(default, tuple):
            default = ",".join(default)
        text = (
            ""
            if default is None
            else str(default).lower()
            if isinstance(default, bool)
            else str(default)
        )
        yield variable(name), text, field.description or ""


def faults(error: ValidationError) -> Iterator[str]:
    """Yield a line for each invalid or unknown setting; it quotes no secret."""
    for fault in error.errors(include_url=False, include_context=False):
        name = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        if not name:
            yield message
        elif fault["type"] == "extra_forbidden":
            meant = _suggestion(name, Settings.model_fields)
            yield f"there is no setting '{name}'" + (f": '{meant}' perhaps?" if meant else "")
        else:
            secret = Settings.model_fields[name].annotation is SecretStr
            yield f"{variable(name)} {message}" + (
                "" if secret else f", not {shown(fault['input'])}"
            )


def unknown_variables(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the names that look like settings' variables but are none, each with a suggestion.

    The suggestion is empty where no variable's name is similar.
    """
    known = [CONFIG_VARIABLE, *(name for name, _, _ in described())]
    for name in names:
        # GATEWAY_TEST_… are the test suite's own.
        if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}TEST_") and name not in known:
            yield name, _suggestion(name, known)


def _suggestion(name: str, names: Iterable[str]) -> str:
    return next(iter(get_close_matches(name, names, 1)), "")

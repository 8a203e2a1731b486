"""Every setting, with its default and what it is for; nobody imports an instance."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

PREFIX = "GATEWAY_"

Names = Annotated[tuple[str, ...], NoDecode]

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


class Settings(BaseSettings):
    """The gateway's settings: `GATEWAY_*` variables first, then the TOML file, then defaults.

    Raises `pydantic.ValidationError`, which names the setting, on a value that can't be used.
    """

    # What a message about a bad setting would quote may hold a password.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(9090, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    public_url: str = Field(
        "",
        description="Where clients reach the gateway, for `Link`, `Location` and the versions "
        "document; empty: as the request says.",
    )
    trusted_proxies: Names = Field(
        (),
        description="Addresses or networks whose `X-Forwarded-For` and `-Proto` are believed, "
        "comma-separated.",
    )
    cors_origins: Names = Field(
        (),
        description="Origins of browser dashboards that may call the gateway, comma-separated; "
        "none by default.",
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
        description="Most connections to the database that read, per process, and most that write.",
    )
    database_timeout: float = Field(
        30, gt=0, description="Seconds to wait for an answer of the database's server."
    )
    database_prepared_statements: bool = Field(
        default=True,
        description="Keep statements prepared on each connection; `false` behind PgBouncer in "
        "transaction mode.",
    )
    auth: Literal["none", "keystone"] = Field(
        "none",
        description="Who may call: `none` serves everybody on loopback, for local use; `keystone` "
        "whoever has a token.",
    )
    project_id: str = Field(
        "demo",
        min_length=1,
        description="With `auth = none`, the project of GraphQL requests that name none in "
        "`X-Project-Id`.",
    )
    keystone_auth_url: str = Field(
        "", description="Keystone's address; needed with `auth = keystone`."
    )
    keystone_www_authenticate_uri: str = Field(
        "",
        description="Keystone's address for clients, told to those who come without a valid "
        "token; empty: `keystone_auth_url`.",
    )
    keystone_username: str = Field(
        "", description="The gateway's own user, who must have the role `service`."
    )
    keystone_password: SecretStr = Field(SecretStr(""), description="That user's password.")
    keystone_project_name: str = Field("service", description="The project that user works in.")
    keystone_user_domain_name: str = Field("Default", description="The domain of that user.")
    keystone_project_domain_name: str = Field("Default", description="The domain of that project.")
    keystone_application_credential_id: str = Field(
        "", description="An application credential of that user, instead of name and password."
    )
    keystone_application_credential_secret: SecretStr = Field(
        SecretStr(""), description="The application credential's secret."
    )
    keystone_region_name: str = Field(
        "", description="The region whose Keystone validates tokens; empty: the first in its list."
    )
    keystone_interface: Literal["public", "internal", "admin"] = Field(
        "internal", description="Which of Keystone's endpoints validates tokens."
    )
    keystone_token_cache_time: int = Field(
        300,
        ge=0,
        description="Seconds for which a validated token is believed without asking again: so "
        "long may a revoked one be served. 0 asks each time.",
    )
    keystone_token_cache_size: int = Field(
        10_000, ge=1, description="Most tokens remembered at a time, per process."
    )
    keystone_memcached_servers: Names = Field(
        (),
        description="Memcached servers (`host:port`) that share validated tokens between "
        "processes, comma-separated; within the same `keystone_token_cache_time`.",
    )
    keystone_memcached_secret_key: SecretStr = Field(
        SecretStr(""),
        description="Signs what is kept in memcached, so that nobody else can write tokens there.",
    )
    keystone_service_token_roles: Names = Field(
        ("service",),
        description="Roles one of which makes a token in `X-Service-Token` a service's, "
        "comma-separated.",
    )
    keystone_trust_roles: Names = Field(
        ("member",),
        description="Roles that whoever creates a job of a central client entrusts to the "
        "gateway's user, comma-separated; the central scheduler logs in as that user.",
    )
    keystone_timeout: int = Field(
        10, ge=1, description="Seconds to wait for each of Keystone's answers."
    )
    keystone_cafile: Path | None = Field(
        None, description="Certificates (PEM) that vouch for Keystone; none: the system's."
    )
    keystone_certfile: Path | None = Field(
        None, description="The gateway's certificate (PEM), where Keystone wants one."
    )
    keystone_keyfile: Path | None = Field(None, description="That certificate's key (PEM).")
    keystone_insecure: bool = Field(
        default=False, description="Don't check Keystone's certificate; for trials only."
    )
    policy_file: Path | None = Field(
        None,
        description="Rules (YAML) that differ from the defaults, which `freezer-gateway policy "
        "sample` prints. Read again when it changes.",
    )
    default_limit: int = Field(100, ge=1, description="Page length where a request gives none.")
    max_limit: int = Field(
        1000,
        ge=1,
        description="Longest page. REST cuts a larger `limit` down to it; GraphQL refuses a "
        "larger `first`.",
    )
    max_body_bytes: int = Field(1024 * 1024, ge=1024, description="Longest request body, in bytes.")
    rest_dialect: Literal["documented", "freezer-19"] = Field(
        "documented",
        description="Keys of REST documents: as documented, or exactly those of freezer-api 19.",
    )
    graphql_max_depth: int = Field(
        15, ge=1, description="Deepest nesting of fields in a GraphQL operation."
    )
    graphql_max_nodes: int = Field(
        10_000,
        ge=1,
        description="Most nodes that a GraphQL operation could return, by its page lengths.",
    )
    graphql_max_aliases: int = Field(
        50, ge=0, description="Most aliased fields in a GraphQL operation."
    )
    graphql_max_tokens: int = Field(5000, ge=1, description="Longest GraphQL document, in tokens.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe messages to log."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="`console` for people, `json` for machines; `auto` asks the terminal."
    )

    @field_validator(
        "trusted_proxies",
        "cors_origins",
        "keystone_memcached_servers",
        "keystone_service_token_roles",
        "keystone_trust_roles",
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
        """Look in what the caller gave, then the environment, then the TOML file."""
        file = settings_cls.model_config.get("toml_file")
        toml = [TomlConfigSettingsSource(settings_cls, file)] if file else []
        return (init_settings, env_settings, *toml)


def load(config: Path | None = None, **given: object) -> Settings:
    """Read the settings; `config` is a TOML file with the settings' names as its keys.

    Raises `pydantic.ValidationError` for a bad value and `FileNotFoundError` for a missing file.
    """
    if config is None:
        return Settings(**given)  # type: ignore[arg-type]
    if not config.is_file():
        raise FileNotFoundError(f"no such file: {config}")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    return FromFile(**given)  # type: ignore[arg-type]


def variable(name: str) -> str:
    """The variable of the environment that holds a setting."""
    return f"{PREFIX}{name.upper()}"


def described() -> Iterator[tuple[str, str, str]]:
    """Every setting's variable, its default as one would write it, and its description."""
    for name, field in Settings.model_fields.items():
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

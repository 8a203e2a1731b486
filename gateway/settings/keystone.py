"""Settings of Keystone: where it is, as whom the gateway comes, and what is kept of its answers."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

from gateway.settings.parts import Names


class KeystoneSettings(BaseModel):
    """The settings that begin with `keystone_`."""

    keystone_auth_url: str = Field(
        "", description="Keystone's address; required with `auth = keystone`."
    )
    keystone_www_authenticate_uri: str = Field(
        "",
        description="Keystone's address for clients, in the `WWW-Authenticate` of a 401; empty: "
        "`keystone_auth_url`.",
    )
    keystone_username: str = Field(
        "", description="The gateway's own user, which must have the role `service`."
    )
    keystone_password: SecretStr = Field(SecretStr(""), description="That user's password.")
    keystone_project_name: str = Field("service", description="That user's project.")
    keystone_user_domain_name: str = Field("Default", description="That user's domain.")
    keystone_project_domain_name: str = Field("Default", description="That project's domain.")
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
        "internal", description="The interface of the Keystone endpoint that validates tokens."
    )
    keystone_token_cache_time: int = Field(
        300,
        ge=0,
        description="Seconds for which a validated token is cached; a revoked one may be served "
        "for as long. 0 validates every request.",
    )
    keystone_token_cache_size: int = Field(
        10_000, ge=1, description="Maximum of cached tokens, per process."
    )
    keystone_memcached_servers: Names = Field(
        (),
        description="Memcached servers (`host:port`) that share validated tokens between "
        "processes, comma-separated; within the same `keystone_token_cache_time`.",
    )
    keystone_memcached_secret_key: SecretStr = Field(
        SecretStr(""),
        description="A key that signs the entries in memcached, so that nobody else can write "
        "tokens there.",
    )
    keystone_service_token_roles: Names = Field(
        ("service",),
        description="Roles that make a token in `X-Service-Token` a service's, comma-separated; "
        "one is enough.",
    )
    keystone_trust_roles: Names = Field(
        ("member",),
        description="Roles that the creator of a central client's job delegates to the gateway's "
        "user by a trust, comma-separated; the central scheduler logs in as that user.",
    )
    keystone_timeout: int = Field(
        10, ge=1, description="Seconds before a request to Keystone times out."
    )
    keystone_cafile: Path | None = Field(
        None, description="CA certificates (PEM) to verify Keystone with; empty: the system's."
    )
    keystone_certfile: Path | None = Field(
        None, description="The gateway's client certificate (PEM), if Keystone requires one."
    )
    keystone_keyfile: Path | None = Field(None, description="That certificate's key (PEM).")
    keystone_insecure: bool = Field(
        default=False, description="Skip verifying Keystone's certificate; for tests only."
    )

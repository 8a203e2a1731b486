"""Settings of the rate limits: how much each project and each user may ask for."""

from typing import Literal

from pydantic import BaseModel, Field

from gateway.settings.parts import Servers

MAX_BURST = 86_400
"""Seconds: after a day, every bucket is full."""


class RateSettings(BaseModel):
    """The settings that begin with `rate_limit`."""

    rate_limit: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Charge each request, in points, to the caller's project and user, and refuse "
        "reads and GraphQL when these have none left; `auto`: with `auth = keystone`.",
    )
    rate_limit_project: int = Field(
        2000,
        ge=1,
        le=1_000_000,
        description="Points per second that each project may spend in the long run.",
    )
    rate_limit_user: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Points per second that each user of a project may spend in the long run.",
    )
    rate_limit_burst: int = Field(
        60,
        ge=1,
        le=MAX_BURST,
        description="Seconds of these rates that may be spent at once, by those who spent nothing "
        "for as long.",
    )
    rate_limit_memcached_servers: Servers = Field(
        (),
        description="Memcached servers (`host:port`) that have what the processes share of it, "
        "comma-separated; empty: the database. The clocks of the machines must agree.",
    )

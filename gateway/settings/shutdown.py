"""Settings of the ends of a gateway: how it stops, and what a failure leaves."""

from typing import Literal

from pydantic import BaseModel, Field


class ShutdownSettings(BaseModel):
    """The time between a request to stop and the stop, and the durability of a file."""

    drain_time: float = Field(
        5,
        ge=0,
        description="Seconds for which the gateway goes on serving after SIGTERM while `/readyz` "
        "answers 503, so that proxies send requests elsewhere; 0 if nobody has requested "
        "`/readyz`.",
    )
    shutdown_timeout: float = Field(
        8, ge=0, description="Seconds for which running requests may finish after that."
    )
    sqlite_synchronous: Literal["normal", "full"] = Field(
        "normal",
        description="Durability of an SQLite file: with `normal`, a power failure may lose the "
        "last writes, but a crash of the gateway loses none; `full` keeps them in both cases, and "
        "makes writes slower.",
    )

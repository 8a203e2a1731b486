"""Settings of the stop."""

from pydantic import BaseModel, Field


class ShutdownSettings(BaseModel):
    """The time between a request to stop and the stop."""

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

"""Settings of idempotency keys: how long they are remembered, and how many."""

from pydantic import BaseModel, Field


class IdempotencySettings(BaseModel):
    """The settings that begin with `idempotency`."""

    idempotency_lifetime: int = Field(
        86_400,
        ge=60,
        le=2_592_000,
        description="Seconds for which a write that is repeated with its `Idempotency-Key` is "
        "answered from memory.",
    )
    idempotency_max_keys: int = Field(
        100_000,
        ge=100,
        description="Number of writes with an `Idempotency-Key` that are remembered of each "
        "project; the oldest of more are forgotten early.",
    )

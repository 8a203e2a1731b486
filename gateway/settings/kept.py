"""Settings of the answers that are kept in memory."""

from pydantic import BaseModel, Field


class KeptSettings(BaseModel):
    """The settings that begin with `kept`."""

    kept_answers_bytes: int = Field(
        64 * 1024 * 1024,
        ge=0,
        description="Memory per process, in bytes, for answers to GraphQL queries and lists that "
        "are sent again as long as their project doesn't change; 0 keeps none.",
    )

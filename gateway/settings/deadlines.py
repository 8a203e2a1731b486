"""Settings of the deadlines: how long an operation may take."""

from pydantic import BaseModel, Field


class DeadlineSettings(BaseModel):
    """The settings that end in `deadline`."""

    deadline: float = Field(
        30,
        ge=0,
        allow_inf_nan=False,
        description="Seconds that a request may take from its arrival to the beginning of its "
        "answer; then it is cancelled, changes nothing, and is answered 504. 0: no limit.",
    )
    write_deadline: float = Field(
        60,
        ge=0,
        allow_inf_nan=False,
        description="The same for writes over REST v2, which schedulers don't repeat, without the "
        "time that they wait for a place.",
    )

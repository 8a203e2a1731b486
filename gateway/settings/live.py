"""Settings of what is live: the change log, and the streams of subscriptions."""

from pydantic import BaseModel, Field


class LiveSettings(BaseModel):
    """The settings of the change log and of streams."""

    change_log_seconds: int = Field(
        86_400,
        ge=60,
        le=31_536_000,
        description="Seconds for which the change log remembers a change; a program that follows "
        "changes and was away for longer is told to read anew.",
    )
    change_log_transactions: int = Field(
        100_000,
        ge=100,
        description="Number of transactions that the change log remembers of each project; the "
        "oldest of more are forgotten early.",
    )
    change_poll_interval: float = Field(
        0.2,
        ge=0.01,
        le=60,
        allow_inf_nan=False,
        description="Seconds between two looks for changes that other processes have made, in all "
        "projects with subscribers at once. A process sees its own at once.",
    )
    max_streams: int = Field(
        10_000, ge=0, description="Maximum of streams, one for each subscription, in one process."
    )
    max_project_streams: int = Field(
        2000, ge=0, description="Maximum of streams of each project in one process."
    )
    max_user_streams: int = Field(
        200, ge=0, description="Maximum of streams of each user of a project in one process."
    )
    max_wait: int = Field(
        60,
        ge=0,
        le=3600,
        description="Maximum of seconds that a list of REST waits for a change (`Prefer: wait=…`); "
        "0 for none. Proxies must allow as much. Those that wait are counted as streams.",
    )
    stream_heartbeat: float = Field(
        12,
        ge=0.1,
        le=600,
        allow_inf_nan=False,
        description="Seconds without a message after which a stream sends an empty one, so that "
        "proxies keep the connection, and a client that is gone is noticed.",
    )

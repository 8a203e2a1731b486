"""Settings of the history: when a client counts as silent, a run as lost, and what is forgotten."""

from pydantic import BaseModel, Field

SILENT_AFTER = 600
"""The default of `client_silent_after`, also for contexts made without settings."""


class HistorySettings(BaseModel):
    """The settings about runs, and about the heartbeats of clients."""

    client_silent_after: int = Field(
        SILENT_AFTER,
        ge=1,
        le=10**9,
        description="Seconds without a poll after which a client is silent, and a run that it has "
        "not ended is lost; ten polls of a scheduler with its usual interval.",
    )
    run_lost_after: int = Field(
        86_400,
        ge=1,
        le=10**9,
        description="Seconds after its start, and at least three times the longest run of its "
        "job, after which a run without a result is lost.",
    )
    run_history_days: int = Field(
        730,
        ge=1,
        le=36_500,
        description="Days for which runs are kept; the last run and the last successful one of a "
        "job are kept for as long as the job.",
    )

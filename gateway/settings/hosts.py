"""Settings about the hosts that run schedulers."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, Field, field_validator


class HostSettings(BaseModel):
    """The settings that begin with `host_`, but for the gateway's own `host`."""

    host_time_zone: str = Field(
        "",
        description="The time zone of hosts, such as `Europe/Berlin`, for the next runs of jobs "
        "whose client has none set; empty: it isn't known, and UTC is assumed.",
    )

    @field_validator("host_time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            return value and ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be a time zone, such as UTC or Europe/Berlin") from None

"""The v2 vocabularies as enums of the schema."""

import inspect
from typing import Any

import strawberry

from gateway.catalogue.vocabularies import (
    BackupStatus,
    JobEvent,
    JobResult,
    JobStatus,
    NextRunBasis,
    RunOutcome,
    ScheduleTrigger,
    ScheduleWarningCode,
)

_VOCABULARIES = (
    *(BackupStatus, JobEvent, JobResult, JobStatus, RunOutcome),
    *(NextRunBasis, ScheduleTrigger, ScheduleWarningCode),
)

__all__ = [
    "BackupStatus",
    "JobEvent",
    "JobResult",
    "JobStatus",
    "NextRunBasis",
    "RunOutcome",
    "ScheduleTrigger",
    "ScheduleWarningCode",
]

for _vocabulary in _VOCABULARIES:
    _enum: Any = strawberry.enum(_vocabulary, description=inspect.getdoc(_vocabulary))
    for _value in _enum.__strawberry_definition__.values:
        _value.description = _vocabulary[_value.name].description

"""The v2 vocabularies as enums of the schema."""

import inspect
from typing import Any

import strawberry

from gateway.catalogue.vocabularies import (
    BackupStatus,
    JobEvent,
    JobResult,
    JobStatus,
    RunOutcome,
)

__all__ = ["BackupStatus", "JobEvent", "JobResult", "JobStatus", "RunOutcome"]

for _vocabulary in (BackupStatus, JobEvent, JobResult, JobStatus, RunOutcome):
    _enum: Any = strawberry.enum(_vocabulary, description=inspect.getdoc(_vocabulary))
    for _value in _enum.__strawberry_definition__.values:
        _value.description = _vocabulary[_value.name].description

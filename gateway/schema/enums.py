"""The v2 vocabularies as enums of the schema."""

import inspect
from typing import Any

import strawberry

from gateway.catalogue.vocabularies import BackupStatus, JobEvent, JobResult, JobStatus
from gateway.chains.vocabularies import (
    ChainState,
    LevelSource,
    Restorability,
    RestorabilityReason,
    RestoreWarning,
    RetentionWarning,
)

__all__ = [
    "BackupStatus",
    "ChainState",
    "JobEvent",
    "JobResult",
    "JobStatus",
    "LevelSource",
    "Restorability",
    "RestorabilityReason",
    "RestoreWarning",
    "RetentionWarning",
]

for _vocabulary in (
    *(BackupStatus, JobEvent, JobResult, JobStatus),
    *(ChainState, LevelSource, Restorability, RestorabilityReason, RestoreWarning),
    RetentionWarning,
):
    _enum: Any = strawberry.enum(_vocabulary, description=inspect.getdoc(_vocabulary))
    for _value in _enum.__strawberry_definition__.values:
        _value.description = _vocabulary[_value.name].description

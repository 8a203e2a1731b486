"""The v2 vocabularies as enums of the schema."""

import inspect
from typing import Any

import strawberry

from gateway.catalogue.change_words import ChangeKind, ChangeOperation
from gateway.catalogue.health_words import HealthReason, HealthState, HostCoverage
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
from gateway.chains.vocabularies import (
    ChainState,
    LevelSource,
    Restorability,
    RestorabilityReason,
    RestoreWarning,
    RetentionWarning,
)
from gateway.query.buckets import Bucket
from gateway.resolvers.statistics import StatisticsKey, StatisticsOf

__all__ = [
    "BackupStatus",
    "Bucket",
    "ChainState",
    "ChangeKind",
    "ChangeOperation",
    "HealthReason",
    "HealthState",
    "HostCoverage",
    "JobEvent",
    "JobResult",
    "JobStatus",
    "LevelSource",
    "NextRunBasis",
    "Restorability",
    "RestorabilityReason",
    "RestoreWarning",
    "RetentionWarning",
    "RunOutcome",
    "ScheduleTrigger",
    "ScheduleWarningCode",
    "StatisticsKey",
    "StatisticsOf",
]

for _vocabulary in (
    *(BackupStatus, JobEvent, JobResult, JobStatus, RunOutcome),
    *(NextRunBasis, ScheduleTrigger, ScheduleWarningCode),
    *(ChainState, LevelSource, Restorability, RestorabilityReason, RestoreWarning),
    *(RetentionWarning, HealthReason, HealthState, HostCoverage),
    *(RetentionWarning, Bucket, StatisticsKey, StatisticsOf),
    *(ChangeKind, ChangeOperation),
):
    _enum: Any = strawberry.enum(_vocabulary, description=inspect.getdoc(_vocabulary))
    for _value in _enum.__strawberry_definition__.values:
        _value.description = _vocabulary[_value.name].description

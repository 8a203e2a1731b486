"""The v2 vocabularies as enums of the schema."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import strawberry

from gateway.catalogue.vocabularies import BackupStatus, JobEvent, JobResult, JobStatus

_WORDS: Mapping[type[StrEnum], tuple[str, Mapping[str, str]]] = {
    JobStatus: (
        "Where a job stands, as its scheduler reports it.",
        {
            "COMPLETED": "It has run, and won't again.",
            "STOP": "It is not on the schedule.",
            "SCHEDULED": "It waits for its time.",
            "RUNNING": "It runs.",
            "ABORTING": "Its run is being ended.",
            "REMOVED": "Its scheduler has forgotten it.",
        },
    ),
    JobResult: (
        "How a run ended.",
        {"SUCCESS": "All went well.", "FAIL": "Something failed.", "ABORTED": "It was ended."},
    ),
    JobEvent: (
        "What a job's scheduler is asked to do.",
        {
            "START": "To put it on the schedule.",
            "STOP": "To take it off the schedule.",
            "ABORT": "To end the run that is under way.",
            "REMOVE": "To forget it.",
        },
    ),
    BackupStatus: (
        "What has become of a backup's data.",
        {
            "CREATING": "It is being written.",
            "AVAILABLE": "It is there.",
            "ERROR": "Writing it failed.",
            "DELETING": "It is being deleted.",
            "DELETED": "It is gone.",
        },
    ),
}

for _words, (_description, _meanings) in _WORDS.items():
    _made: Any = strawberry.enum(_words, description=_description)
    for _value in _made.__strawberry_definition__.values:
        _value.description = _meanings[_value.name]

__all__ = ["BackupStatus", "JobEvent", "JobResult", "JobStatus"]

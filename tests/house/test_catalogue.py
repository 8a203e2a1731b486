"""The catalogue's declarations agree with each other."""

from datetime import datetime

from gateway.catalogue import schedules
from gateway.catalogue.change_words import ChangeKind, ChangeOperation
from gateway.catalogue.health_words import (
    HealthReason,
    HealthState,
    HostCoverage,
    ScheduleFault,
)
from gateway.catalogue.tables import (
    NAME_BYTES,
    Action,
    Job,
    Session,
    columns,
    default_of,
    max_bytes_of,
    null_as_default,
)
from gateway.catalogue.vocabularies import (
    CAPABILITIES,
    CAPABILITY_OF,
    CLOSED_CAPABILITIES,
    BackupStatus,
    JobEvent,
    JobResult,
    JobStatus,
    NextRunBasis,
    RunOutcome,
    ScheduleTrigger,
    ScheduleWarningCode,
    SessionOutcome,
    SessionStatus,
    Vocabulary,
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
from gateway.resolvers.sessions import SessionDraft
from gateway.resolvers.statistics import StatisticsKey, StatisticsOf


def test_each_key_of_a_schedule_has_its_column() -> None:
    for key in schedules.KEYS:
        column = columns(Job)[key.key]
        assert column.nullable
        kind = int if key.type in {int, datetime} else str
        assert column.type.python_type is kind
        assert max_bytes_of(Job, key.key) == (NAME_BYTES if kind is str else None)


def test_each_word_has_a_description() -> None:
    vocabularies = (
        *(JobStatus, JobResult, JobEvent, RunOutcome),
        *(BackupStatus, SessionStatus, SessionOutcome),
        *(NextRunBasis, ScheduleTrigger, ScheduleWarningCode),
        *(ChainState, LevelSource, Restorability, RestorabilityReason, RestoreWarning),
        *(RetentionWarning, Bucket, StatisticsOf, ChangeKind, ChangeOperation, StatisticsKey),
        *(HealthState, HealthReason, ScheduleFault, HostCoverage),
    )
    assert set(vocabularies) == set(Vocabulary.__subclasses__())
    for vocabulary in vocabularies:
        for word in vocabulary:
            assert word.description.endswith(".")
            assert vocabulary(word.value) is word
            assert f"{word}" == word.value


def test_capabilities_are_columns() -> None:
    assert set(CAPABILITIES) == set(CAPABILITY_OF.values()) > CLOSED_CAPABILITIES
    assert set(CAPABILITY_OF) <= set(columns(Action).keys())


def test_a_draft_has_the_table_s_defaults() -> None:
    draft = SessionDraft(schedule={})
    assert draft.hold_off == default_of(Session, "hold_off") == Session().hold_off
    given = {"hold_off": None, "description": "d", "jobs": {}}
    values = null_as_default(Session, given, "description", "hold_off", "session_tag")
    assert values == {"description": "d", "hold_off": default_of(Session, "hold_off")}

"""The documents of REST v2, as data: which column each key shows.

One `Document` per resource names its keys and their columns: it is the SELECT list, the answer,
and where a search looks for a key.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.catalogue.tables import JSONText
from gateway.catalogue.vocabularies import CAPABILITIES
from gateway.db.rows import Converter, Row, make_row_class
from gateway.query.filters import Where
from gateway.resolvers import actions, backups, clients, jobs, sessions
from gateway.resolvers.collection import Collection, Column, Columns

OMITTED = object()
"""In place of a value: the key is left out."""


@dataclass(frozen=True, eq=False)
class As:
    """A column whose value is shown in another way than it is stored."""

    column: Column
    show: Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Many:
    """A list of documents that come from elsewhere; whoever reads them puts them in."""

    document: "Document"


_ITEM = make_row_class((), ())
"""Values of an object's columns, as a row."""


class Document:
    """The keys of a v2 document in their order, and where the value of each comes from."""

    def __init__(self, keys: "Mapping[str, Column | As | Many | Document]") -> None:
        """Take a column, another document or a list of them for each key."""
        self.keys = keys
        self.columns: Columns = ()
        for source in keys.values():
            if isinstance(source, Document):
                self.columns += source.columns
            elif not isinstance(source, Many):
                self.columns += (source.column if isinstance(source, As) else source,)
        self._omitting = [
            key for key, source in keys.items() if isinstance(source, As) and source.show is if_any
        ]
        self._made: dict[tuple[Any, ...], Callable[..., list[dict[str, Any]]]] = {}

    def of(self, rows: Sequence[Row], start: int = 0) -> list[dict[str, Any]]:
        """Make the documents of rows that have this document's columns from `start` on."""
        if not rows:
            return []
        key = (start, *rows[0].converters[start : start + len(self.columns)])
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self._compiled(start, rows[0].converters)
        documents = made(rows)
        for omitting in self._omitting:
            for document in documents:
                if document[omitting] is OMITTED:
                    del document[omitting]
        return documents

    def of_item(self, item: object) -> dict[str, Any]:
        """Make the document of an object that has been written."""
        return self.of([_ITEM(getattr(item, column.key or "") for column in self.columns)])[0]

    def _compiled(
        self, start: int, converters: Sequence[Converter]
    ) -> Callable[..., list[dict[str, Any]]]:
        """Make the function of rows to documents: code, since it runs for every value."""
        scope: dict[str, Any] = {}
        # The text is made of this module's own keys, and of numbers.
        exec(  # noqa: S102
            f"def made(rows):\n    return [{self._code(scope, start, converters)} for r in rows]",
            scope,
        )
        made: Callable[..., list[dict[str, Any]]] = scope["made"]
        return made

    def _code(self, scope: dict[str, Any], start: int, converters: Sequence[Converter]) -> str:
        """Write the document of a row `r` as an expression."""
        parts, at = [], start
        for key, source in self.keys.items():
            if isinstance(source, Document):
                code = source._code(scope, at, converters)  # noqa: SLF001 - another document's
                at += len(source.columns)
            elif isinstance(source, Many):
                code = "[]"
            else:
                convert = converters[at] if at < len(converters) else None
                shows = [convert] if convert else []
                if isinstance(source, As):
                    shows.append(source.show)
                elif isinstance(source.type, JSONText):
                    shows.append(orjson.Fragment)
                code = f"r[{at}]"
                for show in shows:
                    scope[name := f"v{len(scope)}"] = show
                    code = f"{name}({code})"
                at += 1
            parts.append(f"{key!r}: {code}")
        return "{" + ", ".join(parts) + "}"

    def only(self, *keys: str, **other: "Column | As | Many | Document") -> "Document":
        """Return a document of these keys, some of them from elsewhere."""
        return Document({key: other.get(key, self.keys[key]) for key in keys})

    def searched(self) -> dict[str, Column]:
        """Return the columns by their keys, at whatever depth."""
        found: dict[str, Column] = {}
        for key, source in self.keys.items():
            if isinstance(source, Document):
                found |= source.searched()
            elif not isinstance(source, Many):
                found[key] = source.column if isinstance(source, As) else source
        return found


@dataclass(frozen=True, eq=False)
class Shown:
    """How a resource looks by itself, and as an entry of a list."""

    item: Document
    entry: Document


@dataclass(frozen=True, eq=False)
class Resource:
    """Everything REST needs to know about reading one kind of item."""

    name: str
    """As in paths, rules and lists."""
    id: str
    """The key of its id."""
    collection: Collection
    dialects: Mapping[str, Shown]
    searched: Mapping[str, Column]
    """Where a search finds a key; any other is looked for in `open`."""
    open: Columns
    """The open documents."""
    search: Callable[[str], Where]
    """Makes the condition of a free text."""
    time: Column | None = None
    """What `time_before` and `time_after` compare, in epoch seconds."""
    blank: frozenset[str] = frozenset()
    """Keys that show nothing as an empty string."""
    discreet: Mapping[str, Shown] | None = None
    """As `dialects`, for those who are neither admin nor service, where they see less."""
    parts: Mapping[str, Column] | None = None
    """Where a search finds a key of the actions that are part of the item."""

    @property
    def composite(self) -> frozenset[str]:
        """The keys that hold other documents, and so equal no value."""
        keys = self.dialects["documented"].entry.keys
        return frozenset(key for key, one in keys.items() if isinstance(one, (Many, Document)))


def blank(value: Any) -> Any:
    """Show nothing as an empty string."""
    return "" if value is None else value


def not_yet(time: int | None) -> int:
    """Show a time that hasn't come as freezer-api does."""
    return -1 if time is None else time


def if_any(text: str | None) -> Any:
    """Show a JSON text as what it says, and leave out the key where there is none."""
    return OMITTED if text is None else orjson.loads(text)


_ALWAYS = (
    "backup_name",
    "action",
    "mode",
    "container",
    "timeout",
    "priority",
    "path_to_backup",
    "log_file",
)


def with_nulls(text: str) -> Any:
    """Show a `freezer_action` as freezer-api 19 does: some keys are always there."""
    document = orjson.loads(text)
    return document | {key: None for key in _ALWAYS if key not in document}


_A, _B, _C, _J, _S = (module.COLUMNS for module in (actions, backups, clients, jobs, sessions))

# In the dialect "documented", keys stand as in the published examples, the additions after them.

BACKUP = Document(
    {
        "backup_id": _B.id,
        "user_id": _B.user_id,
        "job_id": _B.job_id,
        "backup_metadata": _B.backup_metadata,
        "client_id": _B.client_id,
        "backup_uuid": _B.backup_uuid,
        "user_name": _B.user_name,
        "project_id": _B.project_id,
        "status": _B.status,
    }
)

ACTION_OF_JOB = Document(
    {
        "freezer_action": _A.freezer_action,
        "max_retries": _A.max_retries,
        "max_retries_interval": _A.max_retries_interval,
        "user_id": _A.user_id,
        "action_id": _A.id,
        "project_id": _A.project_id,
        "mandatory": _A.mandatory,
    }
)

JOB = Document(
    {
        "user_id": _J.user_id,
        "description": _J.description,
        "job_schedule": _J.job_schedule,
        "client_id": _J.client_id,
        "project_id": _J.project_id,
        "job_actions": Many(ACTION_OF_JOB),
        "job_id": _J.id,
        "session_id": As(_J.session_id, blank),
        "session_tag": _J.session_tag,
        "user_credentials": As(_J.user_credentials, if_any),
    }
)

ACTION = Document(
    {
        "project_id": _A.project_id,
        "user_id": _A.user_id,
        "timeout": _A.timeout,
        "max_retries_interval": _A.max_retries_interval,
        "max_retries": _A.max_retries,
        "action_id": _A.id,
        "mandatory": _A.mandatory,
        "freezer_action": _A.freezer_action,
    }
)

CLIENT = Document(
    {
        "project_id": _C.project_id,
        "user_id": _C.user_id,
        "client": Document(
            {
                "uuid": _C.uuid,
                "hostname": _C.hostname,
                "client_id": _C.id,
                "is_central": _C.is_central,
                "description": _C.description,
                **{key: _C[key] for key in CAPABILITIES},
            }
        ),
    }
)

SESSION = Document(
    {
        "project_id": _S.project_id,
        "session_id": _S.id,
        "user_id": _S.user_id,
        "description": _S.description,
        "session_tag": _S.session_tag,
        "result": _S.result,
        "hold_off": _S.hold_off,
        "status": _S.status,
        **{
            key: As(_S[key], not_yet)
            for key in ("time_ended", "time_started", "time_end", "time_start")
        },
        "schedule": _S.schedule,
        "jobs": _S.job_states,
    }
)

# In the dialect "freezer-19" there is nothing but freezer-api's keys, in its order.

_NULLS = As(_A.freezer_action, with_nulls)
_ACTION_19 = ("project_id", "action_id", "user_id", "max_retries", "max_retries_interval")
_ACTION_OF_JOB_19 = ACTION_OF_JOB.only(*_ACTION_19, "freezer_action", freezer_action=_NULLS)
_JOB_19 = JOB.only(
    "job_id",
    "project_id",
    "user_id",
    "job_schedule",
    "client_id",
    "session_id",
    "session_tag",
    "description",
    "job_actions",
    "user_credentials",
    # freezer-api knows no job without a client, and freezer-web-ui fails at null.
    client_id=As(_J.client_id, blank),
    job_actions=Many(_ACTION_OF_JOB_19),
)

# Only an admin or a service is shown the process of another project's client that runs a job.
_SCHEDULE = jobs.SCHEDULE.label("job_schedule")
_DISCREET = JOB.only(*JOB.keys, job_schedule=_SCHEDULE)
_DISCREET_19 = _JOB_19.only(*_JOB_19.keys, job_schedule=_SCHEDULE)

BACKUPS = Resource(
    name="backups",
    id="backup_id",
    collection=backups.COLLECTION,
    dialects={
        "documented": Shown(BACKUP, BACKUP),
        "freezer-19": Shown(
            BACKUP.only("project_id", "backup_id", "user_id", "status", "backup_metadata"),
            BACKUP.only("project_id", "user_id", "backup_id", "status", "backup_metadata"),
        ),
    },
    searched=BACKUP.searched(),
    open=(_B.backup_metadata,),
    search=backups.search,
    time=_B.time_stamp,
)

JOBS = Resource(
    name="jobs",
    id="job_id",
    collection=jobs.COLLECTION,
    dialects={
        "documented": Shown(JOB, JOB),
        "freezer-19": Shown(_JOB_19, _JOB_19),
    },
    discreet={
        "documented": Shown(_DISCREET, _DISCREET),
        "freezer-19": Shown(_DISCREET_19, _DISCREET_19),
    },
    # What only some may see can't be searched either.
    searched={key: c for key, c in JOB.searched().items() if key != "user_credentials"}
    | {"status": _J.status, "event": _J.event, "result": _J.result},
    open=(jobs.SCHEDULE,),
    search=jobs.search,
    time=_J.time_created,
    blank=frozenset({"client_id", "session_id", "status", "event", "result"}),
    parts=ACTION_OF_JOB.searched(),
)

ACTIONS = Resource(
    name="actions",
    id="action_id",
    collection=actions.COLLECTION,
    dialects={
        "documented": Shown(ACTION, ACTION),
        "freezer-19": Shown(
            _ACTION_OF_JOB_19,
            ACTION.only(*ACTION.keys, freezer_action=_NULLS),
        ),
    },
    searched=ACTION.searched(),
    open=(_A.freezer_action,),
    search=actions.search,
)

CLIENTS = Resource(
    name="clients",
    id="client_id",
    collection=clients.COLLECTION,
    dialects=dict.fromkeys(("documented", "freezer-19"), Shown(CLIENT, CLIENT)),
    searched=CLIENT.searched(),
    open=(),
    search=clients.search,
)

SESSIONS = Resource(
    name="sessions",
    id="session_id",
    collection=sessions.COLLECTION,
    dialects=dict.fromkeys(("documented", "freezer-19"), Shown(SESSION, SESSION)),
    searched=SESSION.searched(),
    open=(_S.schedule, _S.job_states),
    search=sessions.search,
    time=_S.time_start,
    blank=frozenset({"status", "result"}),
)

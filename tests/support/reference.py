"""A reference execution: graphql-core's own executor, over plain lists of dicts.

Nothing of the gateway's plans, lists or SQL is in it: every row of every table is read once, and
Python does the rest, row by row. Errors are the gateway's own, since those are what it shows.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    build_schema,
    execute_sync,
    get_named_type,
    parse,
    validate,
)

from gateway.auth.policy import RULES
from gateway.catalogue.timetables import KEYS
from gateway.errors import BadInput, shown
from gateway.schema import create_schema, next_runs
from gateway.schema.errors import show_all
from gateway.schema.views import DESCRIPTION
from tests.support.reference_catalogue import TABLES, Item, Reader
from tests.support.reference_lists import (
    Bounds,
    Order,
    Page,
    Row,
    column_of,
    condition,
    cursor,
    order_of,
    page,
    place,
    search,
)

SDL = (Path(__file__).parents[2] / "schema.graphql").read_text(encoding="utf-8")
NESTED = 10
"""The length of a page in a page, where nobody says another."""


@dataclass
class Reference(Reader):
    """Executes the queries of one caller over a catalogue."""

    default_limit: int = 100
    max_limit: int = 1000

    def answer(
        self, text: str, variables: Mapping[str, Any], name: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Return the status and the body of the answer over HTTP."""
        result = None
        document, errors = _validated(text)
        if document is not None:
            result = execute_sync(
                SCHEMA,
                document,
                context_value=self,
                variable_values=dict(variables),
                operation_name=name,
            )
            errors = result.errors or ()
        show_all(errors)
        body: dict[str, Any] = {"errors": [one.formatted for one in errors]} if errors else {}
        if result is None:
            return 400, body
        body["data"] = result.data
        codes = {(error.extensions or {}).get("code") for error in errors}
        dead = "UNAVAILABLE" in codes and not any((result.data or {}).values())
        return 503 if dead else 200, body


@lru_cache(maxsize=1)
def _validated(text: str) -> tuple[DocumentNode | None, Sequence[GraphQLError]]:
    """Return a document, or else what is wrong with it."""
    try:
        document = parse(text)
    except GraphQLError as error:
        return None, [error]
    errors = validate(SCHEMA, document)
    return (None, errors) if errors else (document, ())


@dataclass(frozen=True)
class List:
    """A connection: a list, and the part of it that is asked for."""

    reference: Reference
    type: str
    rows: Sequence[Row]
    bounds: Bounds
    across: bool

    def page(self) -> Page:
        """Return the page. Raises what reading it does."""
        self.reference.read(self.type, "pages", across=self.across)
        return page(self.rows, self.bounds)

    def total(self) -> int:
        """Return the length of the list. Raises what counting does."""
        self.reference.read(self.type, "counts", across=self.across)
        return len(self.rows)

    def has_more(self, *, forwards: bool) -> bool:
        """Return True if there is more of the list. Raises what reading the page does."""
        found = self.page()
        if not (found.knows_next if forwards else found.knows_previous):
            self.reference.read(self.type, "has_more", across=self.across)
        return found.has_next if forwards else found.has_previous

    def nodes(self) -> list[Item]:
        """Return the items of the page."""
        return [Item(self.type, row, self.across) for row in self.page().rows]

    def cursor(self, row: Row) -> str:
        """Return a row's cursor. Raises what showing a sort key does."""
        for column, _ in self.bounds.order:
            if isinstance(row[column], datetime):
                self.reference.faults.convert("UTCDateTime", row[column])
        return cursor(self.bounds.order, row)


# Resolvers


def _connection(item: Item | None, info: GraphQLResolveInfo, **arguments: Any) -> List:
    reference: Reference = info.context
    definition = info.parent_type.fields[info.field_name]
    connection = get_named_type(definition.type)
    type_ = get_named_type(connection.fields["nodes"].type).name
    across = item.across if item else arguments["allProjects"]
    linked = connection.name == "JobActionConnection"
    order = order_of(type_, arguments.get("orderBy"), linked=linked, across=across)
    bounds = _bounds(reference, order, arguments, nested=item is not None)
    tests = []
    if (where := arguments.get("where")) is not None:
        where_type = get_named_type(definition.args["where"].type)
        tests.append(condition(type_, where_type, where))
    if text := arguments.get("search"):
        if "\0" in text:
            raise BadInput("'search' has a NUL character", field="search")
        tests.append(search(type_, text))
    rows = [
        row
        for row in reference.children(item, type_)
        if reference.sees(type_, row, across=across) and all(holds(row) for holds in tests)
    ]
    return List(reference, type_, rows, bounds, across)


def _bounds(
    reference: Reference, order: Order, arguments: Mapping[str, Any], *, nested: bool
) -> Bounds:
    first, last = arguments.get("first"), arguments.get("last")
    if first is not None and last is not None:
        raise BadInput("'first' and 'last' can't both be given", field="last")
    most = reference.max_limit
    for name, length in (("first", first), ("last", last)):
        if length is not None and not 0 <= length <= most:
            message = f"'{name}' must be between 0 and {most}, not {length}"
            raise BadInput(message, field=name)
    if first is None and last is None:
        default = reference.default_limit
        first = min(default, NESTED) if nested else default
    after, before = (
        None if (text := arguments.get(name)) is None else place(order, text, name)
        for name in ("after", "before")
    )
    return Bounds(order, first, last, after, before)


def _column(item: Item, info: GraphQLResolveInfo) -> Any:
    column = column_of(info.parent_type.name, info.field_name)
    value = item.row[column]
    if column in {"version", "failures_in_a_row"}:
        # Of 32 bits in the database as well: nothing converts it.
        return value
    return info.context.convert(value, get_named_type(info.return_type))


def _global_id(item: Item, _info: GraphQLResolveInfo) -> str:
    text = f"{item.type}:{item.row['project_id']}:{item.row['id']}"
    return base64.b64encode(text.encode()).decode()


def _to_one(item: Item, info: GraphQLResolveInfo) -> Item | None:
    item_id = item.row[f"{info.field_name}_id"]
    if item_id is None:
        return None
    type_ = get_named_type(info.return_type).name
    project = item.row["project_id"]
    found: Item | None = info.context.meant(type_, project, item_id, across=item.across)
    return found


def _by_rest_id(_root: None, info: GraphQLResolveInfo, **arguments: str) -> Item | None:
    reference: Reference = info.context
    ((name, item_id),) = arguments.items()
    if "\0" in item_id:
        raise BadInput(f"'{name}' has a NUL character", field=name)
    type_ = get_named_type(info.return_type).name
    return reference.meant(type_, reference.project, item_id, across=False, as_item=True)


def _node(_root: None, info: GraphQLResolveInfo, id: str) -> Item | None:  # noqa: A002
    return _by_global_id(info.context, _decoded(id, "id"))


def _nodes(_root: None, info: GraphQLResolveInfo, ids: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    for key in [_decoded(text, "ids") for text in ids]:
        try:
            found.append(_by_global_id(info.context, key))
        except Exception as error:  # noqa: BLE001 - graphql-core shows it in the item's place
            found.append(error)
    return found


def _decoded(text: str, name: str) -> tuple[str, str, str]:
    wrong = BadInput(f"'{name}': {shown(text)} is not the id of a node", field=name)
    try:
        type_, project, item_id = base64.b64decode(text, validate=True).decode().split(":", 2)
    except ValueError:
        raise wrong from None
    if type_ not in TABLES or "\0" in project + item_id:
        raise wrong
    return type_, project, item_id


def _by_global_id(reference: Reference, key: tuple[str, str, str]) -> Item | None:
    type_, project, item_id = key
    across = (
        project != reference.project
        and not reference.identity.is_local
        and reference.allows(f"{type_.lower()}s:get_all_projects")
    )
    reference.read(type_, "rows_by_key", across=across)
    for row in reference.catalogue.rows[type_]:
        is_it = (row["project_id"], row["id"]) == (project, item_id)
        if is_it and reference.sees(type_, row, across=across):
            return Item(type_, row, across)
    return None


def _derived(item: Item, info: GraphQLResolveInfo) -> Any:
    """Return what the gateway itself works out from a row, without a database."""
    row = item.row
    if item.type == "Session":
        due = [job for job in info.context.children(item, "Job") if job["due_at"] is not None]
        if not due:
            return None
        row = min(due, key=lambda job: (job["due_at"], job["id"]))
    values = {key.removeprefix("schedule_"): row[key] for key in KEYS}
    values |= {name: row[name] for name in ("due_zone", "session_id")}
    values |= {"next_run_at": row["due_at"], "next_run_basis": row["due_basis"]}
    values |= {"stored_schedule": row["job_schedule"]}
    spec = next_runs.NEXT_RUN if info.field_name == "nextRun" else next_runs.MEANING
    return spec.metadata[DESCRIPTION].derive(values)


def _of_derived(source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
    value = getattr(source, snake(info.field_name))
    if callable(value):
        value = value(**{snake(name): given for name, given in arguments.items()})
    return value.name if isinstance(value, Enum) else value


def snake(name: str) -> str:
    """Return a name in GraphQL as it is in Python."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _viewer(_root: None, info: GraphQLResolveInfo) -> Mapping[str, Any]:
    reference: Reference = info.context
    return {
        "project": reference.project,
        "user": reference.identity.user_id,
        "userName": reference.identity.user_name,
        "roles": sorted(reference.identity.roles),
        "permissions": [rule for rule in sorted(RULES) if reference.allows(rule)],
    }


# The parts of connections: each makes a resolver's value of its parent's.

_PARTS: Mapping[str, Callable[[Any], Any]] = {
    "nodes": List.nodes,
    "edges": lambda own: [(own, item) for item in own.nodes()],
    "pageInfo": lambda own: own,
    "totalCount": List.total,
    "node": lambda edge: edge[1],
    "cursor": lambda edge: edge[0].cursor(edge[1].row),
    "position": lambda edge: edge[1].row["position"],
    "hasNextPage": lambda own: own.has_more(forwards=True),
    "hasPreviousPage": lambda own: own.has_more(forwards=False),
    "startCursor": lambda own: own.cursor(rows[0]) if (rows := own.page().rows) else None,
    "endCursor": lambda own: own.cursor(rows[-1]) if (rows := own.page().rows) else None,
}


def _resolver(type_: str, name: str, definition: Any) -> Callable[..., Any] | None:
    below = get_named_type(definition.type).name
    found: Callable[..., Any] | None = None
    if type_ in {"NextRun", "ScheduleMeaning", "ScheduleWarning"}:
        found = _of_derived
    elif below in {"NextRun", "ScheduleMeaning"}:
        found = _derived
    elif "first" in definition.args:
        found = _connection
    elif type_ == "Query":
        found = {"node": _node, "nodes": _nodes, "viewer": _viewer}.get(name, _by_rest_id)
    elif type_.endswith(("Connection", "Edge")) or type_ == "PageInfo":
        part = _PARTS[name]
        found = lambda own, _info: part(own)  # noqa: E731 - one of many
    elif below == "JobSchedule":
        found = lambda item, _info: item  # noqa: E731 - one of many
    elif type_ in {*TABLES, "JobSchedule"}:
        found = _to_one if below in TABLES else _global_id if name == "id" else _column
    return found


def schema_with(scalars: GraphQLSchema) -> GraphQLSchema:
    """Return the schema of `schema.graphql`, with resolvers, and the other schema's scalars."""
    schema = build_schema(SDL)
    for name in ("BigInt", "DateTime", "JSON"):
        own, other = schema.type_map[name], scalars.type_map[name]
        for attribute, value in vars(other).items():
            if callable(value):
                setattr(own, attribute, value)
    schema.type_map["Node"].resolve_type = lambda item, *_: item.type
    for type_ in schema.type_map.values():
        for name, definition in getattr(type_, "fields", {}).items():
            if hasattr(definition, "args") and not type_.name.startswith("__"):
                definition.resolve = _resolver(type_.name, name, definition)
    return schema


SCHEMA = schema_with(create_schema().core)

_VERDICT = frozenset(
    {"restorability", "restorabilityReason", "chainLevel", "levelSource", "seriesId"}
)
_HEALTH, _BY_HEALTH = {"health", "hasRestorableBackup"}, frozenset({"HEALTH", "HEALTH_SINCE"})
_OF_CLIENT = _HEALTH | {"lastSeenAt", "isSilent", "newestRestorePointAt", "recoveryObjective"}
ELSEWHERE: Mapping[str, frozenset[str]] = {
    "Query": frozenset({"run", "runs", "series", "deletionImpact", "restorePlan", "retention"})
    | {"statistics", "projectSettings", "overview", "coverage"},
    "Backup": frozenset({"chain", "series", "requires", "dependents", "run"}) | _VERDICT,
    "BackupWhere": _VERDICT,
    "BackupOrderField": frozenset(
        {"RESTORABILITY", "RESTORABILITY_REASON", "CHAIN_LEVEL", "SERIES_ID"}
    ),
    "Job": frozenset({"runs", "lastRun", "lastSuccess", "successRate", "durations"}) | _HEALTH,
    "JobWhere": _HEALTH | frozenset({"lastRunIsUnusual"}),
    "JobOrderField": _BY_HEALTH,
    "Client": frozenset(_OF_CLIENT | {"runs"}),
    "ClientWhere": frozenset(_OF_CLIENT),
    "ClientOrderField": frozenset({"LAST_SEEN_AT", "IS_SILENT", "NEWEST_RESTORE_POINT_AT"})
    | _BY_HEALTH,
    "Session": frozenset({"health"}),
    "SessionWhere": frozenset({"health"}),
    "SessionOrderField": _BY_HEALTH,
    "ScheduleMeaning": frozenset({"warnings"}),
}
"""The fields of each type that the reference doesn't know: they have tests of their own."""

_OF_MOMENTS = {"ClientConnection", "JobConnection", "SessionConnection"}
"""The lists that take a moment, which the reference doesn't know."""


def _covered() -> GraphQLSchema:
    """Return the schema without the fields of `ELSEWHERE`, for documents to be made from."""
    schema = build_schema(re.sub(r"type (Run|Series|Chain) implements Node \{", r"type \1 {", SDL))
    for name, without in ELSEWHERE.items():
        type_: Any = schema.type_map[name]
        known = type_.values if name.endswith("OrderField") else type_.fields
        for one in without:
            del known[one]
    for of_type in schema.type_map.values():
        for field in getattr(of_type, "fields", {}).values():
            if getattr(field, "args", None) and get_named_type(field.type).name in _OF_MOMENTS:
                field.args.pop("asOf", None)
    return schema


COVERED = _covered()


def is_covered(text: str) -> bool:
    """Return True for a document that asks for nothing that the reference doesn't know."""
    return not validate(COVERED, parse(text))

"""Derived values of stored rows: times of the calendar, folded names, integers sent as texts."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
NAMES: Mapping[str, Sequence[str]] = {
    "actions": ("backup_name", "container", "path_to_backup"),
    "backups": ("backup_name", "hostname", "container", "client_id"),
    "clients": ("id", "hostname", "description"),
    "jobs": ("description", "client_id"),
    "sessions": ("description",),
}
INTEGERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    # The table's document, and the keys of its columns.
    "actions": ("freezer_action", {"timeout": "timeout", "priority": "priority"}),
    "backups": (
        "backup_metadata",
        {
            "level": "curr_backup_level",
            "max_level": "max_level",
            "compressed_size": "backup_size_compressed",
            "uncompressed_size": "backup_size_uncompressed",
        },
    ),
}
# A batch is one statement: statements have a time limit.
BATCH = 1000
DIGITS = re.compile(r"-?[0-9]{1,19}", re.ASCII)

Values = dict[str, Any]


def upgrade() -> None:
    """Fill the columns of revision 0003 for the rows that were there before it."""
    for table in NAMES:
        _fill(table)


def downgrade() -> None:
    """Leave the values: they are right as long as their columns are there."""


def _fill(table: str) -> None:
    """Derive what the rows of a table need, in batches."""
    document, integers = INTEGERS.get(table, ("", {}))
    wanted = ["project_id", "id", *NAMES[table], *integers]
    wanted += ["time_stamp"] if table == "backups" else []
    own = sa.table(table, *(sa.column(name) for name in dict.fromkeys(wanted)))
    columns: list[sa.ColumnElement[Any]] = list(own.c)
    if document:
        # Only of rows that an integer may be missing in; as text, which isn't parsed by the driver.
        missing = sa.or_(*(own.c[name].is_(None) for name in integers))
        text = sa.cast(sa.literal_column(document), sa.Text)
        columns.append(sa.case((missing, text)).label("document"))
    else:
        columns.append(sa.null().label("document"))
    changes: dict[frozenset[str], list[Values]] = {}
    for row in _rows(own, columns):
        if changed := _derived(table, row, integers):
            key = {"of_project": row["project_id"], "of_id": row["id"]}
            changes.setdefault(frozenset(changed), []).append(changed | key)
        if sum(map(len, changes.values())) >= BATCH:
            _update(table, changes)
    _update(table, changes)


def _rows(own: sa.TableClause, columns: Sequence[Any]) -> Iterator[sa.RowMapping]:
    """Yield the rows of a table by its primary key, a batch at a time."""
    key = sa.tuple_(own.c.project_id, own.c.id)
    query = sa.select(*columns).order_by(own.c.project_id, own.c.id).limit(BATCH)
    after = query
    while rows := op.get_bind().execute(after).mappings().all():
        yield from rows
        last = rows[-1]
        after = query.where(key > sa.tuple_(sa.literal(last["project_id"]), sa.literal(last["id"])))


def _derived(table: str, row: sa.RowMapping, integers: Mapping[str, str]) -> Values:
    """Return the columns of a row that aren't what the new columns' defaults are."""
    changed: Values = {}
    names = [row[name] for name in NAMES[table] if row[name]]
    if not all(name.isascii() for name in names):
        changed["folded"] = "\x1f".join(name.replace("\x1f", "\x1e").casefold() for name in names)
    time = row.get("time_stamp")
    if time is not None and time != -1 and FIRST_SECOND <= time <= LAST_SECOND:
        changed["calendar_time"] = time
    if row["document"]:
        document = json.loads(row["document"])
        for column, key in integers.items():
            if row[column] is None and (number := _integer(document.get(key))) is not None:
                changed[column] = number
    return changed


def _integer(value: object) -> int | None:
    """Return the integer that was sent as a text or a float, or None."""
    if (isinstance(value, str) and DIGITS.fullmatch(value)) or (
        isinstance(value, float) and value.is_integer()
    ):
        number = int(value)
    else:
        return None
    return number if -(2**63) <= number < 2**63 else None


def _update(table: str, changes: dict[frozenset[str], list[Values]]) -> None:
    """Write the changes of a batch, those of the same columns together, and forget them."""
    types: Mapping[str, Callable[[], Any]] = {"folded": sa.Text}
    for names, many in changes.items():
        own = sa.table(table, *(sa.column(name) for name in ("project_id", "id", *names)))
        bound = {name: sa.bindparam(name, type_=types.get(name, sa.BigInteger)()) for name in names}
        statement = sa.update(own).where(
            own.c.project_id == sa.bindparam("of_project", type_=sa.Text()),
            own.c.id == sa.bindparam("of_id", type_=sa.Text()),
        )
        op.get_bind().execute(statement.values(bound), many)
    changes.clear()

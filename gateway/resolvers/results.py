"""Results of transactions, as text that is kept with an idempotency key.

A result may be None, a boolean, an integer, a text, a row, or a tuple of these. Of a row, only its
id and version are kept, which is all that the answers to writes tell of it: so the text is short,
whatever a row holds.
"""

from typing import Any

import orjson
from sqlmodel import SQLModel

from gateway.catalogue.tables import Action, Backup, Client, Job, Session

_TABLES = {table.__name__: table for table in (Action, Backup, Client, Job, Session)}


def dump(result: object) -> str:
    """Return a result as text. Raises TypeError for one of another kind."""
    # In a list, since SQLite makes a number of a text that is one.
    return orjson.dumps([_plain(result)]).decode()


def load(text: str, project_id: str) -> Any:
    """Return the result of a text; a row of the project has nothing but its id and version."""
    return _result(orjson.loads(text)[0], project_id)


def _plain(result: Any) -> Any:
    match result:
        case SQLModel():
            row: Any = result
            return {"table": type(row).__name__, "id": row.id, "version": row.version}
        case tuple():
            return [_plain(part) for part in result]
        case None | bool() | int() | str():
            return result
    raise TypeError(f"a result of the type {type(result).__name__} can't be kept")


def _result(plain: Any, project_id: str) -> Any:
    match plain:
        case {"table": name, "id": item_id, "version": version}:
            return _TABLES[name](project_id=project_id, id=item_id, version=version)
        case list():
            return tuple(_result(part, project_id) for part in plain)
    return plain

"""Faults to inject: loads that raise, a dead database, rules that forbid, values that don't show.

The gateway's own methods, patched, and the reference execution ask the same `Faults` whether they
are to fail, and so fail at the same places.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from gateway.auth.policy import Policy
from gateway.catalogue.column_types import UTCDateTime
from gateway.db.database import Database
from gateway.errors import Unavailable
from gateway.resolvers.clients import Clients
from gateway.resolvers.collection import Collection
from gateway.schema import scalars

KINDS = ("pages", "counts", "has_more", "resolve_ids", "rows_by_key")
"""The kinds of reads that can fail."""
METHODS = {
    "find": "pages",
    "pages_by_parent": "pages",
    "count": "counts",
    "counts_by_parent": "counts",
    "has_more": "has_more",
    "has_more_by_parent": "has_more",
    "resolve_ids": "resolve_ids",
    "rows_by_key": "rows_by_key",
}
"""The methods of a collection, and the kind of read that each is."""
DEAD = "the database is dead"


@dataclass
class Faults:
    """The fault that is injected at the moment, if any."""

    load: tuple[str, str] | None = None
    """A kind of item, such as `jobs`, and the kind of read that raises."""
    rule: str | None = None
    """The rule that forbids everybody everything."""
    value: tuple[str, Any] | None = None
    """The type of a column, and the one value of such columns that can't be shown."""
    dead_from: int | None = None
    """The number of statements after which the database doesn't answer."""

    def reset(self, other: "Faults | None" = None) -> None:
        """Inject what the other injects, or nothing."""
        vars(self).update(vars(other or Faults()))
        self.statements = count()

    def read(self, entity: str, kind: str) -> None:
        """Pass, or raise RuntimeError for a read that is to fail."""
        if self.load == (entity, kind):
            raise RuntimeError("injected")

    def statement(self) -> None:
        """Pass, or raise Unavailable for a statement that the database doesn't answer."""
        if self.dead_from is not None and next(self.statements) >= self.dead_from:
            raise Unavailable(DEAD)

    def convert(self, type_: str, value: Any) -> Any:
        """Return the value, or raise ValueError for the one that can't be shown."""
        if self.value == (type_, value):
            raise ValueError("injected")
        return value


def patch(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> None:
    """Have the gateway fail as the faults say. Apply it before the application is made."""
    for class_ in (Collection, Clients):
        for name, kind in METHODS.items():
            if name in vars(class_):
                monkeypatch.setattr(class_, name, _read(vars(class_)[name], kind, faults))
    _wrap(monkeypatch, Database, "rows", lambda *_: faults.statement())
    allows = Policy.allows
    monkeypatch.setattr(
        Policy,
        "allows",
        lambda self, rule, *caller: rule != faults.rule and allows(self, rule, *caller),
    )
    for name in ("Epoch", "Int32"):
        _converter(monkeypatch, getattr(scalars, name), faults)
    process = UTCDateTime.process_result_value
    monkeypatch.setattr(
        UTCDateTime,
        "process_result_value",
        lambda self, value, dialect: faults.convert("UTCDateTime", process(self, value, dialect)),
    )


def _read(method: Any, kind: str, faults: Faults) -> Any:
    async def read(self: Collection, *arguments: Any, **named: Any) -> Any:
        faults.read(self.rules.list.partition(":")[0], kind)
        return await method(self, *arguments, **named)

    return read


def _wrap(
    monkeypatch: pytest.MonkeyPatch, class_: type, name: str, before: Callable[..., None]
) -> None:
    method = getattr(class_, name)

    async def wrapped(self: Any, *arguments: Any) -> Any:
        before()
        return await method(self, *arguments)

    monkeypatch.setattr(class_, name, wrapped)


def _converter(monkeypatch: pytest.MonkeyPatch, type_: Any, faults: Faults) -> None:
    convert = type_().result_processor(None, None)
    name = type_.__name__
    monkeypatch.setattr(
        type_,
        "result_processor",
        lambda *_: lambda value: convert(faults.convert(name, value)),
    )

"""The parts of an operation that read the clock, unless their arguments give a moment.

An answer depends on more than the project's rows if one of them does: it can't be kept until the
rows change, and is asked again while time passes. `views.CLOCK` is where a field says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from graphql import GraphQLError

from gateway.errors import BadInput
from gateway.schema.execution.arguments import Arguments
from gateway.schema.execution.failures import Execution
from gateway.schema.filter_inputs import names_marked
from gateway.schema.views import VIEWS


class ClockRead(Protocol):
    """A part of an operation that may read the clock."""

    def names(self, execution: Execution) -> Sequence[str]:
        """Return what reads it in this run, as `Type.field`; empty if nothing does."""


@dataclass(frozen=True, slots=True)
class FieldRead:
    """A field whose arguments may give the moment."""

    name: str
    arguments: Arguments
    moments: Sequence[str]
    """The arguments each of which gives a moment in the clock's place."""

    def names(self, execution: Execution) -> Sequence[str]:
        """Return the field, if none of them is given."""
        given = values_of(self.arguments, execution)
        if given is None or any(given.get(one) is not None for one in self.moments):
            return ()
        return (self.name,)


@dataclass(frozen=True, slots=True)
class ListRead:
    """The conditions and the order of a list."""

    view: str
    arguments: Arguments

    def names(self, execution: Execution) -> Sequence[str]:
        """Return those that depend on the clock, unless the list has a moment."""
        given = values_of(self.arguments, execution)
        if given is None or given.get("as_of") is not None:
            return ()
        orders = given.get("order_by") or ()
        found = names_marked("reads_clock", VIEWS[self.view], given.get("where"), orders)
        return tuple(dict.fromkeys(found))


def values_of(arguments: Arguments, execution: Execution) -> Any:
    """Return the arguments, or None for wrong ones: then the field fails, whatever the time."""
    try:
        return arguments.of(execution)
    except (BadInput, GraphQLError):
        return None

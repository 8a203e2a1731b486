"""The parts of an operation that renew no revision when they change: its answer is never kept.

They are the polls of schedulers, who asks, and other projects. `views.UNTRACKED` is where a field
says so; the clock has its own list, in `clock_reads`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.schema.execution.arguments import Arguments
from gateway.schema.execution.clock_reads import values_of
from gateway.schema.execution.failures import Execution
from gateway.schema.filter_inputs import names_marked
from gateway.schema.views import VIEWS

ALL_PROJECTS = "allProjects"
"""The argument that lists all projects, which have no revision in common."""


class UntrackedRead(Protocol):
    """A part of an operation that may be untracked."""

    def names(self, execution: Execution) -> Sequence[str]:
        """Return what of it is untracked in this run, as `Type.field`; empty if nothing is."""


@dataclass(frozen=True, slots=True)
class AlwaysUntracked:
    """A field that is untracked in every run."""

    name: str

    def names(self, _execution: Execution) -> Sequence[str]:
        """Return the field."""
        return (self.name,)


@dataclass(frozen=True, slots=True)
class AcrossRead:
    """A field that may be of all projects, by its argument."""

    name: str
    arguments: Arguments

    def names(self, execution: Execution) -> Sequence[str]:
        """Return the field, if it is."""
        given = values_of(self.arguments, execution)
        return (self.name,) if given is not None and given.get("all_projects") else ()


@dataclass(frozen=True, slots=True)
class UntrackedListRead:
    """The conditions and the order of a list."""

    view: str
    arguments: Arguments

    def names(self, execution: Execution) -> Sequence[str]:
        """Return those that are untracked."""
        given = values_of(self.arguments, execution)
        if given is None:
            return ()
        orders = given.get("order_by") or ()
        found = names_marked("untracked", VIEWS[self.view], given.get("where"), orders)
        return tuple(dict.fromkeys(found))

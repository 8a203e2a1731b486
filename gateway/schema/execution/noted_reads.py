"""Notes of the parts of an operation that may read more than rows, taken as its plan is made."""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLField

from gateway.schema.execution.arguments import Arguments
from gateway.schema.execution.clock_reads import ClockRead, FieldRead, ListRead
from gateway.schema.execution.failures import Group
from gateway.schema.execution.untracked_reads import (
    ALL_PROJECTS,
    AcrossRead,
    AlwaysUntracked,
    UntrackedListRead,
    UntrackedRead,
)
from gateway.schema.views import CLOCK, UNTRACKED, ColumnField


class NotedReads:
    """The reads of the clock, and the untracked ones, in lists that plans share."""

    def __init__(self) -> None:
        self.clock: list[ClockRead] = []
        self.untracked: list[UntrackedRead] = []

    def field(self, name: str, metadata: Mapping[str, Any], arguments: Arguments) -> None:
        """Note a field, `Type.field`, with the arguments that may keep it from the clock."""
        if (moments := metadata.get(CLOCK)) is not None:
            self.clock.append(FieldRead(name, arguments, moments))
        if UNTRACKED in metadata:
            self.untracked.append(AlwaysUntracked(name))

    def column(self, name: str, spec: ColumnField) -> None:
        """Note a field that is a column."""
        if spec.untracked:
            self.untracked.append(AlwaysUntracked(name))

    def root(self, name: str, definition: GraphQLField, arguments: Arguments) -> None:
        """Note a root field that may be of all projects."""
        if ALL_PROJECTS in definition.args:
            self.untracked.append(AcrossRead(name, arguments))

    def conditions(
        self, view: str, definition: GraphQLField, arguments: Arguments, group: Group
    ) -> None:
        """Note the conditions and the order of a list."""
        given = {argument.name.value for argument in group[0].node.arguments or ()}
        if "asOf" in definition.args and given:
            self.clock.append(ListRead(view, arguments))
        if given & {"where", "orderBy"}:
            self.untracked.append(UntrackedListRead(view, arguments))

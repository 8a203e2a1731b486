"""Changes between two schemas that can break the programs that use them."""

from collections.abc import Sequence
from dataclasses import dataclass

from graphql import GraphQLError, build_schema, find_breaking_changes, find_dangerous_changes

from gateway.errors import BadInput


@dataclass(frozen=True)
class Changes:
    """Breaking changes, which make documents fail, and dangerous ones; a sentence each.

    A dangerous change is, for example, a new value of an enum: a program may not know what to do
    with it.
    """

    breaking: Sequence[str]
    dangerous: Sequence[str]


def compare(old: str, new: str) -> Changes:
    """Return the changes from one SDL schema to another. Raises BadInput for any other text."""
    try:
        before = build_schema(old)
    except (GraphQLError, TypeError) as error:
        raise BadInput(f"not a GraphQL schema: {str(error).splitlines()[0]}") from error
    if before.query_type is None:  # where nothing was, nothing could break
        raise BadInput("not a GraphQL schema: it has no type Query")
    after = build_schema(new)
    return Changes(
        breaking=sorted(change.description for change in find_breaking_changes(before, after)),
        dangerous=sorted(change.description for change in find_dangerous_changes(before, after)),
    )


def announced(changelog: str) -> str:
    """Return the section of a change log that announces today's changes: the first."""
    _, *sections = f"\n{changelog}".split("\n## ")
    return sections[0] if sections else ""

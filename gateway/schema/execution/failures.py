"""Failures inside a plan: an exception in a field's place, and what becomes of the response.

While a plan runs, whatever fails leaves a `FieldFailure` where its value would be. Only if one was
left, the response is gone through once more, depth first as the specification executes: each
failure becomes null at the nearest nullable field, and one error with its path and locations.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from graphql import GraphQLError, located_error
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import VariableValues

from gateway.context import Context, ItemKey

Value = TypeVar("Value")
Group = list[FieldDetails]
"""The nodes of a document that are one field of the response."""
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class FieldFailure:
    """An exception in place of a field's value."""

    error: Exception


class EveryKeyFailed:
    """In place of what a load found for each key: the same failure for all of them."""

    def __init__(self, failure: FieldFailure) -> None:
        self.failure = failure

    def get(self, key: ItemKey) -> FieldFailure | None:
        """Return the failure, or None for a key without an id, which asks for nothing."""
        return None if key[1] is None else self.failure


@dataclass(slots=True)
class Execution:
    """One run of a plan: its context and variables, and whether anything has failed."""

    ctx: Context
    variables: VariableValues
    has_failed: bool = False
    committed: set[str] = field(default_factory=set)
    """The response's keys of the mutations whose changes are made, whatever becomes of payloads."""
    message: Any = None
    """The object that a subscription's field shows in this run."""

    async def attempt(self, awaitable: Awaitable[Value]) -> Value | FieldFailure:
        """Return the result, or the failure in its place."""
        try:
            return await awaitable
        except Exception as error:  # noqa: BLE001 - the plan goes on, and the error is shown
            return self.fail(error)

    def attempt_call(self, function: Callable[..., Value], *arguments: Any) -> Value | FieldFailure:
        """Return what a function returns, or the failure in its place."""
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001 - it is shown in the field's place
            return self.fail(error)

    def fail(self, error: Exception) -> FieldFailure:
        """Return the failure that stands for an exception, and remember that there is one."""
        self.has_failed = True
        return FieldFailure(error)


@dataclass(eq=False, slots=True)
class OutputField:
    """A key of the response: the nodes that select it, and where a null may stand."""

    key: str
    group: Group
    is_nullable: bool
    inner: "Sequence[OutputField]" = ()
    """The fields of its object, or of each object of its list; of a plain value, none."""
    are_items_nullable: bool = False

    def complete(self, value: Any, path: Path, errors: list[GraphQLError]) -> Any:
        """Return the value with nulls for failures. Raises GraphQLError where none may stand."""
        return self._nullable(value, path, errors, is_nullable=self.is_nullable)

    def _nullable(
        self, value: Any, path: Path, errors: list[GraphQLError], *, is_nullable: bool
    ) -> Any:
        try:
            return self._completed(value, path, errors)
        except GraphQLError as error:
            if not is_nullable:
                raise
            errors.append(error)
            return None

    def _completed(self, value: Any, path: Path, errors: list[GraphQLError]) -> Any:
        match value:
            case FieldFailure(error):
                raise located_error(error, [one.node for one in self.group], list(path))
            case TypedObject(fields, inner):
                return complete(fields, inner, path, errors)
            case list():
                nullable = self.are_items_nullable
                return [
                    self._nullable(item, (*path, at), errors, is_nullable=nullable)
                    for at, item in enumerate(value)
                ]
            case dict() if self.inner:
                return complete(self.inner, value, path, errors)
        return value


@dataclass(frozen=True, slots=True)
class TypedObject:
    """An object whose fields depend on its type, which only a run of the plan knows."""

    fields: Sequence[OutputField]
    value: dict[str, Any]


def complete(
    fields: Sequence[OutputField], value: dict[str, Any], path: Path, errors: list[GraphQLError]
) -> dict[str, Any]:
    """Return an object of the response with nulls for failures, whose errors are appended.

    Raises GraphQLError for a failure of a field that can't be null.
    """
    return {
        field.key: field.complete(value[field.key], (*path, field.key), errors) for field in fields
    }


async def gather_all(*awaitables: Awaitable[Any]) -> list[Any]:
    """Return the results of all. Raises the first failure when the last of them is done.

    None is left behind: it would hold a connection that nobody waits for.
    """
    if len(awaitables) == 1:
        return [await awaitables[0]]
    results = await asyncio.gather(*awaitables, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results

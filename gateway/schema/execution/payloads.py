"""Payloads: what a mutation, or a field that answers a question, shows of the object it returns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway import deadlines
from gateway.context import ItemKey
from gateway.errors import NotFound
from gateway.schema.execution.failures import Execution
from gateway.schema.execution.output import LevelPlan


@dataclass(frozen=True, slots=True)
class Constant:
    """The same for every payload."""

    value: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """A plain value of the payload."""

    name: str


@dataclass(frozen=True, slots=True)
class Written:
    """The item with a key of the payload's."""

    level: LevelPlan
    key: str


@dataclass(frozen=True, slots=True)
class Listed:
    """The items whose keys an attribute has, in their order."""

    name: str
    level: LevelPlan


@dataclass(frozen=True, slots=True)
class Nested:
    """An object of the payload, or a list of objects."""

    name: str
    payload: "PayloadPlan"


Part = Constant | Attribute | Written | Listed | Nested


@dataclass(frozen=True, eq=False, slots=True)
class PayloadPlan:
    """The parts of a payload, by the response's keys and in their order."""

    parts: Sequence[tuple[str, Part]]

    def levels(self) -> Iterator[tuple[str, LevelPlan]]:
        """Yield the selections on items, with the response's keys that they stand under."""
        for key, part in self.parts:
            match part:
                case Written(level, _) | Listed(_, level):
                    yield key, level
                case Nested(_, payload):
                    yield from payload.levels()

    async def show(self, execution: Execution, source: Any) -> dict[str, Any]:
        """Return the payload; failures are in it."""
        return {key: await self._part(execution, source, part) for key, part in self.parts}

    @staticmethod
    async def _part(execution: Execution, source: Any, part: Part) -> Any:
        shown: Any
        match part:
            case Constant(value):
                shown = value
            case Attribute(name):
                shown = getattr(source, name)
            case Written(level, key):
                shown = await execution.attempt(_written(execution, level, getattr(source, key)))
            case Listed(name, level):
                shown = await execution.attempt(listed(execution, level, getattr(source, name)))
            case Nested(name, payload):
                shown = getattr(source, name)
                if isinstance(shown, list):
                    shown = [await payload.show(execution, one) for one in shown]
                elif shown is not None:
                    shown = await payload.show(execution, shown)
        return shown


async def _written(execution: Execution, level: LevelPlan, key: ItemKey | None) -> Any:
    """Return the item with this key, as it is now. Raises NotFound if it is gone again."""
    if key is None:
        return None
    found = await listed(execution, level, [key])
    if not found:
        raise NotFound(f"the {level.view.name.lower()} was deleted meanwhile")
    return found[0]


async def listed(execution: Execution, level: LevelPlan, keys: Sequence[ItemKey]) -> list[Any]:
    """Return the items with these keys that there are, in this order.

    Raises Forbidden, Unavailable, and what ends the operation.
    """
    if not keys:
        return []
    with deadlines.explained():
        deadlines.resume()
        found = await level.view.collection.rows_by_key(execution.ctx, keys, level.columns)
        (built,) = await level.build(execution, list(found.values()), all_projects=False)
    shown = dict(zip(found, built, strict=True))
    return [shown[key] for key in keys if key in shown]

"""Payloads: what a mutation, or a field that answers a question, shows of the object it returns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway import deadlines
from gateway.context import ItemKey
from gateway.errors import NotFound
from gateway.schema.execution.failures import (
    EveryKeyFailed,
    Execution,
    FieldFailure,
    TypedObject,
)
from gateway.schema.execution.output import LevelPlan
from gateway.schema.global_ids import in_other_project


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


@dataclass(frozen=True, slots=True)
class AnyItem:
    """The item of any type whose `AnyKey` an attribute has, or null."""

    name: str
    level_of: Callable[[str], LevelPlan]
    """Plans the selection on rows of a type, by its name."""
    levels: dict[str, LevelPlan] = field(default_factory=dict)

    async def show(self, execution: Execution, sources: Sequence[Any]) -> list[Any]:
        """Return the item of each payload, those of a type read together."""
        keys = [getattr(source, self.name) for source in sources]
        found = {}
        for view, all_projects in dict.fromkeys((k.view, k.all_projects) for k in keys if k):
            wanted = [k.key for k in keys if k and (k.view, k.all_projects) == (view, all_projects)]
            found[view, all_projects] = await self._find(
                execution, view, list(dict.fromkeys(wanted)), all_projects=all_projects
            )
        shown = [found[k.view, k.all_projects].get(k.key) if k else None for k in keys]
        if not execution.has_failed:
            return shown
        return [
            TypedObject(self.levels[k.view].outputs[0].fields, item)
            if k and isinstance(item, dict)
            else item
            for k, item in zip(keys, shown, strict=True)
        ]

    async def _find(
        self, execution: Execution, view: str, keys: Sequence[ItemKey], *, all_projects: bool
    ) -> Mapping[ItemKey, Any] | EveryKeyFailed:
        if view not in self.levels:
            self.levels[view] = self.level_of(view)
        level = self.levels[view]
        collection = level.view.collection
        if all_projects:
            collection = collection.all_projects
        rows = await execution.attempt(collection.resolve_ids(execution.ctx, keys, level.columns))
        if isinstance(rows, FieldFailure):
            return EveryKeyFailed(rows)
        built = await execution.attempt(
            level.build(execution, list(rows.values()), all_projects=all_projects)
        )
        if isinstance(built, FieldFailure):
            return EveryKeyFailed(built)
        return dict(zip(rows, built[0], strict=True))


Part = Constant | Attribute | Written | Listed | Nested | AnyItem


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

    @property
    def names(self) -> frozenset[str]:
        """The attributes that are selected."""
        return frozenset(
            part.name for _, part in self.parts if isinstance(part, Attribute | Listed | Nested)
        )

    async def show(self, execution: Execution, source: Any) -> dict[str, Any]:
        """Return the payload; failures are in it."""
        (shown,) = await self.show_all(execution, [source])
        return shown

    async def show_all(self, execution: Execution, sources: Sequence[Any]) -> list[dict[str, Any]]:
        """Return these payloads; failures are in them."""
        parts = [(key, await self._part(execution, sources, part)) for key, part in self.parts]
        return [{key: values[at] for key, values in parts} for at in range(len(sources))]

    @staticmethod
    async def _part(execution: Execution, sources: Sequence[Any], part: Part) -> Sequence[Any]:
        """Return a part of each of these payloads."""
        match part:
            case Constant(value):
                return [value] * len(sources)
            case Attribute(name):
                return [getattr(source, name) for source in sources]
            case Written(level, key):
                return [
                    await execution.attempt(_written(execution, level, getattr(source, key)))
                    for source in sources
                ]
            case Listed(name, level):
                return [
                    await execution.attempt(listed(execution, level, getattr(source, name)))
                    for source in sources
                ]
            case Nested(name, payload):
                return await _nested(execution, [getattr(one, name) for one in sources], payload)
            case AnyItem():
                return await part.show(execution, sources)


async def _nested(
    execution: Execution, values: Sequence[Any], payload: PayloadPlan
) -> Sequence[Any]:
    """Return the objects, lists of objects and nulls that these values are, shown together."""
    sources = [
        one
        for value in values
        if value is not None
        for one in (value if isinstance(value, list) else [value])
    ]
    shown = iter(await payload.show_all(execution, sources))
    return [
        [next(shown) for _ in value]
        if isinstance(value, list)
        else None
        if value is None
        else next(shown)
        for value in values
    ]


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

    Those of other projects are there for callers who may read all projects. Raises Forbidden,
    Unavailable, and what ends the operation.
    """
    if not keys:
        return []
    shown: dict[ItemKey, Any] = {}
    parts: dict[bool, list[ItemKey]] = {}
    for key in keys:
        elsewhere = in_other_project(execution.ctx, level.view, key[0])
        parts.setdefault(elsewhere, []).append(key)
    with deadlines.explained():
        deadlines.resume()
        for elsewhere, wanted in parts.items():
            collection = level.view.collection
            if elsewhere:
                collection = collection.all_projects
            found = await collection.rows_by_key(execution.ctx, wanted, level.columns)
            (built,) = await level.build(execution, list(found.values()), all_projects=elsewhere)
            shown |= dict(zip(found, built, strict=True))
    return [shown[key] for key in keys if key in shown]

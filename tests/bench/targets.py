"""The targets of the gateway, as data: each row compares two medians of one run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .comparison import CPU_GROWTH
from .workload import MISSED, name

Cells = Mapping[tuple[str, str], Mapping[str, Any]]
"""Measured medians, by program and request."""


@dataclass(frozen=True)
class Target:
    """One row: a measure of one program's request, over that of another's.

    With `most`, the ratio is to stay below `least` and, better, below `stretch`.
    """

    title: str
    measured: tuple[str, str]
    against: tuple[str, str]
    least: float
    stretch: float
    measure: Literal["rate", "cpu_us"] = "rate"
    most: bool = False


def _against(peer: str, *rows: tuple[str, float, float], title: str) -> list[Target]:
    return [
        Target(f"{name(key)} against {title}", ("gateway", key), (peer, key), least, stretch)
        for key, least, stretch in rows
    ]


def _unchanged(peer: str, least: float, stretch: float, *keys: str, title: str) -> list[Target]:
    return [
        Target(
            f"{key} unchanged against {title}", ("gateway", f"{key}U"), (peer, key), least, stretch
        )
        for key in keys
    ]


TARGETS = (
    *_against(
        "postgraphile",
        ("Q1", 2.5, 4),
        ("Q1C", 3, 3),
        ("Q2", 3, 4.5),
        ("Q3", 1.5, 2.5),
        ("Q4", 3, 4.5),
        title="PostGraphile",
    ),
    *_against("floor", ("Q1", 0.5, 0.7), ("Q2", 0.5, 0.7), title="the floor"),
    *_unchanged("postgraphile", 8, 12, "Q1", "Q2", "Q4", title="PostGraphile"),
    *_unchanged("floor", 1, 1.4, "Q1", "Q2", "Q4", title="the floor"),
    *(
        Target(
            f"CPU of {name(key)} against the same without memory",
            ("gateway", key),
            ("gateway", of),
            1.05,
            1.05,
            measure="cpu_us",
            most=True,
        )
        for key, of in MISSED.items()
    ),
    Target(
        "CPU of Q2 against R1",
        ("gateway", "Q2"),
        ("gateway", "R1"),
        1.5,
        1.3,
        measure="cpu_us",
        most=True,
    ),
    *_against(
        "freezer-api",
        ("R1", 6, 10),
        ("R2", 50, 200),
        ("R4", 1000, 10_000),
        ("R5", 1000, 5000),
        ("R6", 2, 5),
        ("R7", 3, 8),
        title="freezer-api (two processes)",
    ),
    Target("Q2 on SQLite against PostgreSQL", ("sqlite", "Q2"), ("gateway", "Q2"), 1, 1.3),
    Target(
        "Q3 with Keystone, cached token, against none",
        ("keystone", "Q3"),
        ("gateway", "Q3"),
        0.9,
        0.97,
    ),
)

GROWTH = 1.3
"""How much more a request may cost on the largest catalogue than on the smallest."""
HEARTBEATS = 0.25
"""How many statements a second a process may run for all heartbeats: one every few seconds."""
OVERLOAD, GOODPUT = 2, 0.85
"""How many times too many requests are offered, and the part of the best rate that is served."""
RESIDENT_MB = 200
"""The memory that a process may have."""


def verdicts(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each target: what was measured, and whether that is enough."""
    cells = {(cell["peer"], cell["key"]): cell for cell in result["cells"]}
    return [
        *(_row(target, _ratio(target, cells)) for target in TARGETS),
        *_changes(result.get("changes") or ()),
        *_growth(result.get("scale") or ()),
        *_heartbeats(result.get("insight")),
        *_overload(result.get("overload") or ()),
        *_memory(result.get("soak")),
    ]


def _ratio(target: Target, cells: Cells) -> float | None:
    if target.measured not in cells or target.against not in cells:
        return None
    mine, theirs = (cells[cell][target.measure] for cell in (target.measured, target.against))
    return float(mine / theirs) if theirs else None


def _changes(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        title = f"growth of {name(row['key'])}'s CPU time over the baseline's, %"
        yield _row(_most(title, CPU_GROWTH), row["cpu_us"]["by_round"])


def _growth(scale: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for key in dict.fromkeys(row["key"] for row in scale):
        rows = [row for row in scale if row["key"] == key]
        sizes = f"{rows[0]['backups']:,} to {rows[-1]['backups']:,} backups"
        cost = rows[0]["rate"] / rows[-1]["rate"]
        yield _row(_most(f"cost of {key} from {sizes}", GROWTH), cost)


def _heartbeats(insight: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    if insight:
        found = insight["heartbeats"]
        title = f"statements a second for the heartbeats of {found['clients']:,} clients"
        yield _row(_most(title, HEARTBEATS), found["statements"] / found["seconds"])


def _overload(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row["factor"] == OVERLOAD:
            offered = f"at {OVERLOAD} x the best rate"
            title = f"requests served {offered}, of the best"
            yield _row(Target(title, ("", ""), ("", ""), GOODPUT, GOODPUT), row["goodput"])
            title = f"p99 of those served {offered}, of the queue's limit"
            yield _row(_most(title, 1), row["p99_ms"] / row["bound_ms"])


def _memory(soak: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    if soak:
        title = f"MB resident, at most, in {soak['seconds'] / 60:.0f} minutes of everything"
        yield _row(_most(title, RESIDENT_MB), soak["resident_mb"])


def _most(title: str, limit: float) -> Target:
    return Target(title, ("", ""), ("", ""), limit, limit, most=True)


def _row(target: Target, value: float | None) -> dict[str, Any]:
    shown = ("title", "least", "stretch", "most")
    row = {name: getattr(target, name) for name in shown}
    return row | {"value": value, "verdict": judged(value, target)}


def judged(value: float | None, target: Target) -> str:
    """Say how what was measured compares with its target."""
    if value is None:
        return "not measured"
    sign = -1 if target.most else 1
    if sign * value < sign * target.least:
        return "MISSED"
    stretched = target.stretch != target.least and sign * value >= sign * target.stretch
    return "met, stretch" if stretched else "met"

"""What the gateway is meant to reach, as data: each row compares two medians of one run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Cells = Mapping[tuple[str, str], Mapping[str, Any]]
"""What was measured, by program and request."""


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
        Target(f"{key} against {title}", ("gateway", key), (peer, key), least, stretch)
        for key, least, stretch in rows
    ]


TARGETS = (
    *_against(
        "postgraphile",
        ("Q1", 2.5, 4),
        ("Q2", 3, 4.5),
        ("Q3", 1.5, 2.5),
        ("Q4", 3, 4.5),
        title="PostGraphile",
    ),
    *_against("floor", ("Q1", 0.5, 0.7), ("Q2", 0.5, 0.7), title="the floor"),
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
RESIDENT_MB = 200
"""The memory that a process may have."""


def verdicts(cells: Cells) -> list[dict[str, Any]]:
    """Return a row for each target: its ratio, and whether it was met; None: not measured."""
    return [_verdict(target, cells) for target in TARGETS]


def _verdict(target: Target, cells: Cells) -> dict[str, Any]:
    ratio = None
    if target.measured in cells and target.against in cells:
        mine, theirs = (cells[cell][target.measure] for cell in (target.measured, target.against))
        ratio = mine / theirs if theirs else None
    return asdict(target) | {"ratio": ratio, "verdict": judged(ratio, target)}


def judged(ratio: float | None, target: Target) -> str:
    """Say how a ratio compares with its target."""
    if ratio is None:
        return "not measured"
    sign = -1 if target.most else 1
    if sign * ratio >= sign * target.stretch:
        return "met, stretch"
    return "met" if sign * ratio >= sign * target.least else "MISSED"

"""How the gateway's costs differ from the baseline's, which had its turns in the same rounds."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .workload import name

Row = Mapping[str, Any]

CPU_GROWTH = 3.0
"""By how many percent the CPU time of a request may grow."""
_BY_ROUND = {"rate": "rates", "cpu_us": "cpu_times_us"}
"""Each measure's median, and its figures round by round."""


def compared(cells: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a row for each request that both were asked, with its rate and CPU time.

    Each measure has the medians of both, how much they differ (`change`), and the median of how
    much the two samples of a round do (`by_round`), in percent of the baseline. The latter says
    most on a machine that is quicker at one time than at another.
    """
    found = {(cell["peer"], cell["key"]): cell for cell in cells}
    pairs = [
        (cell, found["baseline", cell["key"]])
        for cell in cells
        if cell["peer"] == "gateway" and ("baseline", cell["key"]) in found
    ]
    return [
        {"key": own["key"], "rounds": len(own["rates"])}
        | {measure: _compared(own, other, measure) for measure in _BY_ROUND}
        for own, other in pairs
    ]


def _compared(own: Row, other: Row, measure: str) -> dict[str, float]:
    rounds = zip(own[_BY_ROUND[measure]], other[_BY_ROUND[measure]], strict=False)
    return {
        "gateway": own[measure],
        "baseline": other[measure],
        "change": _percent(own[measure] / other[measure]),
        "by_round": _percent(statistics.median(mine / theirs for mine, theirs in rounds)),
    }


def _percent(ratio: float) -> float:
    return (ratio - 1) * 100


def regressions(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a sentence for each request whose CPU time has grown too much, round by round."""
    for row in rows:
        grown = row["cpu_us"]["by_round"]
        if grown > CPU_GROWTH:
            yield (
                f"{name(row['key'])} takes {grown:.1f} % more CPU time than the baseline's, "
                f"{CPU_GROWTH:g} % is the most"
            )

"""The result as tables of text, the same on the terminal and in the documentation."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .workload import TITLES, name

Result = Mapping[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table in Markdown whose columns line up; all but the first are numbers."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def written(line: Sequence[str]) -> str:
        first, *others = zip(line, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
        return f"| {' | '.join(cells)} |"

    rule = [f":{'-' * (widths[0] - 1)}", *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([written(lines[0]), f"| {' | '.join(rule)} |", *map(written, lines[1:])])


def measurements(result: Result) -> str:
    """Write what every request of every program came to."""
    gateway = {cell["key"]: cell for cell in result["cells"] if cell["peer"] == "gateway"}
    rows = []
    for cell in result["cells"]:
        own = gateway.get(cell["key"])
        ratio = f"{number(own['rate'] / cell['rate'])} x" if own and own is not cell else ""
        rows.append(
            (
                f"{name(cell['key'])} {cell['peer']}",
                number(cell["rate"]),
                ratio,
                number(cell["p50_ms"]),
                number(cell["p99_ms"]),
                f"{cell['cpu_us']:,.0f}",
                "" if cell["statements"] is None else f"{cell['statements']:g}",
                f"{cell['resident_mb']:.0f}",
            )
        )
    head = ("request", "per second", "gateway is", "p50 ms", "p99 ms", "CPU µs", "SQL", "MB")
    return table(head, rows)


def overload(result: Result) -> str:
    """Write what became of more requests than could be answered."""
    rows = [
        (
            f"{row['factor']:g} x the best rate",
            number(row["offered"]),
            number(row["served"]),
            f"{row['goodput']:.0%}",
            number(row["refused"]),
            number(row["p50_ms"]),
            number(row["p99_ms"]),
            number(row["bound_ms"]),
        )
        for row in result["overload"]
    ]
    head = ("offered", "per second", "served", "of the best", "refused", "p50 ms", "p99 ms")
    return table((*head, "queue's limit, ms"), rows)


def changes(result: Result) -> str:
    """Write how the gateway's rate and CPU time differ from the baseline's."""
    head = ["request"]
    for measure in ("per second", "CPU µs"):
        head += [measure, "baseline", "change", "by round"]
    rows = [
        [name(row["key"]), *_change(row["rate"]), *_change(row["cpu_us"])]
        for row in result["changes"]
    ]
    return table(head, rows)


def _change(measure: Mapping[str, float]) -> list[str]:
    figures = [number(measure[who]) for who in ("gateway", "baseline")]
    return figures + [f"{measure[which]:+.1f} %" for which in ("change", "by_round")]


def targets(result: Result) -> str:
    """Write each target as met or missed; those that weren't measured are left out."""
    rows = [
        (
            row["title"],
            number(row["value"]),
            f"{'≤' if row['most'] else '≥'} {row['least']:,g}",
            f"{row['stretch']:,g}" if row["stretch"] != row["least"] else "",
            row["verdict"],
        )
        for row in result["targets"]
        if row["value"] is not None
    ]
    return table(("target", "measured", "least", "stretch", "verdict"), rows)


def growth(result: Result) -> str:
    """Write what the requests cost on catalogues of other sizes."""
    rows = [
        (
            f"{row['key']} of {row['backups']:,} backups",
            number(row["rate"]),
            f"{row['cpu_us']:,.0f}",
            number(row["p50_ms"]),
            number(row["total_ms"]),
        )
        for row in sorted(result["scale"], key=lambda row: (row["key"], row["backups"]))
    ]
    return table(("request", "per second", "CPU µs", "p50 ms", "totalCount ms"), rows)


def insight(result: Result) -> str:
    """Write what questions about a large catalogue cost, and what keeping the answers does."""
    rows = [
        (row["title"], number(row["ms"]), f"{row['cpu_us']:,.0f}", f"{row['statements']:g}")
        for row in result["insight"]["rows"]
    ]
    polls = result["insight"]["heartbeats"]
    beats = f"{polls['polls']:,} polls of {polls['clients']:,} clients, {number(polls['rate'])} /s"
    rows.append((f"heartbeats of {beats}", "", "", f"{polls['statements']:g}"))
    return table(("question, or write", "ms", "CPU µs", "SQL"), rows)


def legend(keys: Iterable[str]) -> str:
    """Say what the requests are."""
    return "\n".join(f"- {name(key)}: {TITLES[key]}" for key in keys)


def number(value: float) -> str:
    """Write a number with three significant digits, or whole where it is large."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"

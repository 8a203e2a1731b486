"""The result as a picture: throughput of everybody, growth with the catalogue, memory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from .workload import name

COLOURS = {
    "gateway": "#1f6feb",
    "baseline": "#8957e5",
    "sqlite": "#79b8ff",
    "keystone": "#0b3d91",
    "floor": "#999999",
    "postgraphile": "#e36209",
    "freezer-api": "#d73a49",
}


def draw(result: Mapping[str, Any], file: Path) -> None:
    """Draw the result into a PNG file; only the panels that there is something for."""
    panels = [_throughput]
    panels += [_growth] if result.get("scale") else []
    panels += [_overload] if result.get("overload") else []
    panels += [_memory] if result.get("soak") else []
    widths = [3, *(1.3 for _ in panels[1:])]
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(2.6 * sum(widths), 4.6),
        width_ratios=widths,
        layout="constrained",
        squeeze=False,
    )
    for panel, axis in zip(panels, axes[0], strict=True):
        panel(axis, result)
        axis.grid(visible=True, axis="y", alpha=0.3)
        axis.set_axisbelow(True)
    figure.suptitle(f"Freezer gateway, {result['date'][:10]}: one core against one core", size=11)
    figure.savefig(file, dpi=100)
    plt.close(figure)


def _throughput(axis: Any, result: Mapping[str, Any]) -> None:
    keys = list(dict.fromkeys(cell["key"] for cell in result["cells"]))
    present = {cell["peer"] for cell in result["cells"]}
    peers = [peer for peer in COLOURS if peer in present]
    width = 0.84 / len(peers)
    rates = {(cell["peer"], cell["key"]): cell["rate"] for cell in result["cells"]}
    for place, peer in enumerate(peers):
        own = [(at, rates[peer, key]) for at, key in enumerate(keys) if (peer, key) in rates]
        shift = (place - (len(peers) - 1) / 2) * width
        places = [at + shift for at, _ in own]
        axis.bar(places, [rate for _, rate in own], width, label=peer, color=COLOURS[peer])
    axis.set_yscale("log")
    axis.set_xticks(range(len(keys)), [name(key).replace(" ", "\n") for key in keys])
    axis.set_ylabel("requests per second (median of rounds)")
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.legend(fontsize=8, ncols=len(peers), loc="upper center", bbox_to_anchor=(0.5, -0.07))
    axis.set_title("Throughput", size=10)


def _growth(axis: Any, result: Mapping[str, Any]) -> None:
    for key in dict.fromkeys(row["key"] for row in result["scale"]):
        rows = [row for row in result["scale"] if row["key"] == key]
        costs = [rows[0]["rate"] / row["rate"] for row in rows]
        axis.plot([row["backups"] for row in rows], costs, marker="o", label=key)
    axis.axhline(1.3, color="black", linestyle="--", linewidth=0.8)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.set_ylim(0, 2)
    axis.set_xlabel("backups in the project")
    axis.set_ylabel("cost, the smallest is 1")
    axis.legend(fontsize=8)
    axis.set_title("Growth", size=10)


def _overload(axis: Any, result: Mapping[str, Any]) -> None:
    rows = result["overload"]
    offered = [row["factor"] for row in rows]
    axis.plot(offered, [row["goodput"] for row in rows], marker="o", label="served, of the best")
    waits = [row["p99_ms"] / row["bound_ms"] for row in rows]
    axis.plot(offered, waits, marker="s", label="p99, of the queue's limit")
    axis.axhline(0.85, color="black", linestyle="--", linewidth=0.8)
    axis.set_ylim(0, 1.3)
    axis.set_xlabel("offered, the best rate is 1")
    axis.legend(fontsize=8)
    axis.set_title("Overload", size=10)


def _memory(axis: Any, result: Mapping[str, Any]) -> None:
    course = result["soak"]["course"]
    axis.plot([at / 60 for at, _ in course], [memory for _, memory in course], color="#1f6feb")
    axis.axhline(200, color="black", linestyle="--", linewidth=0.8)
    axis.set_ylim(0, 250)
    axis.set_xlabel("minutes of the whole workload")
    axis.set_ylabel("MB resident")
    axis.set_title("Memory", size=10)

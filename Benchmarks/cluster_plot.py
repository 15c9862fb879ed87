"""Draws what Benchmarks/cluster has measured. Usage: cluster_plot.py DATA.json OUT.svg"""

import json
import sys

import matplotlib

matplotlib.use("svg")
# Text stays text, and the same numbers give the same file.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "duplex", "font.family": "sans-serif", "font.size": 10})

from matplotlib import pyplot  # noqa: E402

SERIES = {"first": ("the node that says it", "#d9480f", "o"), "other": ("a node that hears it", "#1971c2", "^"), "redis": ("Redis", "#868e96", "s")}


def main(source, target):
    with open(source) as file:
        data = json.load(file)
    panels = list(panels_of(data))
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.4), squeeze=False)
    for axis, (label, places, points) in zip(axes[0], panels):
        draw(axis, label, places, points)
    axes[0][0].set_ylabel("CPU a message, µs")
    axes[0][0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None}, facecolor="white")


def panels_of(data):
    """Of each panel: what is said below it, the places on its axis, and the costs there."""
    if "nodes" in data:
        points = [point for point in data["nodes"]["points"] if point["nodes"] > 0]
        for depth, how in (("1", "one message at a time"), ("64", "64 in flight")):
            yield f"nodes, {how}", [point["nodes"] for point in points], [point["costs"][depth] for point in points]
    if "topics" in data:
        points = data["topics"]["points"]
        yield "topics in use, between two nodes, 64 in flight", [point["topics"] for point in points], points


def draw(axis, label, places, points):
    for of, (title, colour, marker) in SERIES.items():
        known = [(place, point[of] * 1e6) for place, point in zip(places, points) if point[of] is not None]
        axis.plot(*zip(*known), color=colour, marker=marker, label=title)
    axis.set_xscale("log")
    axis.set_xticks(places, [f"{place:,}" for place in places])
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.set_xlabel(label)
    axis.grid(axis="y", color="#dee2e6")
    axis.spines[["top", "right"]].set_visible(False)


main(*sys.argv[1:])

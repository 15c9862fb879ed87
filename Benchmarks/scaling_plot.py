"""Draws what Benchmarks/scaling has measured. Usage: scaling_plot.py DATA.json OUT.svg"""

import json
import sys

import matplotlib

matplotlib.use("svg")
# Text stays text, and the same numbers give the same file.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "duplex", "font.family": "sans-serif", "font.size": 10})

from matplotlib import pyplot  # noqa: E402

PANELS = [("subscribers", "subscribers of one topic"), ("topics", "topics, of which one is busy (500 subscribers)")]
SERIES = {"duplex": ("Duplex", "#d9480f", "o"), "floor": ("the floor", "#868e96", "s")}


def main(source, target):
    with open(source) as file:
        data = json.load(file)
    panels = [(part, label) for part, label in PANELS if part in data]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.8 * len(panels), 3.4), sharey=True, squeeze=False)
    for axis, (part, label) in zip(axes[0], panels):
        draw(axis, data[part]["points"], part, label)
    axes[0][0].set_ylabel("server CPU a delivery, ns")
    axes[0][0].set_ylim(bottom=0)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None}, facecolor="white")


def draw(axis, points, part, label):
    places = [point[part] for point in points]
    for name, (title, colour, marker) in SERIES.items():
        if name in points[0]:
            axis.plot(places, [1e9 / point[name] for point in points], color=colour, marker=marker, label=title)
    axis.set_xscale("log")
    axis.set_xticks(places, [f"{place:,}" for place in places])
    axis.minorticks_off()
    axis.set_xlabel(label)
    axis.grid(axis="y", color="#dee2e6")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)


main(*sys.argv[1:])

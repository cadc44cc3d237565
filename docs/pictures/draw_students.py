"""Draws students.png from the first table of results in docs/students.md: `python docs/pictures/draw_students.py`."""

import json
import re
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PAGE = Path(__file__).parents[1] / "students.md"
PICTURE = Path(__file__).parent / "students.png"
ARMS = {
    "teacher": ("teacher (MiniLM-L6)", "#555b66"),
    "ours": ("student: 5 to 6% of the weights without embeddings", "#1f77b4"),
    "one layer of the teacher": ("one layer of the teacher, 18% of the weights", "#e0a030"),
    "the same architecture from scratch, distilled": ("student's architecture from scratch, distilled", "#b9ab93"),
}
"""How rows of the table begin -> their names and colors in the picture."""


def read_table(page: str) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and standard deviation of each arm on each data set.

    Args:
        page: the text of docs/students.md.

    Returns:
        Data set -> start of the row's name, as in `ARMS` -> mean and deviation; 0 where none is given.
    """
    lines = page[page.index("| test accuracy |") :].split("\n\n")[0].splitlines()
    names, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    found: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in names[1:]}
    for first, *cells in rows:
        for arm in ARMS:
            if first.startswith(arm):
                for name, cell in zip(names[1:], cells, strict=True):
                    numbers = [float(number) for number in re.findall(r"\d\.\d+", cell)]
                    found[name][arm] = (numbers[0], numbers[1] if len(numbers) > 1 else 0.0)
    return found


def draw(figures: dict[str, dict[str, tuple[float, float]]], path: Path) -> None:
    """Write the chart as a PNG, whose description holds the figures."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    step = 0.7 / len(ARMS)
    for place, (arm, (name, color)) in enumerate(ARMS.items()):
        means, spreads = zip(*(figures[data][arm] for data in figures), strict=True)
        at = [group + (place - (len(ARMS) - 1) / 2) * step for group in range(len(figures))]
        axes.errorbar(at, means, yerr=spreads, fmt="o", markersize=9, color=color, ecolor="0.3", capsize=3, label=name)
        for x, mean, spread in zip(at, means, spreads, strict=True):
            axes.annotate(f"{mean:.3f}", (x, mean + spread), (0, 7), textcoords="offset points", ha="center", size=8)
    axes.set_xticks(range(len(figures)), figures)
    axes.set_ylim(0.72, 1.01)
    axes.set_ylabel("test accuracy")
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8.5)
    figure.savefig(path, dpi=160, metadata={"Description": json.dumps(figures), "Software": None})


if __name__ == "__main__":
    draw(read_table(PAGE.read_text(encoding="utf-8")), PICTURE)

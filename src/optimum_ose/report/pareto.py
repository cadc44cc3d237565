"""Draws what a search saw: size against error, the Pareto front, the winner."""

import io
from collections.abc import Mapping
from typing import Any

from optimum_ose.wording import one_line


def draw_pareto(search: Mapping[str, Any], *, dpi: int = 150) -> bytes:
    """A PNG of every trained candidate: parameters against error, colored by inference cost.

    Args:
        search: what `search.json` holds.
        dpi: dots per inch.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    trained = [item["objectives"] for item in search["evaluations"] if item["objectives"]["error"] is not None]
    front = [item["objectives"] for item in search["pareto_front"]]
    unit, scale = ("predicted latency (ms)", 1.0) if _costs_time(search) else ("multiply-adds (millions)", 1e6)
    points = axes.scatter(
        [item["parameter_size"] / 1e6 for item in trained],
        [item["error"] for item in trained],
        c=[item["inference_cost"] / scale for item in trained],
        cmap="viridis",
        s=36,
        label="trained candidate",
        zorder=2,
    )
    axes.scatter(
        [item["parameter_size"] / 1e6 for item in front],
        [item["error"] for item in front],
        facecolors="none",
        edgecolors="0.2",
        s=90,
        zorder=1,
        label="not beaten in size, cost and error at once",
    )
    best = search["winner"]["objectives"]
    axes.scatter(
        [best["parameter_size"] / 1e6], [best["error"]], marker="*", s=260, color="tab:red", zorder=3, label="winner"
    )
    axes.axvline(search["maximum_point"][0] / 1e6, color="0.3", linestyle=":", label="size of the maximum point T")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("parameters (millions, embeddings included)")
    measured = {"elastic": "error inside the elastic student", "inherited": "error as inherited, without training"}
    method = search["settings"].get("method")
    done = "measurements" if method in measured else "trainings"
    axes.set_ylabel(measured.get(method, "error after a short distillation"))
    figure.colorbar(points, label=unit)
    axes.set_title(
        f"{len(trained)} {done} of {search['space']['num_architectures']} architectures; proven share of the best: "
        f"{search['certificate']['ratio']:.3f} ({_drawable(search['certificate']['assumption'])})",
        fontsize=10,
        parse_math=False,
    )
    axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def _drawable(text: object) -> str:
    """A text from a record in characters that every font has."""
    return one_line(text, limit=120).encode("ascii", "backslashreplace").decode("ascii")


def _costs_time(search: Mapping[str, Any]) -> bool:
    return bool(search.get("settings", {}).get("inference_cost") == "latency")

"""Owns the tables of really trained networks that `search.py` looks through, read from the data folder."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from families import SEQUENCE_LENGTH
from instances import Table


def trained_tables(folder: Path) -> dict[str, Table]:
    """Really trained networks: three sets of language models (log perplexity), one of XCiT (1 - accuracy)."""
    rows = _rows(folder / "lts_three_sets.csv")
    sets = sorted({row["set"] for row in rows})
    tables = {name: _language_models([row for row in rows if row["set"] == name and row["valid_ppl"]]) for name in sets}
    vision = [
        row for row in _rows(folder / "timm_xcit_deit_cait.csv") if row["family"] == "xcit" and "dist" in row["tag"]
    ]
    tables["xcit"] = _table(
        {
            (int(row["depth"]), int(row["width"]), int(row["img_size"]) // int(row["patch_size"])): (
                float(row["param_count_M"]),
                float(row["cpu_i9_10940x_fp32_ms"]),
                float(row["param_count_M"]),
                1 - float(row["top1"]) / 100,
            )
            for row in vision
            if row["cpu_i9_10940x_fp32_ms"]
        },
        ("depth", "hidden", "tokens_per_side"),
    )
    return tables


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("#")))


def _language_models(rows: list[dict[str, str]]) -> Table:
    """Cost: measured latency where the table has it, else multiply-adds for a sequence."""
    entries = {}
    for row in rows:
        depth, hidden = int(row["n_layer"]), int(row["d_model"])
        size = float(row["params_nonembedding"])
        operations = SEQUENCE_LENGTH * size + 2 * SEQUENCE_LENGTH**2 * depth * hidden
        point = depth, round(float(row["n_head_mean"]) * 1000), hidden, round(float(row["d_inner_mean"]))
        cost = float(row["latency_ms"]) if row["latency_ms"] else operations
        entries[point] = float(row["params_total"]), cost, size, float(np.log(float(row["valid_ppl"])))
    return _table(entries, ("depth", "heads_x1000", "hidden", "inner"))


def _table(entries: Mapping[tuple[int, ...], tuple[float, ...]], axes: tuple[str, ...]) -> Table:
    """A table from point -> (p, i, size, e); T is 5% above the largest of each cost, so that all have a W."""
    points = sorted(entries)
    p, i, size, error = np.array([entries[point] for point in points]).T
    return Table(
        axes=axes,
        values=np.array(points, dtype=np.int64),
        parameter_size=p,
        inference_cost=i,
        size=size,
        error=error,
        maximum_point=(1.05 * float(p.max()), 1.05 * float(i.max())),
        is_monotone=False,
    )

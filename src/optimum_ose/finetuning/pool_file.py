"""The pool and its reports as a file of a checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from optimum_ose.finetuning.pool import Pool, PoolReport, PoolRow
from optimum_ose.serialization import canonical_line, read_json, write_atomic

POOL_FILE = "agora_pool.json"
_SCHEMA_VERSION = 2


def write_pool(path: Path, pool: Pool, reports: Sequence[PoolReport]) -> None:
    """Write the rows of the current round and the reports of all, whole or not at all."""
    content = {
        "schema_version": _SCHEMA_VERSION,
        "round": pool.round,
        "rows": [asdict(row) for row in pool.rows],
        "reports": [asdict(report) for report in reports],
    }
    write_atomic(path, canonical_line(content) + "\n")


def read_pool(path: Path, pool: Pool) -> tuple[PoolReport, ...]:
    """Refill the pool from a file, and return the reports."""
    stored = read_json(path)
    pool.refill((_row(values) for values in stored["rows"]), round_number=stored["round"])
    return tuple(_report(values) for values in stored["reports"])


def _row(values: Mapping[str, Any]) -> PoolRow:
    label = values["label"]
    return PoolRow(**{**values, "label": label if isinstance(label, int) else tuple(label)})


def _report(values: Mapping[str, Any]) -> PoolReport:
    betti = None if values["betti"] is None else tuple(values["betti"])
    return PoolReport(**{**values, "label_counts": tuple(values["label_counts"]), "betti": betti})

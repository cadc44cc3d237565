"""What identifies a question: hashes of model and data, and the settings that change an answer. No clock, host or
path.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset, Image
from transformers import PreTrainedModel

from optimum_ose.configuration import DistillationConfig, SearchConfig
from optimum_ose.configuration.search import FREE_SEARCH_SETTINGS, SIZE_BOUNDS
from optimum_ose.preprocessing import rgb
from optimum_ose.serialization import digest, plain

FREE_ELASTIC_SETTINGS = frozenset({"checkpoint_steps", "max_measured"})
"""Settings of an elastic training that change nothing of its weights."""
_PART = 100_000
"""Rows that are in memory at once."""


def model_digest(model: PreTrainedModel) -> str:
    """SHA-256 over the config and every weight of a model."""
    found = hashlib.sha256(digest(_stable_config(model)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def rows_digest(rows: Dataset) -> str:
    """SHA-256 over every row of a data set and the names of its classes; of images over their pixels, whatever their
    files are.
    """
    if len(rows) > _PART:
        parts = range(0, len(rows), _PART)
        return digest([rows_digest(rows.select(range(start, min(start + _PART, len(rows))))) for start in parts])
    values = {name: _values(rows, name) for name in sorted(rows.column_names)}
    names = {name: list(found) for name in sorted(rows.column_names) if (found := _class_names(rows.features[name]))}
    return digest({"values": values, "names": names} if names else values)


def search_question(
    model: PreTrainedModel,
    settings: SearchConfig,
    *,
    rows: Dataset,
    eval_rows: Dataset,
    benchmark_task: str | None = None,
) -> dict[str, Any]:
    """The question that a search journal answers. Budget, epsilon, costs and constraints may change: finished
    evaluations stay valid; a journaled latency carries its own setting. The default recipe of distillation, with which
    candidates are trained, is part of it, and so is the benchmark whose metric is the error.
    """
    judged = benchmark_task is not None and settings.error == "task-metric"
    return {
        "model": model_digest(model),
        "train": rows_digest(rows),
        "validation": rows_digest(eval_rows),
        "settings": {name: value for name, value in plain(settings).items() if name not in FREE_SEARCH_SETTINGS},
        "recipe": plain(DistillationConfig()),
        **({"benchmark_task": benchmark_task} if judged else {}),
    }


def elastic_question(
    model: PreTrainedModel,
    settings: SearchConfig,
    *,
    rows: Dataset,
    sizes: Mapping[str, int],
    values: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """The question that a training of shared weights answers.

    Args:
        model: the teacher.
        settings: of the search.
        rows: that it is trained on.
        sizes: of the shared weights in each axis.
        values: of all candidates in each axis.
    """
    kept = (*SIZE_BOUNDS, "layer_selection", "seed", "sequence_length")
    return {
        "model": model_digest(model),
        "train": rows_digest(rows),
        "sizes": dict(sizes),
        "values": {axis: sorted(found) for axis, found in values.items()},
        "settings": {name: value for name, value in plain(settings).items() if name in kept},
        "elastic": {
            name: value for name, value in plain(settings.elastic).items() if name not in FREE_ELASTIC_SETTINGS
        },
        "recipe": plain(DistillationConfig()),
    }


def answers_narrower(kept: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether a finished training of shared weights answers another question too: one with tighter bounds on the size,
    or with fewer values of an axis, and otherwise the same.

    Args:
        kept: the question of the training.
        asked: another one.
    """
    old, new = kept["settings"], asked["settings"]
    if any(kept[name] != asked[name] for name in ("model", "train", "elastic", "recipe")):
        return False
    if any(old[name] != new[name] for name in old.keys() - {*SIZE_BOUNDS, "sequence_length"}):
        return False
    bounds = [(old[name], new[name]) for name in SIZE_BOUNDS]
    is_bounded = all(before is None or (now is not None and now <= before) for before, now in bounds)
    trained: Mapping[str, Any] = kept.get("values", {})  # states of earlier versions have none
    return is_bounded and all(set(found) <= set(trained.get(axis, ())) for axis, found in asked["values"].items())


def measuring_question(
    model: PreTrainedModel,
    settings: SearchConfig,
    *,
    weights: str,
    eval_rows: Dataset,
    benchmark_task: str | None = None,
) -> dict[str, Any]:
    """The question that a journal of measured parts of shared weights answers.

    Args:
        model: the teacher.
        settings: of the search.
        weights: digest of the shared weights.
        eval_rows: that candidates are measured on.
        benchmark_task: whose metric scores them; None: the task's own.
    """
    kept = {"error": settings.measured_error, "num_eval_rows": settings.num_eval_rows, "seed": settings.seed}
    return {
        "model": model_digest(model),
        "weights": weights,
        "validation": rows_digest(eval_rows),
        "settings": kept,
        **({"benchmark_task": benchmark_task} if benchmark_task is not None else {}),
    }


def _values(rows: Dataset, name: str) -> list[Any]:
    if not isinstance(rows.features[name], Image):
        return rows[name][:]  # type: ignore[no-any-return]
    return [_pixel_digest(row[name]) for row in rows.select_columns([name])]  # one image in memory at a time


def _class_names(feature: Any) -> list[str]:
    """Of a column of classes, or of lists of them."""
    return list(getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None) or ())


def _pixel_digest(image: Any) -> str:
    found = rgb(image)
    return hashlib.sha256(f"{found.width}x{found.height}:".encode() + found.tobytes()).hexdigest()


def _stable_config(model: PreTrainedModel) -> dict[str, Any]:
    volatile = {"_name_or_path", "transformers_version", "dtype", "torch_dtype"}
    return {name: value for name, value in model.config.to_dict().items() if name not in volatile}

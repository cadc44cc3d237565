"""Checks rows of questions, contexts and answers, and makes three splits of them; no context stands in two."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset, Features, Value
from datasets import Sequence as ListFeature
from sklearn.model_selection import GroupShuffleSplit

from optimum_ose.data.reading import read_tables
from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import HELD_OUT_SHARE, Splits
from optimum_ose.data.squad import ANSWERS, CONTEXT, QUESTION
from optimum_ose.data.targets import is_list, is_missing, is_text
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.wording import listed

_LOGGER = logging.getLogger(__name__)
_ANSWER_NAMES = (ANSWERS, "answer", "answer_text")
_STARTS = ("answer_start", "answer_starts", "start")
_FEATURES = Features(
    {
        QUESTION: Value("string"),
        CONTEXT: Value("string"),
        ANSWERS: {"text": ListFeature(Value("string")), "answer_start": ListFeature(Value("int64"))},
    }
)


def question_splits(request: DataRequest) -> Splits:
    """Splits with the columns `question`, `context` and `answers` (`text` and `answer_start`, lists of equal length).

    Rows without a question, a context or an answer, and rows none of whose answers stands in the context, are left out
    and counted. A missing split is held out of train by contexts.

    Raises:
        InvalidConfigError: if a benchmark's task, a problem type or columns are named.
        InvalidDataError: if it cannot be read, or a column or every row is missing.
    """
    _require_usual_names(request)
    tables = read_tables(request.source, split_names=request.split_names, subset=request.subset)
    cleaned = {split: _clean(table, split) for split, table in tables.items()}
    for split in ("test", "validation"):
        if split not in cleaned:
            cleaned["train"], cleaned[split] = _hold_out(cleaned["train"], split, request.seed)
    warnings = _without_shared_contexts(cleaned)
    for warning in warnings:
        _LOGGER.warning("%s", warning)
    made = {split: Dataset.from_list(rows, features=_FEATURES) for split, rows in cleaned.items()}
    return Splits(**made, label_names=(), kind="spans", warnings=tuple(warnings))


def _require_usual_names(request: DataRequest) -> None:
    chosen = request.columns
    named = {
        "--benchmark-task": request.benchmark_task,
        "--problem-type": chosen.problem_type,
        "--text-column": chosen.text,
        "--text-pair-column": chosen.text_pair,
        "--label-column": chosen.label,
    }
    if given := [f"{option} {value}" for option, value in named.items() if value is not None]:
        raise InvalidConfigError(
            f"Question answering reads the columns {QUESTION}, {CONTEXT} and {ANSWERS}, and knows no benchmarks' tasks",
            f"got {', '.join(given)}",
            "Leave them out, and rename the columns where they are others",
        )


def usable_questions(dataset: Dataset) -> Dataset:
    """Rows in the form of `question_splits`, those that cannot be used left out and counted; without answers, as they
    are.

    Raises:
        InvalidDataError: if a column is missing, or no row can be used.
    """
    if ANSWERS not in dataset.column_names or dataset.features == _FEATURES:
        return dataset
    return Dataset.from_list(_clean(dataset.to_pandas(), "the data set"), features=_FEATURES)


def _clean(table: pd.DataFrame, split: str) -> list[dict[str, Any]]:
    names = [QUESTION, CONTEXT]
    answer = next((name for name in _ANSWER_NAMES if name in table.columns), None)
    missing = [name for name in names if name not in table.columns] + ([ANSWERS] if answer is None else [])
    if missing:
        raise InvalidDataError(
            f"Question answering needs the columns {QUESTION}, {CONTEXT} and {ANSWERS}, or a file of SQuAD's form",
            f"{split} lacks {listed(missing)}; its columns are {listed(table.columns, limit=20)}",
            "Rename its columns",
        )
    start = next((name for name in _STARTS if name in table.columns), None)
    columns = [*names, str(answer), *([start] if start else [])]
    rows = [_row(*values) for values in zip(*(table[name] for name in columns), strict=True)]
    kept = [row for row in rows if row is not None]
    if not kept:
        raise InvalidDataError(
            f"The {split} split must hold questions whose answers stand in their contexts",
            f"none of its {len(rows)} rows does",
            "Check the columns: answers are an object of the lists text and answer_start",
        )
    if len(kept) < len(rows):
        _LOGGER.warning(
            "%d of %d rows of %s are left out: a question, a context or an answer is missing, or does not stand in its "
            "context",
            len(rows) - len(kept),
            len(rows),
            split,
        )
    return kept


def _row(question: Any, context: Any, answer: Any, start: Any = None) -> dict[str, Any] | None:
    """One row, or None where it cannot be used."""
    if not (is_text(question) and is_text(context)):
        return None
    found = [(_located(context, text, place)) for text, place in _answers(answer, start)]
    located = [item for item in found if item is not None]
    if not located:
        return None
    texts, starts = zip(*located, strict=True)
    return {QUESTION: question, CONTEXT: context, ANSWERS: {"text": list(texts), "answer_start": list(starts)}}


def _answers(answer: Any, start: Any) -> list[tuple[Any, Any]]:
    """Texts and places, None where a place is not told."""
    if is_list(answer) and all(isinstance(item, Mapping) for item in answer):
        return [(item.get("text"), item.get("answer_start")) for item in answer]
    if isinstance(answer, Mapping):
        answer, start = answer.get("text"), answer.get("answer_start", start)
    texts = list(answer) if is_list(answer) else [answer]
    starts = list(start) if is_list(start) else [start]
    return list(zip(texts, [*starts, *[None] * len(texts)], strict=False))


def _located(context: str, text: Any, start: Any) -> tuple[str, int] | None:
    """An answer where it stands: at its place, else where the context has it next to that place."""
    if not is_text(text):
        return None
    place = None if is_missing(start) or not isinstance(start, int | float | np.number) else int(start)
    if place is not None and place >= 0 and context.startswith(text, place):
        return text, place
    places = [index for index in range(len(context)) if context.startswith(text, index)]
    if not places:
        return None
    return text, min(places, key=lambda index: abs(index - (place or 0)))


def _hold_out(rows: list[dict[str, Any]], split: str, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    contexts = [row[CONTEXT] for row in rows]
    if len(set(contexts)) < 3:
        raise InvalidDataError(
            "A split can be held out of train only if it has several contexts",
            f"it has {len(set(contexts))}",
            "Give the split as a file",
        )
    chooser = GroupShuffleSplit(n_splits=1, test_size=HELD_OUT_SHARE, random_state=seed)
    kept, held_out = next(chooser.split(contexts, groups=contexts))
    told = "no %s split: %d of the %d rows of train are held out, by contexts (seed %d)"
    _LOGGER.warning(told, split, len(held_out), len(rows), seed)
    return [rows[index] for index in kept], [rows[index] for index in held_out]


def _without_shared_contexts(splits: dict[str, list[dict[str, Any]]]) -> Sequence[str]:
    """Remove from train, in place, the rows whose question and context stand in another split; say what is shared."""
    held_out = {(row[QUESTION], row[CONTEXT]) for name in ("validation", "test") for row in splits[name]}
    kept = [row for row in splits["train"] if (row[QUESTION], row[CONTEXT]) not in held_out]
    warnings = []
    if len(kept) < len(splits["train"]):
        warnings.append(
            f"{len(splits['train']) - len(kept)} rows of train also stand in validation or test and were removed"
        )
    if not kept:
        raise InvalidDataError(
            "The training rows must be others than those of validation and test",
            "all of them stand there too",
            "Give rows that were set apart",
        )
    splits["train"] = kept
    contexts = {row[CONTEXT] for row in kept}
    for name in ("validation", "test"):
        shared = sum(row[CONTEXT] in contexts for row in splits[name])
        if shared:
            warnings.append(f"{shared} of {len(splits[name])} rows of {name} have a context that stands in train too")
    return warnings

"""Makes three checked splits of questions with choices."""

import logging
from collections import Counter

import pandas as pd

from optimum_ose.data.benchmark_tasks import benchmark_task
from optimum_ose.data.choice_rows import ANSWER, CHOICES, CONTEXT, QUESTION, choice_dataset, clean_choices
from optimum_ose.data.groups import GROUP, hold_out_groups
from optimum_ose.data.reading import read_tables
from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import HELD_OUT_SHARE, Splits
from optimum_ose.exceptions import InvalidDataError

_LOGGER = logging.getLogger(__name__)


def choice_splits(request: DataRequest) -> Splits:
    """Splits with `context`, `question`, `choices` and `answer`; see `choice_rows.usable_choices` for what is read.

    A missing validation or test split is a tenth of train, by contexts; train keeps no question of the other splits.

    Raises:
        InvalidDataError: if the data cannot be read, a column is missing, or no question of train can be used.
    """
    subset, validation = request.subset, None
    if request.benchmark_task is not None:
        validation = benchmark_task(request.benchmark_task).validation
        subset = subset or request.benchmark_task.partition("/")[2]
    tables = read_tables(request.source, split_names=request.split_names, subset=subset, validation_name=validation)
    chosen = request.columns
    named = {QUESTION: chosen.text, CONTEXT: chosen.text_pair, ANSWER: chosen.label}
    cleaned = {split: clean_choices(table, split, named, like=tables["train"]) for split, table in tables.items()}
    kept = {split: table for split, table in cleaned.items() if len(table)}
    if "train" not in kept:
        raise InvalidDataError(
            "A question must have at least two choices, one of which is the answer",
            "no row of train has",
            "Check the choices and the answers",
        )
    counts = Counter(len(choices) for choices in kept["train"][CHOICES])
    size = counts.most_common(1)[0][0]
    kept = {split: _of_size(table, size, split) for split, table in kept.items()}
    warnings = _separate(kept, request.seed)
    for warning in warnings:
        _LOGGER.warning("%s", warning)
    made = {split: choice_dataset(table) for split, table in kept.items()}
    return Splits(**made, label_names=(), kind="class", warnings=tuple(warnings))


def _of_size(table: pd.DataFrame, size: int, split: str) -> pd.DataFrame:
    """The questions with as many choices as most questions of train have."""
    fits = table[CHOICES].map(len) == size
    if not fits.all():
        _LOGGER.warning(
            "%d of %d questions of %s have another number of choices than %d, as most have: left out",
            int((~fits).sum()),
            len(table),
            split,
            size,
        )
    return table[fits].reset_index(drop=True)


def _separate(tables: dict[str, pd.DataFrame], seed: int) -> list[str]:
    """Make three splits of the tables, in place, that share no question with train."""
    warnings = []
    for split in ("test", "validation"):
        if split not in tables or tables[split].empty:
            train = tables["train"]
            groups = train[CONTEXT].where(train[CONTEXT] != "", train[QUESTION] + "\n" + _keys(train))
            kept, held_out, _ = hold_out_groups(train.assign(**{GROUP: groups}), share=HELD_OUT_SHARE, seed=seed)
            tables["train"], tables[split] = (part.drop(columns=GROUP) for part in (kept, held_out))
            told = f"{len(held_out):,} of the {len(train):,} questions of train are held out (seed {seed})"
            warnings.append(f"no {split} split: {told}")
    held_out_keys = set(_keys(tables["validation"])) | set(_keys(tables["test"]))
    leaked = _keys(tables["train"]).isin(held_out_keys)
    if leaked.any():
        warnings.append(f"{int(leaked.sum())} questions of train also stand in validation or test: removed from train")
        tables["train"] = tables["train"][~leaked].reset_index(drop=True)
    if tables["train"].empty:
        raise InvalidDataError(
            "Train must keep a question", "all of them stand in validation or test too", "Give more questions"
        )
    return warnings


def _keys(table: pd.DataFrame) -> "pd.Series[str]":
    """What two rows of the same question share; case and spaces folded."""
    parts = table[CONTEXT] + "\t" + table[QUESTION] + "\t" + table[CHOICES].map("\t".join)
    return parts.str.casefold().str.split().str.join(" ")

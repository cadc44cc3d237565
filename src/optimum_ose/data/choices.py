"""Reads questions with choices, one of which is right, and makes three checked splits of them."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from datasets import Dataset, Features, Value
from datasets import Sequence as ListFeature

from optimum_ose.data.benchmark_tasks import benchmark_task
from optimum_ose.data.groups import GROUP, hold_out_groups
from optimum_ose.data.reading import read_tables
from optimum_ose.data.request import DataRequest
from optimum_ose.data.splits import HELD_OUT_SHARE, Splits
from optimum_ose.data.targets import is_list, is_missing
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import listed

CONTEXT, QUESTION, CHOICES, ANSWER = "context", "question", "choices", "answer"
"""Columns: what the question is about, maybe empty; the question, maybe empty where there is a context; the choices;
the place of the right one."""
FEATURES = Features(
    {
        CONTEXT: Value("string"),
        QUESTION: Value("string"),
        CHOICES: ListFeature(Value("string")),
        ANSWER: Value("int64"),
    }
)
_CONTEXT_NAMES = (CONTEXT, "article", "premise", "passage", "sent1", "paragraph")
_QUESTION_NAMES = (QUESTION, "question_stem", "sent2", "query", "ctx", "goal", "sentence", "text")
_CHOICES_NAMES = (CHOICES, "options", "endings")
_NUMBERED = re.compile(r"(choice|ending|option|sol|answer)_?([0-9]+)")
_ANSWER_NAMES = (ANSWER, "label", "answerKey", "answer_key", "correct", "labels")
_LETTERS = "ABCDEFGHIJ"
_LINKS = {"cause": "because", "effect": "so"}
"""How the questions of COPA join a choice to its premise."""
_LOGGER = logging.getLogger(__name__)


def choice_splits(request: DataRequest) -> Splits:
    """Splits with `context`, `question`, `choices` and `answer`; see `usable_choices` for the columns that are read.

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
    cleaned = {split: _clean(table, split, named) for split, table in tables.items()}
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
    made = {split: _dataset(table) for split, table in kept.items()}
    return Splits(**made, label_names=(), kind="class", warnings=tuple(warnings))


def usable_choices(dataset: Dataset) -> Dataset:
    """Raw rows in the form of `choice_splits`; those that cannot be used are left out and counted.

    Columns are those of the usual data sets: choices as a list (choices, options, endings), with their names (ARC), or
    in columns of their own (choice1, ending0, option1, sol1); the answer as a place from 0, a letter, a name or a text.

    Raises:
        InvalidDataError: if a column is missing, or no row can be used.
    """
    if dataset.features == FEATURES:
        return dataset
    columns = set(dataset.column_names)
    if not set(_ANSWER_NAMES) & columns and {QUESTION, CHOICES} <= columns:
        return dataset
    table = _clean(dataset.to_pandas(), "the data set", {})
    if table.empty:
        raise InvalidDataError(
            "A question must have at least two choices, one of which is the answer", "no row has", "Check the rows"
        )
    return _dataset(table)


def choice_pairs(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The two texts of each choice of a row: the context, and the question with the choice; without a context the
    question and the choice.
    """
    context, question = row.get(CONTEXT) or "", row.get(QUESTION) or ""
    if not context:
        return [(question, choice) for choice in row[CHOICES]]
    return [(context, f"{question} {choice}".strip()) for choice in row[CHOICES]]


def _dataset(table: pd.DataFrame) -> Dataset:
    return Dataset.from_dict({name: table[name].to_list() for name in FEATURES}, features=FEATURES)


def _clean(table: pd.DataFrame, split: str, named: Mapping[str, str | None]) -> pd.DataFrame:
    """The rows that can be used, of one split."""
    columns = _columns(table, split, named)
    rows = [_row(row, columns) for row in table.to_dict("records")]
    kept = [row for row in rows if row is not None]
    if len(kept) < len(rows):
        _LOGGER.warning(
            "%d of %d questions of %s have fewer than two choices, or an answer that is none of them: left out",
            len(rows) - len(kept),
            len(rows),
            split,
        )
    return pd.DataFrame(kept, columns=list(FEATURES))


def _columns(table: pd.DataFrame, split: str, named: Mapping[str, str | None]) -> dict[str, list[str]]:
    """Role -> its columns in the table."""
    present = [str(name) for name in table.columns]

    def one(role: str, names: Iterable[str]) -> list[str]:
        wanted = named.get(role)
        return [name for name in ((wanted,) if wanted else names) if name in present][:1]

    numbered = {match[1]: 0 for name in present if (match := _NUMBERED.fullmatch(name))}
    prefix = next(iter(numbered), "")
    apart = [name for name in present if (match := _NUMBERED.fullmatch(name)) and match[1] == prefix]
    found = {
        CONTEXT: one(CONTEXT, _CONTEXT_NAMES),
        QUESTION: one(QUESTION, _QUESTION_NAMES),
        CHOICES: one(CHOICES, _CHOICES_NAMES) or sorted(apart, key=lambda name: int(_number_of(name))),
        ANSWER: one(ANSWER, _ANSWER_NAMES),
    }
    missing = [role for role in (CHOICES, ANSWER) if not found[role]]
    if not found[QUESTION] and not found[CONTEXT]:
        missing.append(QUESTION)
    if missing:
        raise InvalidDataError(
            "Multiple choice needs columns of the question (or a context), its choices and the answer",
            f"{split} lacks {listed(missing)}; its columns are {listed(present, limit=20)}",
            "Name them question, choices (or choice1, choice2 and so on) and answer",
        )
    return found


def _number_of(name: str) -> str:
    match = _NUMBERED.fullmatch(name)
    return match[2] if match else "0"


def _row(row: Mapping[Any, Any], columns: Mapping[str, Sequence[str]]) -> dict[str, Any] | None:
    """A usable row; None: it has no question, too few choices, or another answer."""
    context, question = (_text(row, columns[role]) for role in (CONTEXT, QUESTION))
    names: list[Any] = []
    values: Any = [row[name] for name in columns[CHOICES]]
    if len(values) == 1:
        values = values[0]
        if isinstance(values, Mapping):  # with names, as ARC has them
            names, values = list(values.get("label", ())), values.get("text", ())
        values = list(values) if is_list(values) else []
    choices = [str(value).strip() for value in values if not is_missing(value) and str(value).strip()]
    if len(choices) < 2 or len(choices) != len(values) or not (context or question):
        return None
    place = _place(row[columns[ANSWER][0]], choices, [str(name) for name in names])
    if place is None:
        return None
    question = _LINKS.get(question, question)
    return {CONTEXT: context, QUESTION: question, CHOICES: choices, ANSWER: place}


def _text(row: Mapping[Any, Any], columns: Sequence[str]) -> str:
    value = row[columns[0]] if columns else ""
    return value.strip() if isinstance(value, str) else ""


def _place(answer: Any, choices: Sequence[str], names: Sequence[str]) -> int | None:
    """Where the right choice stands; None: nowhere."""
    if is_list(answer) or isinstance(answer, Mapping) or is_missing(answer):
        return None
    text = str(answer).strip().removesuffix(".0") if isinstance(answer, float) else str(answer).strip()
    if text in names:
        return names.index(text)
    if isinstance(answer, str) and text in choices:
        return choices.index(text)
    if text.upper() in _LETTERS and len(text) == 1:
        place = _LETTERS.index(text.upper())
    elif text.isdecimal() and len(text) < 3:
        place = int(text)
    else:
        return None
    return place if place < len(choices) else None


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

"""Rows of questions with choices, one of which is right, in the forms in which data sets have them."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from datasets import Dataset, Features, Value
from datasets import Sequence as ListFeature

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


def usable_choices(dataset: Dataset) -> Dataset:
    """Raw rows in the form of `choices.choice_splits`; those that cannot be used are left out and counted.

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
    table = clean_choices(dataset.to_pandas(), "the data set", {})
    if table.empty:
        raise InvalidDataError(
            "A question must have at least two choices, one of which is the answer", "no row has", "Check the rows"
        )
    return choice_dataset(table)


def choice_pairs(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The two texts of each choice of a row: the context, and the question with the choice; without a context the
    question and the choice.
    """
    context, question = row.get(CONTEXT) or "", row.get(QUESTION) or ""
    if not context:
        return [(question, choice) for choice in row[CHOICES]]
    return [(context, f"{question} {choice}".strip()) for choice in row[CHOICES]]


def choice_dataset(table: pd.DataFrame) -> Dataset:
    """Rows that `clean_choices` gave as a data set."""
    return Dataset.from_dict({name: table[name].to_list() for name in FEATURES}, features=FEATURES)


def clean_choices(
    table: pd.DataFrame, split: str, named: Mapping[str, str | None], *, like: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The rows of one split that can be used; the others are counted in the log.

    Places count from 0. They count from 1 where the columns of choices do (choice1, choice2), no answer is 0 and one is
    the number of choices.

    Args:
        table: unchecked.
        split: its name, in messages.
        named: role -> column, where the user names one.
        like: the split that tells how answers are numbered; None: this one.

    Raises:
        InvalidDataError: if a column is missing.
    """
    columns = _columns(table, split, named)
    first = _first_number(table, columns) if like is None else _first_number(like, _columns(like, "train", named))
    if first == 1:
        _LOGGER.warning("the answers of %s are read as numbers from 1, as its columns of choices are numbered", split)
    rows = [_row(row, columns, first) for row in table.to_dict("records")]
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


def _first_number(table: pd.DataFrame, columns: Mapping[str, Sequence[str]]) -> int | None:
    """The number of a first choice, where each answer is the number of a choice; None: answers are told otherwise."""
    texts = [_answer_text(answer) for answer in table[columns[ANSWER][0]] if not is_missing(answer)]
    if not texts or not all(text.isdecimal() and len(text) < 3 for text in texts):
        return None
    numbers, names = {int(text) for text in texts}, columns[CHOICES]
    if len(names) > 1 and _number_of(names[0]) == "1" and 0 not in numbers and len(names) in numbers:
        return 1
    most = len(names)
    if most == 1:
        most = max((len(values) for values in table[names[0]] if is_list(values)), default=0)
    return 0 if max(numbers) < most else None


def _row(row: Mapping[Any, Any], columns: Mapping[str, Sequence[str]], first: int | None) -> dict[str, Any] | None:
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
    place = _place(row[columns[ANSWER][0]], choices, [str(name) for name in names], first)
    if place is None:
        return None
    question = _LINKS.get(question, question)
    return {CONTEXT: context, QUESTION: question, CHOICES: choices, ANSWER: place}


def _text(row: Mapping[Any, Any], columns: Sequence[str]) -> str:
    value = row[columns[0]] if columns else ""
    return value.strip() if isinstance(value, str) else ""


def _answer_text(answer: Any) -> str:
    if is_list(answer) or isinstance(answer, Mapping):
        return ""
    return str(answer).strip().removesuffix(".0") if isinstance(answer, float) else str(answer).strip()


def _place(answer: Any, choices: Sequence[str], names: Sequence[str], first: int | None) -> int | None:
    """Where the right choice stands; None: nowhere. A number is a place before it is a text, where all answers are."""
    text = "" if is_missing(answer) else _answer_text(answer)
    if not text:
        return None
    if text in names:
        return names.index(text)
    if first is None and isinstance(answer, str) and text in choices:
        return choices.index(text)
    if text.upper() in _LETTERS and len(text) == 1:
        place = _LETTERS.index(text.upper())
    elif text.isdecimal() and len(text) < 3:
        place = int(text) - (first or 0)
    else:
        return None
    return place if 0 <= place < len(choices) else None

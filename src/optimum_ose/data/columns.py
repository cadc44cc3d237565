"""Finds the columns of a task in a table, and checks and cleans what they hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optimum_ose.data.targets import Kind, clean_label, kind_of_problem, kind_of_values
from optimum_ose.exceptions import InvalidDataError

_TEXT_NAMES = ("text", "sentence", "sentence1", "question1", "premise", "question", "utterance")
_PAIR_NAMES = {
    "text": "text_pair",
    "sentence1": "sentence2",
    "question1": "question2",
    "premise": "hypothesis",
    "question": "sentence",
}
_LABEL_NAMES = ("label", "labels", "category", "intent", "sentiment", "class", "target")
_WORDS_NAMES = ("tokens", "words")
_TAGS_NAMES = ("ner_tags", "tags", "labels", "label", "pos_tags", "chunk_tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns hold what; None: found by their usual names."""

    text: str | None = None
    """The text, or the first of two; of token classification the list of words."""
    text_pair: str | None = None
    """The second text of a pair."""
    label: str | None = None
    """The class, the list of classes, the number, or the list of tags."""
    problem_type: str | None = None
    """What a label is, in Transformers' words; None: what the labels look like."""


def label_kind(table: pd.DataFrame, label: str, columns: Columns, *, is_tagging: bool) -> Kind:
    """What the labels are: what the user says, else what they look like."""
    if is_tagging:
        return "tags"
    return kind_of_problem(columns.problem_type) if columns.problem_type else kind_of_values(table[label].dropna())


def choose_columns(table: pd.DataFrame, columns: Columns, *, are_words: bool) -> dict[str, str]:
    """Role -> column, of a table of texts or of lists of words.

    Raises:
        InvalidDataError: if one is not there.
    """
    present = list(table.columns)
    if are_words:
        words = columns.text or _first(_WORDS_NAMES, present)
        return _require_columns({"tokens": words, "label": columns.label or _first(_TAGS_NAMES, present)}, present)
    text = columns.text or _first(_TEXT_NAMES, present)
    pair = columns.text_pair or (_PAIR_NAMES.get(text) if text and not columns.text else None)
    label = columns.label or _first(_LABEL_NAMES, present)
    chosen = {"text": text, "text_pair": pair if columns.text_pair or pair in present else None, "label": label}
    return _require_columns(chosen, present)


def _first(names: Sequence[str], present: Sequence[str]) -> str | None:
    return next((name for name in names if name in present), None)


def _require_columns(chosen: Mapping[str, str | None], present: Sequence[str]) -> dict[str, str]:
    for role, name in chosen.items():
        if role == "text_pair" and name is None:
            continue
        if name is None or name not in present:
            raise InvalidDataError(
                f"The data must have a {role} column" + (f" named {name!r}" if name else ""),
                f"its columns are {', '.join(map(str, present))}",
                f"Name the right one with --{_option(role)}-column",
            )
    return {role: name for role, name in chosen.items() if name is not None}


def _option(role: str) -> str:
    return "text" if role == "tokens" else role.replace("_", "-")


def clean(table: pd.DataFrame, chosen: Mapping[str, str], split: str, kind: Kind) -> pd.DataFrame:
    """The chosen columns under their roles, every value checked, labels in their plain form.

    Raises:
        InvalidDataError: if a column is missing, or a row holds no text or no label.
    """
    missing = [name for name in chosen.values() if name not in table.columns]
    if missing:
        raise InvalidDataError(
            f"Every split must have the columns {', '.join(chosen.values())}",
            f"{split} lacks {', '.join(missing)}",
            "Give all splits the same columns",
        )
    cleaned = pd.DataFrame({role: table[name].to_list() for role, name in chosen.items()}, dtype=object)
    for role in cleaned.columns:
        if role != "label":
            _check_texts(cleaned[role], role=role, name=chosen[role], split=split)
    if kind == "tags":
        cleaned["tokens"] = [list(words) for words in cleaned["tokens"]]
    cleaned["label"] = _clean_labels(cleaned, kind=kind, name=chosen["label"], split=split)
    return cleaned


def _check_texts(values: "pd.Series[Any]", *, role: str, name: str, split: str) -> None:
    holds = _are_words if role == "tokens" else _is_text
    wrong = ~values.map(holds).astype(bool)
    if wrong.any():
        wanted = "a list of words" if role == "tokens" else "a text that is not blank"
        raise _wrong_rows(values, wrong.to_numpy(), wanted=wanted, role=role, name=name, split=split)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_words(value: Any) -> bool:
    return (
        isinstance(value, list | tuple | np.ndarray) and len(value) > 0 and all(isinstance(word, str) for word in value)
    )


def _clean_labels(table: pd.DataFrame, *, kind: Kind, name: str, split: str) -> list[Any]:
    cleaned: list[Any] = []
    wrong: dict[int, str] = {}
    for row, value in enumerate(table["label"]):
        try:
            cleaned.append(clean_label(value, kind))
            if kind == "tags" and len(cleaned[-1]) != len(table["tokens"].iloc[row]):
                wrong[row] = "a list of tags, one for each word"
        except ValueError as error:
            wrong[row] = str(error)
            cleaned.append(None)
    if wrong:
        mask = np.isin(np.arange(len(table)), list(wrong))
        raise _wrong_rows(table["label"], mask, wanted=next(iter(wrong.values())), role="label", name=name, split=split)
    return cleaned


def _wrong_rows(
    values: "pd.Series[Any]", wrong: Any, *, wanted: str, role: str, name: str, split: str
) -> InvalidDataError:
    row = int(wrong.argmax())
    return InvalidDataError(
        f"Column {name!r} must hold {wanted} in every row",
        f"{int(wrong.sum())} of {len(values)} rows of {split} do not; the first is row {row}: {values.iloc[row]!r}",
        f"Remove those rows, or name the right column with --{_option(role)}-column",
    )

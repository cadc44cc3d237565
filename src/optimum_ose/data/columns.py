"""Finds the columns of a task in a table, and checks and cleans what they hold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optimum_ose.data.groups import CREDIT, GROUP, GROUP_COLUMNS, numbered
from optimum_ose.data.label_column import LabelForm, without_vectors
from optimum_ose.data.targets import Kind, clean_label, has_surrogates, is_list, is_missing, is_text
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import listed, shown

TEXT_NAMES = ("text", "sentence", "sentence1", "question1", "premise", "question", "utterance")
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
    group: str | None = None
    """What rows that belong together have in common; None: each stands for itself."""
    credit: str | None = None
    """What a row earns if it is chosen of its group; None: nothing but whether it is right."""
    problem_type: str | None = None
    """What a label is, in Transformers' words."""
    kind: Kind | None = None
    """The same in ours; None: as `problem_type` says, else what the labels look like."""


def choose_columns(tables: Mapping[str, pd.DataFrame], columns: Columns, *, are_words: bool) -> dict[str, str]:
    """Role -> column, of tables of texts or of lists of words; the training table decides.

    Raises:
        InvalidDataError: if one is not there, in any table, or is chosen for two roles.
    """
    present = list(tables["train"].columns)
    label = columns.label or first_of(_TAGS_NAMES if are_words else _LABEL_NAMES, present)
    if are_words:
        chosen = _require_columns({"tokens": columns.text or first_of(_WORDS_NAMES, present), "label": label}, present)
    else:
        text = columns.text or first_of(TEXT_NAMES, present)
        pair = columns.text_pair or (_PAIR_NAMES.get(text) if text and not columns.text else None)
        kept = pair if columns.text_pair or pair in present else None
        chosen = _require_columns({"text": text, "text_pair": kept, "label": label}, present)
    chosen |= {role: name for role in GROUP_COLUMNS if (name := getattr(columns, role)) is not None}
    for split, table in tables.items():
        missing = [name for name in chosen.values() if name not in table.columns]
        if missing:
            raise InvalidDataError(
                f"Every split must have the columns {listed(chosen.values())}",
                f"{split} lacks {listed(missing)}",
                "Give all splits the same columns",
            )
    return chosen


def first_of(names: Iterable[str], present: Sequence[str]) -> str | None:
    """The first of some names that is present."""
    return next((name for name in names if name in present), None)


def _require_columns(chosen: Mapping[str, str | None], present: Sequence[str]) -> dict[str, str]:
    for role, name in chosen.items():
        if role == "text_pair" and name is None:
            continue
        if name is None or name not in present:
            raise InvalidDataError(
                f"The data must have a {role} column" + (f" named {shown(name)}" if name else ""),
                f"its columns are {listed(present, limit=20)}",
                f"Name the right one (--{_option(role)}-column)",
            )
    found = {role: name for role, name in chosen.items() if name is not None}
    if len(set(found.values())) < len(found):
        raise InvalidDataError(
            "Texts and labels must stand in columns of their own",
            f"chosen were {', '.join(f'{shown(name)} for the {_option(role)}' for role, name in found.items())}",
            "Name other columns (--text-column, --text-pair-column, --label-column)",
        )
    return found


def _option(role: str) -> str:
    return "text" if role == "tokens" else role.replace("_", "-")


def clean(table: pd.DataFrame, chosen: Mapping[str, str], split: str, form: LabelForm) -> pd.DataFrame:
    """The chosen columns under their roles, every value checked, labels in their plain form.

    Raises:
        InvalidDataError: if a row holds no text or no label.
    """
    cleaned = pd.DataFrame({role: table[name].to_list() for role, name in chosen.items()}, dtype=object)
    for role in cleaned.columns:
        if role not in ("label", *GROUP_COLUMNS):
            check_texts(cleaned[role], role=role, name=chosen[role], split=split)
    if GROUP in cleaned:
        cleaned[GROUP] = numbered(cleaned[GROUP].to_list())
    if CREDIT in cleaned:
        cleaned[CREDIT] = cleaned[CREDIT].astype(float)
    if form.kind == "tags":
        cleaned["tokens"] = [list(words) for words in cleaned["tokens"]]
    if form.vector_size is not None:
        cleaned["label"] = pd.Series(without_vectors(cleaned["label"], form.vector_size), dtype=object)
    cleaned["label"] = pd.Series(_clean_labels(cleaned, form=form, name=chosen["label"], split=split), dtype=object)
    return cleaned


def check_texts(values: "pd.Series[Any]", *, role: str, name: str, split: str) -> None:
    """Pass if every value is a text that is not blank, or in the role `tokens` a list of words.

    Raises:
        InvalidDataError: if a value is none, with how many there are and the first of them.
    """
    are_words = role == "tokens"
    wrong = ~values.map(_are_words if are_words else is_text).astype(bool)
    if wrong.any():
        wanted = "a list of words" if are_words else "a text that is not blank"
        raise _wrong_rows(values, wrong.to_numpy(), wanted=wanted, role=role, name=name, split=split)


def _are_words(value: Any) -> bool:
    if not is_list(value) or len(value) == 0:
        return False
    return all(isinstance(word, str) and not has_surrogates(word) for word in value)


def _clean_labels(table: pd.DataFrame, *, form: LabelForm, name: str, split: str) -> list[Any]:
    cleaned: list[Any] = []
    wrong: dict[int, str] = {}
    tokens = table["tokens"] if form.kind == "tags" else None
    for row, value in enumerate(table["label"]):
        try:
            cleaned.append(clean_label(value, form.kind))
            if tokens is not None and len(cleaned[-1]) != len(tokens[row]):
                wrong[row] = "a list of tags, one for each word"
        except ValueError as error:
            wrong[row] = str(error)
            cleaned.append(None)
    if wrong:
        mask = np.isin(np.arange(len(table)), list(wrong))
        wanted = wrong[_first_wrong(table["label"], mask)]
        raise _wrong_rows(table["label"], mask, wanted=wanted, role="label", name=name, split=split)
    return cleaned


def _first_wrong(values: "pd.Series[Any]", wrong: Any) -> int:
    """The first wrong row that holds a value, for it says more than a missing one; else the first wrong row."""
    rows = np.flatnonzero(wrong)
    return int(next((row for row in rows if not is_missing(values.iloc[row])), rows[0]))


def _wrong_rows(
    values: "pd.Series[Any]", wrong: Any, *, wanted: str, role: str, name: str, split: str
) -> InvalidDataError:
    row = _first_wrong(values, wrong)
    first = shown(values.iloc[row])
    which = "the first" if row == int(wrong.argmax()) else "the first with a value"
    return InvalidDataError(
        f"Column {shown(name)} must hold {wanted} in every row",
        f"{int(wrong.sum())} of {len(values)} rows of {split} do not; {which} is row {row}: {first}",
        f"Remove those rows, or name the right column (--{_option(role)}-column)",
    )

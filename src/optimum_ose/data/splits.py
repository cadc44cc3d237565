"""Checks tables and makes the three splits of a classification task from them: train teaches, validation steers,
test judges.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from datasets import ClassLabel, Dataset, Features, Value
from sklearn.model_selection import train_test_split

from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serialization import digest

HELD_OUT_SHARE = 0.1
"""Share of the training rows that becomes a missing validation or test split."""
_TEXT_NAMES = ("text", "sentence", "sentence1", "question1", "premise", "question", "utterance")
_PAIR_NAMES = {"sentence1": "sentence2", "question1": "question2", "premise": "hypothesis", "question": "sentence"}
_LABEL_NAMES = ("label", "labels", "category", "intent", "sentiment", "class", "target")
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns hold what; None: found by their usual names."""

    text: str | None = None
    """The text, or the first of two."""
    text_pair: str | None = None
    """The second text of a pair."""
    label: str | None = None
    """The class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Three checked splits with the columns `text`, maybe `text_pair`, and `label` (a ClassLabel)."""

    train: Dataset
    """Rows to learn from."""
    validation: Dataset
    """Rows that steer: search, early decisions, Agora."""
    test: Dataset
    """Rows that judge, once, at the end."""
    label_names: tuple[str, ...]
    """Class names by class index."""
    warnings: tuple[str, ...]
    """What was changed or should be known."""

    def fingerprint(self) -> str:
        """SHA-256 over every row of every split and the class names."""
        content = {name: getattr(self, name).to_dict() for name in ("train", "validation", "test")}
        return digest({"splits": content, "label_names": list(self.label_names)})


def make_splits(tables: Mapping[str, pd.DataFrame], columns: Columns, *, seed: int) -> Splits:
    """Check the tables and make three splits of them.

    A missing validation or test split is held out of train (a tenth, stratified, seeded). Rows of train whose text
    also stands in
    validation or test (case and spaces folded) are removed.

    Raises:
        InvalidDataError: if a column is missing, a text is null or no text, there is only one class, a class is
            missing in train, or the
            validation split repeats train.
    """
    chosen = _choose_columns(tables["train"], columns)
    cleaned = {split: _clean(table, chosen, split) for split, table in tables.items()}
    warnings: list[str] = []
    if set(cleaned) == {"train"}:
        cleaned["train"] = _without_duplicates(cleaned["train"], warnings)
    _check_overlap(cleaned)
    names = _label_names(cleaned)
    for split in ("test", "validation"):
        if split not in cleaned:
            warnings.append(f"no {split} split: {HELD_OUT_SHARE:.0%} of train is held out (stratified, seed {seed})")
            cleaned["train"], cleaned[split] = _hold_out(cleaned["train"], seed)
    cleaned["train"] = _without_leaks(cleaned, warnings)
    _check_classes(cleaned, names)
    for warning in warnings:
        _LOGGER.warning("%s", warning)
    made = {split: _dataset(table, names) for split, table in cleaned.items()}
    return Splits(**made, label_names=names, warnings=tuple(warnings))


def _choose_columns(table: pd.DataFrame, columns: Columns) -> dict[str, str]:
    present = list(table.columns)
    text = columns.text or next((name for name in _TEXT_NAMES if name in present), None)
    pair = columns.text_pair or (_PAIR_NAMES.get(text) if text and not columns.text else None)
    label = columns.label or next((name for name in _LABEL_NAMES if name in present), None)
    chosen = {"text": text, "text_pair": pair if columns.text_pair or pair in present else None, "label": label}
    for role, name in chosen.items():
        if role == "text_pair" and name is None:
            continue
        if name is None or name not in present:
            raise InvalidDataError(
                f"The data must have a {role} column" + (f" named {name!r}" if name else ""),
                f"its columns are {', '.join(map(str, present))}",
                f"Name the right one with --{role.replace('_', '-')}-column",
            )
    return {role: name for role, name in chosen.items() if name is not None}


def _clean(table: pd.DataFrame, chosen: Mapping[str, str], split: str) -> pd.DataFrame:
    missing = [name for name in chosen.values() if name not in table.columns]
    if missing:
        raise InvalidDataError(
            f"Every split must have the columns {', '.join(chosen.values())}",
            f"{split} lacks {', '.join(missing)}",
            "Give all splits the same columns",
        )
    cleaned = pd.DataFrame({role: table[name].to_list() for role, name in chosen.items()}, dtype=object)
    for role in cleaned.columns:
        _check_values(cleaned[role], role=role, name=chosen[role], split=split)
    cleaned["label"] = [_label_text(value) for value in cleaned["label"]]
    return cleaned


def _check_values(values: "pd.Series[Any]", *, role: str, name: str, split: str) -> None:
    null = values.isna()
    wrong = null if role == "label" else ~values.map(lambda value: isinstance(value, str) and bool(value.strip()))
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise InvalidDataError(
            f"Column {name!r} must hold {'a class' if role == 'label' else 'a text that is not blank'} in every row",
            f"{int(wrong.sum())} of {len(values)} rows of {split} do not; the first is row {row}: {values.iloc[row]!r}",
            f"Remove those rows, or name the right column with --{role.replace('_', '-')}-column",
        )


def _label_text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _without_duplicates(table: pd.DataFrame, warnings: list[str]) -> pd.DataFrame:
    keys = _keys(table)
    kept = table[~keys.duplicated()].reset_index(drop=True)
    if len(kept) < len(table):
        warnings.append(f"{len(table) - len(kept)} rows with a repeated text were removed")
    return kept


def _keys(table: pd.DataFrame) -> "pd.Series[str]":
    """Texts with case and spaces folded."""
    parts = [table[role].str.casefold().str.split().str.join(" ") for role in ("text", "text_pair") if role in table]
    return parts[0] if len(parts) == 1 else parts[0] + "\t" + parts[1]


def _check_overlap(tables: Mapping[str, pd.DataFrame]) -> None:
    train = set(_keys(tables["train"]))
    for split in ("validation", "test"):
        if split in tables:
            shared = _keys(tables[split]).isin(train).mean()
            if shared > 0.5:
                raise InvalidDataError(
                    f"The {split} split must not repeat train",
                    f"{shared:.0%} of its texts stand in train",
                    "Give rows that were set apart, or leave the split out: it is then held out of train",
                )


def _label_names(tables: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    names = sorted(set(tables["train"]["label"]), key=_label_order)
    if len(names) < 2:
        raise InvalidDataError(
            "The training data must have at least two classes",
            f"its only class is {names[0]!r}",
            "Check the label column",
        )
    return tuple(names)


def _label_order(name: str) -> tuple[int, int, str]:
    return (0, int(name), "") if name.lstrip("-").isdigit() else (1, 0, name)


def _hold_out(table: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    counts = table["label"].value_counts()
    num_held_out = max(len(counts), round(len(table) * HELD_OUT_SHARE))
    if counts.min() < 2 or num_held_out > len(table) - len(counts):
        raise InvalidDataError(
            "A split can be held out of train only if every class has enough rows",
            f"class {counts.idxmin()!r} has {counts.min()} of {len(table)} rows",
            "Add rows, or give the split as a file",
        )
    kept, held_out = train_test_split(table, test_size=num_held_out, stratify=table["label"], random_state=seed)
    return kept.sort_index().reset_index(drop=True), held_out.sort_index().reset_index(drop=True)


def _without_leaks(tables: Mapping[str, pd.DataFrame], warnings: list[str]) -> pd.DataFrame:
    held_out = set(_keys(tables["validation"])) | set(_keys(tables["test"]))
    leaked = _keys(tables["train"]).isin(held_out)
    if leaked.any():
        warnings.append(
            f"{int(leaked.sum())} rows of train also stand in validation or test and were removed from train"
        )
    return tables["train"][~leaked].reset_index(drop=True)


def _check_classes(tables: Mapping[str, pd.DataFrame], names: Sequence[str]) -> None:
    for split, table in tables.items():
        unseen = sorted(set(table["label"]) - set(tables["train"]["label"]))
        if unseen:
            raise InvalidDataError(
                f"Every class of the {split} split must also stand in train",
                f"train has no row of {', '.join(map(repr, unseen[:5]))}",
                "Add training rows of that class, or remove its rows from the other splits",
            )
    missing = sorted(set(names) - set(tables["train"]["label"]))
    if missing:
        raise InvalidDataError(
            "Every class must keep a training row",
            f"{', '.join(map(repr, missing[:5]))} has none left once rows of other splits are removed",
            "Add training rows of that class",
        )


def _dataset(table: pd.DataFrame, names: Sequence[str]) -> Dataset:
    index = {name: position for position, name in enumerate(names)}
    columns = {role: table[role].to_list() for role in table.columns if role != "label"}
    features = Features({role: Value("string") for role in columns} | {"label": ClassLabel(names=list(names))})
    return Dataset.from_dict(columns | {"label": [index[name] for name in table["label"]]}, features=features)

"""Checks tables and makes the three splits of a task from them: train teaches, validation steers, test judges."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from datasets import Dataset, Features, Value
from datasets import Sequence as ListFeature
from sklearn.model_selection import train_test_split

from optimum_ose.data.columns import Columns, choose_columns, clean, label_kind
from optimum_ose.data.targets import (
    Kind,
    encode_label,
    label_feature,
    names_of,
)
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serialization import digest

HELD_OUT_SHARE = 0.1
"""Share of the training rows that becomes a missing validation or test split."""
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Three checked splits with the columns `text`, maybe `text_pair`, or `tokens`; and `label`."""

    train: Dataset
    """Rows to learn from."""
    validation: Dataset
    """Rows that steer: search, early decisions, Agora."""
    test: Dataset
    """Rows that judge, once, at the end."""
    label_names: tuple[str, ...]
    """Class names by class index; none if labels are numbers."""
    kind: Kind
    """What a label is."""
    warnings: tuple[str, ...]
    """What was changed or should be known."""

    def fingerprint(self) -> str:
        """SHA-256 over every row of every split and the class names."""
        content = {name: getattr(self, name).to_dict() for name in ("train", "validation", "test")}
        return digest({"splits": content, "label_names": list(self.label_names)})


def make_splits(
    tables: Mapping[str, pd.DataFrame], columns: Columns, *, seed: int, task: str = "text-classification"
) -> Splits:
    """Check the tables and make three splits of them.

    A missing validation or test split is held out of train (a tenth, seeded, stratified by class). Rows of train whose
    text also stands in validation or test (case and spaces folded) are removed.

    Args:
        tables: split name -> table.
        columns: which columns hold what.
        seed: of what is held out.
        task: "token-classification" reads lists of words with a tag each, every other task texts.

    Raises:
        InvalidDataError: if a column is missing, a text is null or no text, a label is none, there is only one class, a
            class is missing in train, or the validation split repeats train.
    """
    is_tagging = task == "token-classification"
    chosen = choose_columns(tables["train"], columns, are_words=is_tagging)
    kind = label_kind(tables["train"], chosen["label"], columns, is_tagging=is_tagging)
    cleaned = {split: clean(table, chosen, split, kind) for split, table in tables.items()}
    warnings: list[str] = []
    if set(cleaned) == {"train"}:
        cleaned["train"] = _without_duplicates(cleaned["train"], warnings)
    _check_overlap(cleaned)
    names = _label_names(cleaned, kind)
    for split in ("test", "validation"):
        if split not in cleaned:
            manner = "stratified, " if kind == "class" else ""
            warnings.append(f"no {split} split: {HELD_OUT_SHARE:.0%} of train is held out ({manner}seed {seed})")
            cleaned["train"], cleaned[split] = _hold_out(cleaned["train"], seed, kind)
    cleaned["train"] = _without_leaks(cleaned, warnings)
    if kind == "class":
        _check_classes(cleaned, names)
    for warning in warnings:
        _LOGGER.warning("%s", warning)
    made = {split: _dataset(table, names, kind) for split, table in cleaned.items()}
    return Splits(**made, label_names=names, kind=kind, warnings=tuple(warnings))


def _without_duplicates(table: pd.DataFrame, warnings: list[str]) -> pd.DataFrame:
    keys = text_keys(table)
    kept = table[~keys.duplicated()].reset_index(drop=True)
    if len(kept) < len(table):
        warnings.append(f"{len(table) - len(kept)} rows with a repeated text were removed")
    return kept


def text_keys(table: pd.DataFrame) -> "pd.Series[str]":
    """Texts with case and spaces folded."""
    if "tokens" in table:
        return table["tokens"].map(" ".join).str.casefold()
    parts = [table[role].str.casefold().str.split().str.join(" ") for role in ("text", "text_pair") if role in table]
    return parts[0] if len(parts) == 1 else parts[0] + "\t" + parts[1]


def _check_overlap(tables: Mapping[str, pd.DataFrame]) -> None:
    train = set(text_keys(tables["train"]))
    for split in ("validation", "test"):
        if split in tables:
            shared = text_keys(tables[split]).isin(train).mean()
            if shared > 0.5:
                raise InvalidDataError(
                    f"The {split} split must not repeat train",
                    f"{shared:.0%} of its texts stand in train",
                    "Give rows that were set apart, or leave the split out: it is then held out of train",
                )


def _label_names(tables: Mapping[str, pd.DataFrame], kind: Kind) -> tuple[str, ...]:
    """A class must stand in train; a tag, or one of several classes, may stand in any split."""
    splits = ("train",) if kind == "class" else tuple(tables)
    names = names_of((value for split in splits for value in tables[split]["label"]), kind)
    if kind != "number" and len(names) < 2:
        raise InvalidDataError(
            "The training data must have at least two classes",
            f"its only class is {names[0]!r}" if names else "it has none",
            "Check the label column",
        )
    return names


def _hold_out(table: pd.DataFrame, seed: int, kind: Kind) -> tuple[pd.DataFrame, pd.DataFrame]:
    strata = table["label"] if kind == "class" else pd.Series(["all"] * len(table))
    counts = strata.value_counts()
    num_held_out = max(len(counts), round(len(table) * HELD_OUT_SHARE))
    if counts.min() < 2 or num_held_out > len(table) - len(counts):
        raise InvalidDataError(
            "A split can be held out of train only if every class has enough rows",
            f"class {counts.idxmin()!r} has {counts.min()} of {len(table)} rows",
            "Add rows, or give the split as a file",
        )
    stratify = strata if kind == "class" else None
    kept, held_out = train_test_split(table, test_size=num_held_out, stratify=stratify, random_state=seed)
    return kept.sort_index().reset_index(drop=True), held_out.sort_index().reset_index(drop=True)


def _without_leaks(tables: Mapping[str, pd.DataFrame], warnings: list[str]) -> pd.DataFrame:
    held_out = set(text_keys(tables["validation"])) | set(text_keys(tables["test"]))
    leaked = text_keys(tables["train"]).isin(held_out)
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


def _dataset(table: pd.DataFrame, names: Sequence[str], kind: Kind) -> Dataset:
    index = {name: position for position, name in enumerate(names)}
    columns = {role: table[role].to_list() for role in table.columns if role != "label"}
    texts = {role: ListFeature(Value("string")) if role == "tokens" else Value("string") for role in columns}
    labels = [encode_label(value, index, kind) for value in table["label"]]
    features = Features(texts | {"label": label_feature(names, kind)})
    return Dataset.from_dict(columns | {"label": labels}, features=features)

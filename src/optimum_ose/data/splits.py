"""Checks tables and makes the three splits of a task from them: train teaches, validation steers, test judges."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from datasets import Dataset, Features, Value
from datasets import Sequence as ListFeature
from sklearn.model_selection import train_test_split

from optimum_ose.data.columns import Columns, choose_columns, clean
from optimum_ose.data.groups import CREDIT, GROUP, group_keys, groups_of, hold_out_groups
from optimum_ose.data.label_column import LabelForm, label_form, label_warnings, order_names
from optimum_ose.data.overlaps import text_keys, told_overlaps
from optimum_ose.data.targets import WORDS_TASK, Kind, encode_label, kind_of_problem_type, label_feature, names_of
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.serialization import digest
from optimum_ose.wording import listed, shown

HELD_OUT_SHARE = 0.1
"""Share of the training rows that becomes a missing validation or test split."""
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Three checked splits with the columns `text`, maybe `text_pair`, or `tokens`; and `label`; maybe `group`."""

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

    @property
    def num_outputs(self) -> int | None:
        """Of a new head for these labels; None: the labels do not tell."""
        return len(self.label_names) or (1 if self.kind == "number" else None)

    def fingerprint(self) -> str:
        """SHA-256 over every row of every split and the class names."""
        content = {name: getattr(self, name).to_dict() for name in ("train", "validation", "test")}
        return digest({"splits": content, "label_names": list(self.label_names)})


def make_splits(
    tables: Mapping[str, pd.DataFrame], columns: Columns, *, seed: int, are_words: bool = False, task: str | None = None
) -> Splits:
    """Check the tables and make three splits of them.

    A missing validation or test split is held out of train (a tenth, seeded, stratified by class). Rows of train whose
    text also stands in validation or test (case and spaces folded) are removed. Rows of one group stay together: whole
    groups are held out or removed.

    Args:
        tables: split name -> table.
        columns: which columns hold what.
        seed: of what is held out.
        task: in place of `are_words`: a task by its name.
        are_words: whether rows are lists of words with a tag each, not texts.

    Raises:
        InvalidDataError: if a column is missing, a text is null or no text, a label is none, there is only one class, a
            class is missing in train, or the validation split repeats train.
    """
    are_words = are_words or task == WORDS_TASK
    kind = columns.kind or (kind_of_problem_type(columns.problem_type) if columns.problem_type else None)
    chosen = choose_columns(tables, columns, are_words=are_words)
    warnings: list[str] = []
    form = label_form(tables, chosen["label"], kind, is_tagging=are_words, warnings=warnings)
    warnings += label_warnings(tables, chosen["label"], form.kind)
    cleaned = {split: clean(table, chosen, split, form) for split, table in tables.items()}
    names = _separate(cleaned, form, seed, warnings)
    for warning in warnings:
        _LOGGER.warning("%s", warning)
    made = {split: _dataset(table, names, form.kind) for split, table in cleaned.items()}
    return Splits(**made, label_names=names, kind=form.kind, warnings=tuple(warnings))


def checked_split(table: pd.DataFrame, columns: Columns, split: str, label_names: Sequence[str]) -> Dataset:
    """The rows of one split of texts, checked and labeled as others are.

    Args:
        table: its rows.
        columns: which columns hold what.
        split: its name, in messages.
        label_names: class names by class index; none if labels are numbers.

    Raises:
        InvalidDataError: as `make_splits`; or if a row has another class.
    """
    chosen = choose_columns({"train": table}, columns, are_words=False)
    form = label_form({"train": table}, chosen["label"], columns.kind, is_tagging=False, warnings=[])
    cleaned = clean(table, chosen, split, form)
    others = sorted(set(cleaned["label"]) - set(label_names)) if form.kind == "class" else []
    if others:
        raise InvalidDataError(
            f"The classes of {split} must be {listed(label_names)}",
            f"it has {listed(map(repr, others))}",
            "Remove those rows",
        )
    return _dataset(cleaned, label_names, form.kind)


def _separate(tables: dict[str, pd.DataFrame], form: LabelForm, seed: int, warnings: list[str]) -> tuple[str, ...]:
    """Make three splits of the tables, in place, that share no row with train, and find the names of the classes."""
    if set(tables) == {"train"}:
        tables["train"] = _without_duplicates(tables["train"], warnings)
    _check_overlap(tables)
    names = _label_names(tables, form)
    for split in ("test", "validation"):
        if split not in tables:
            tables["train"], tables[split] = _hold_out(tables["train"], split, seed, form.kind, warnings)
    tables["train"] = _without_leaks(tables, warnings)
    warnings += told_overlaps({split: tables[split] for split in ("validation", "test")})
    if form.kind == "class":
        _check_classes(tables, names)
    if form.kind == "number" and tables["train"]["label"].nunique() == 1:
        raise InvalidDataError(
            "The numbers to be learned must differ between training rows",
            f"all {len(tables['train']):,} are {tables['train']['label'].iloc[0]:g}",
            "Check the label column",
        )
    return names


def _without_duplicates(table: pd.DataFrame, warnings: list[str]) -> pd.DataFrame:
    keys = _keys(table)
    repeated = _repeats(table, keys)
    if not repeated.any():
        return table
    places = table.groupby(GROUP).cumcount() if GROUP in table else pd.Series(0, index=table.index)
    known = dict(zip(zip(keys[~repeated], places[~repeated], strict=True), table["label"][~repeated], strict=True))
    later = zip(zip(keys[repeated], places[repeated], strict=True), table["label"][repeated], strict=True)
    others = sum(known[key] != label for key, label in later)
    unlike = f"; {others} of them had another label than the row that is kept" if others else ""
    warnings.append(f"{int(repeated.sum())} rows with a repeated text were removed{unlike}")
    return table[~repeated].reset_index(drop=True)


def _keys(table: pd.DataFrame) -> "pd.Series[str]":
    """What a row shares with another that repeats it, in a group of the same rows."""
    return group_keys(table, text_keys(table))


def _repeats(table: pd.DataFrame, keys: "pd.Series[str]") -> "pd.Series[bool]":
    """Rows of groups that repeat an earlier one; a row that is repeated within its group stays there."""
    if GROUP not in table:
        return keys.duplicated()
    first = table[GROUP].groupby(keys.to_numpy()).transform("first")
    return table[GROUP] != first


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


def _label_names(tables: Mapping[str, pd.DataFrame], form: LabelForm) -> tuple[str, ...]:
    """A class must stand in train; a tag, or one of several classes, may stand in any split."""
    splits = ("train",) if form.kind == "class" else tuple(tables)
    names = names_of((value for split in splits for value in tables[split]["label"]), form.kind)
    names = order_names(names, form)
    if form.kind != "number" and len(names) < 2:
        raise InvalidDataError(
            "The training data must have at least two classes",
            f"its only class is {shown(names[0])}" if names else "it has none",
            "Check the label column",
        )
    return names


def _hold_out(
    table: pd.DataFrame, split: str, seed: int, kind: Kind, warnings: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    if GROUP in table:
        kept, held_out, num_groups = hold_out_groups(table, share=HELD_OUT_SHARE, seed=seed)
        warnings.append(
            f"no {split} split: {len(held_out):,} of the {len(table):,} rows of train, {num_groups:,} whole groups, "
            f"are held out (seed {seed})"
        )
        return kept, held_out
    strata = table["label"] if kind == "class" else pd.Series(["all"] * len(table))
    counts = strata.value_counts()
    num_held_out = max(len(counts), round(len(table) * HELD_OUT_SHARE))
    if counts.min() < 2 or num_held_out > len(table) - len(counts):
        raise InvalidDataError(
            "A split can be held out of train only if every class has enough rows",
            f"class {shown(counts.idxmin())} has {counts.min()} of {len(table)} rows",
            "Add rows, or give the split as a file",
        )
    warnings.append(
        f"no {split} split: {num_held_out:,} of the {len(table):,} rows of train ({num_held_out / len(table):.1%}) are "
        f"held out ({'stratified, ' if kind == 'class' else ''}seed {seed})"
    )
    stratify = strata if kind == "class" else None
    kept, held_out = train_test_split(table, test_size=num_held_out, stratify=stratify, random_state=seed)
    return kept.sort_index().reset_index(drop=True), held_out.sort_index().reset_index(drop=True)


def _without_leaks(tables: Mapping[str, pd.DataFrame], warnings: list[str]) -> pd.DataFrame:
    held_out = set(text_keys(tables["validation"])) | set(text_keys(tables["test"]))
    leaked = groups_of(tables["train"], text_keys(tables["train"]).isin(held_out))
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
                f"train has no row of {listed(map(repr, unseen))}",
                "Add training rows of that class, or remove its rows from the other splits",
            )
    missing = sorted(set(names) - set(tables["train"]["label"]))
    if missing:
        raise InvalidDataError(
            "Every class must keep a training row",
            f"{listed(map(repr, missing))} has none left once rows of other splits are removed",
            "Add training rows of that class",
        )


def _dataset(table: pd.DataFrame, names: Sequence[str], kind: Kind) -> Dataset:
    index = {name: position for position, name in enumerate(names)}
    columns = {role: table[role].to_list() for role in table.columns if role != "label"}
    kinds = {"tokens": ListFeature(Value("string")), GROUP: Value("int64"), CREDIT: Value("float64")}
    texts = {role: kinds.get(role, Value("string")) for role in columns}
    labels = [encode_label(value, index, kind) for value in table["label"]]
    features = Features(texts | {"label": label_feature(names, kind)})
    return Dataset.from_dict(columns | {"label": labels}, features=features)

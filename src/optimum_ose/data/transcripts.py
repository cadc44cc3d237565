"""Data sets of speech: sounds with what is said in them."""

import logging

import pandas as pd
from datasets import Dataset, Features, Value
from sklearn.model_selection import train_test_split

from optimum_ose.data.media import FILE, KEY, readable_tables, with_files
from optimum_ose.data.request import DataRequest
from optimum_ose.data.sounds import SOUNDS
from optimum_ose.data.splits import HELD_OUT_SHARE, Splits
from optimum_ose.data.targets import is_text
from optimum_ose.exceptions import InvalidDataError, MissingDependencyError
from optimum_ose.serving.sounds import require_soundfile
from optimum_ose.wording import listed, shown

TEXT = "text"
"""Column of what is said."""
_TEXT_NAMES = (TEXT, "transcription", "transcript", "sentence", "normalized_text", "label")
_LOGGER = logging.getLogger(__name__)


def speech_splits(request: DataRequest) -> Splits:
    """Splits with the columns `audio`, mappings of `bytes` and `path`, and `text`.

    Rows without a text are left out and counted. Rows of train whose sound also stands in another split are removed.

    Raises:
        InvalidDataError: if there are no sounds that can be read, or no column of texts.
        MissingDependencyError: if soundfile or jiwer is not installed.
    """
    require_soundfile()
    _require_jiwer()
    tables = {split: _said(table, request, split) for split, table in readable_tables(request, SOUNDS).items()}
    for split in ("test", "validation"):
        if split not in tables:
            tables["train"], tables[split] = _hold_out(tables["train"], split, request.seed)
    tables["train"], warnings = _without_leaks(tables)
    for warning in warnings:
        _LOGGER.warning("%s", warning)
    made = {split: _dataset(table) for split, table in tables.items()}
    return Splits(**made, label_names=(), kind="spans", warnings=tuple(warnings))


def _require_jiwer() -> None:
    try:
        import jiwer  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "The word error rate needs the package jiwer", "it is not installed", "pip install 'optimum-ose[audio]'"
        ) from error


def _said(table: pd.DataFrame, request: DataRequest, split: str) -> pd.DataFrame:
    present = [str(name) for name in table.columns if name not in (KEY, FILE)]
    column = request.columns.label or next((name for name in _TEXT_NAMES if name in present), None)
    if column is None or column not in present:
        raise InvalidDataError(
            "Speech recognition needs a column of what is said",
            f"{split} has {listed(present) or 'none beside the sounds'}",
            "Name the right one (--label-column), or write it into metadata.csv as text",
        )
    found = pd.DataFrame({KEY: table[KEY], FILE: table[FILE], TEXT: table[column]})
    kept = found[found[TEXT].map(is_text)].reset_index(drop=True)
    if kept.empty:
        raise InvalidDataError(
            f"Column {shown(column)} must hold what is said in the sounds",
            f"no row of {split} has a text there",
            "Name the right one (--label-column)",
        )
    if len(kept) < len(found):
        _LOGGER.warning(
            "%d of %d rows of %s are left out: nothing is said in them", len(found) - len(kept), len(found), split
        )
    return kept


def _hold_out(table: pd.DataFrame, split: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    if len(table) < 3:
        raise InvalidDataError(
            "A split can be held out of train only if it has several rows",
            f"it has {len(table)}",
            "Add rows, or give the split",
        )
    kept, held_out = train_test_split(table, test_size=HELD_OUT_SHARE, random_state=seed)
    told = "no %s split: %d of the %d rows of train are held out (seed %d)"
    _LOGGER.warning(told, split, len(held_out), len(table), seed)
    return kept.sort_index().reset_index(drop=True), held_out.sort_index().reset_index(drop=True)


def _without_leaks(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[str]]:
    held_out = set(tables["validation"][KEY]) | set(tables["test"][KEY])
    leaked = tables["train"][KEY].isin(held_out)
    warnings = []
    if leaked.any():
        warnings.append(f"{int(leaked.sum())} sounds of train also stand in validation or test and were removed")
    if leaked.all():
        raise InvalidDataError(
            "The training sounds must be others than those of validation and test",
            "all of them stand there too",
            "Give sounds that were set apart",
        )
    return tables["train"][~leaked].reset_index(drop=True), warnings


def _dataset(table: pd.DataFrame) -> Dataset:
    rows = Dataset.from_dict({TEXT: table[TEXT].to_list()}, features=Features({TEXT: Value("string")}))
    return with_files(rows, table[FILE].to_list(), SOUNDS)

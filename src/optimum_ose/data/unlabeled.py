"""Reads text without labels, from which a student learns by its teacher's answers alone."""

import logging
import re
from pathlib import Path

import pandas as pd
from datasets import Dataset

from optimum_ose.data.overlaps import text_keys
from optimum_ose.data.reading import read_lines
from optimum_ose.data.sentences import single_texts
from optimum_ose.data.sequence_pairs import TARGET
from optimum_ose.data.splits import Splits
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.preprocessing import SOUND
from optimum_ose.wording import listed

_LOGGER = logging.getLogger(__name__)


def read_unlabeled(path: Path, splits: Splits, *, is_labeled: bool = True) -> Dataset:
    """The lines of a text file as rows with the text column of the splits; words are parted by spaces.

    Lines that stand in validation or test, case and spaces folded, are left out, and so is a line that comes again.

    Args:
        path: the file.
        splits: of the task.
        is_labeled: whether rows of the task have labels: then pairs are answered together, and cannot be joined.

    Raises:
        InvalidDataError: if there is no such file, it holds no other line, or the task takes pairs of texts.
    """
    columns = set(splits.train.column_names)
    is_single = bool({"text", "tokens"} & columns) and SOUND not in columns and TARGET not in columns
    if not is_single or (is_labeled and "text_pair" in columns):
        raise InvalidDataError(
            "Unlabeled text (--unlabeled) joins tasks of single texts",
            "this one takes pairs of texts" if "text_pair" in columns else f"rows of this one have {listed(columns)}",
            "Leave it out",
        )
    lines = read_lines(path)
    if not lines:
        raise InvalidDataError(f"{path} must hold text, one a line", "it holds none", "Give a file with text")
    is_tagging = "tokens" in splits.train.column_names
    table = pd.DataFrame({"tokens": [re.split("[ \t]+", line) for line in lines]} if is_tagging else {"text": lines})
    held_out = (splits.validation, splits.test)
    known = [text_keys((rows if is_labeled else single_texts(rows)).to_pandas()) for rows in held_out]
    keys = text_keys(table)
    kept = table[~(keys.isin(pd.concat(known)) | keys.duplicated())]
    if kept.empty:
        raise InvalidDataError(
            f"{path} must hold a line that stands neither in validation nor in test", "it holds none", "Give more text"
        )
    if len(kept) < len(table):
        _LOGGER.warning(
            "%d lines of %s come again or stand in validation or test: left out", len(table) - len(kept), path
        )
    return Dataset.from_pandas(kept, preserve_index=False)

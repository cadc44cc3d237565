"""Rows of which a sentence encoder is trained and judged: texts, pairs, triplets, and documents with their queries."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset, Features, Value

from optimum_ose.data.reading import SUFFIXES, read_file
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import listed

TEXTS = ("text", "text_pair", "text_negative")
"""Columns of texts: a text, one that goes with it, and one that does not."""
DOCUMENT, RELEVANT = "document", "relevant"
"""Columns of a collection: the id of a document, None for a query; and what is relevant to a query, a list of
`document` and `gain`.
"""
_FILES = ("corpus", "queries", "qrels")
_IDS = {
    "corpus": ("doc_id", "_id", "id", "corpus-id"),
    "queries": ("query_id", "_id", "id", "query-id"),
}
_QUERY_IDS, _DOCUMENT_IDS = ("query_id", "query-id"), ("doc_id", "corpus-id")
_GAINS = ("relevance", "score", "gain")
_TEXT, _TITLE = "text", "title"
_FEATURES = Features(
    {
        "text": Value("string"),
        DOCUMENT: Value("string"),
        RELEVANT: [{"document": Value("string"), "gain": Value("float64")}],
    }
)
_LOGGER = logging.getLogger(__name__)


def single_texts(dataset: Dataset) -> Dataset:
    """Each text of any of the columns once, as rows of the column `text`; other columns are left out."""
    names = [name for name in TEXTS if name in dataset.column_names]
    if dataset.column_names == ["text"]:
        return dataset
    texts = dict.fromkeys(text for name in names for text in dataset[name] if text)
    return Dataset.from_dict({"text": list(texts)})


def read_collection(folder: Path, *, seed: int) -> dict[str, Dataset] | None:
    """The splits of a folder with `corpus`, `queries` and `qrels`, as BEIR has them: train is the documents; validation
    and test are the documents with one half of the queries each. None of another folder.

    Args:
        folder: with files of any kind that `read_file` reads.
        seed: of the halves.

    Raises:
        InvalidDataError: if a column is missing, or no query has a relevant document.
    """
    files = {path.stem: path for path in folder.iterdir() if path.suffix in SUFFIXES} if folder.is_dir() else {}
    if not set(_FILES) <= files.keys():
        return None
    corpus, queries, qrels = (read_file(files[name]) for name in _FILES)
    documents = _texts(corpus, "corpus")
    asked = _texts(queries, "queries")
    relevant = _relevant(qrels, set(documents), set(asked))
    left_out = [name for name in asked if name not in relevant]
    if left_out:
        _LOGGER.warning("%d of %d queries have no relevant document: left out", len(left_out), len(asked))
    kept = [name for name in asked if name in relevant]
    if len(kept) < 2:
        raise InvalidDataError(
            "At least two queries must have a relevant document", f"{len(kept)} have", "Check the ids in qrels"
        )
    order = np.random.default_rng(seed).permutation(len(kept))
    halves = {"validation": order[: len(order) // 2], "test": order[len(order) // 2 :]}
    _LOGGER.warning(
        "%d documents teach; %d queries are validation and %d are test (seed %d)",
        *(len(documents), len(halves["validation"]), len(halves["test"]), seed),
    )
    rows = [{"text": text, DOCUMENT: name, RELEVANT: []} for name, text in documents.items()]
    found = {"train": Dataset.from_dict({"text": list(documents.values())})}
    for split, half in halves.items():
        names = [kept[index] for index in sorted(half)]
        of_queries = [{"text": asked[name], DOCUMENT: None, RELEVANT: relevant[name]} for name in names]
        found[split] = Dataset.from_list([*rows, *of_queries], features=_FEATURES)
    return found


def _column(table: pd.DataFrame, names: Sequence[str], file: str) -> list[Any]:
    name = next((name for name in names if name in table.columns), None)
    if name is None:
        raise InvalidDataError(
            f"{file} must have one of the columns {listed(names)}",
            f"it has {listed(table.columns)}",
            "Rename its columns",
        )
    return list(table[name])


def _texts(table: pd.DataFrame, file: str) -> dict[str, str]:
    """Id -> text, with its title in front; rows without text are left out."""
    ids, texts = _column(table, _IDS[file], file), _column(table, (_TEXT,), file)
    titles = list(table[_TITLE]) if _TITLE in table.columns else [""] * len(texts)
    joined = (f"{title or ''} {text or ''}".strip() for title, text in zip(titles, texts, strict=True))
    found = {str(name): text for name, text in zip(ids, joined, strict=True) if text}
    if len(found) < len(ids):
        _LOGGER.warning(
            "%d of %d rows of %s have no text of their own: left out", len(ids) - len(found), len(ids), file
        )
    if not found:
        raise InvalidDataError(f"{file} must hold a text", "it holds none", "Check its columns")
    return found


def _relevant(table: pd.DataFrame, documents: set[str], queries: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Query -> its documents whose relevance is above zero."""
    names = (_QUERY_IDS, _DOCUMENT_IDS, _GAINS)
    found: dict[str, list[dict[str, Any]]] = {}
    for query, document, gain in zip(*(_column(table, wanted, "qrels") for wanted in names), strict=True):
        if str(query) in queries and str(document) in documents and (number := _gain(gain)) > 0:
            found.setdefault(str(query), []).append({"document": str(document), "gain": number})
    return found


def _gain(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(
            "Relevance in qrels must be a number", f"got {value!r:.80}", "Correct the file"
        ) from error

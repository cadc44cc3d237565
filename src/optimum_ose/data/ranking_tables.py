"""Reads queries with documents to rank: folders of a test collection, and tables of queries, documents and scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer

from optimum_ose.data.columns import first_of
from optimum_ose.data.reading import SPLITS, SUFFIXES, read_file
from optimum_ose.data.targets import is_list, is_missing
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.wording import listed

QUERY, DOCUMENT, RELEVANCE = "text", "text_pair", "label"
"""Columns of what is made: a query, a document, and a number that is greater the better it answers."""
NUM_CANDIDATES = 20
"""Documents that nobody has judged, beside those that somebody has, that are ranked for a query."""
_NUM_OTHERS = 7
"""Documents of other queries that are ranked for a query of a table without documents that do not answer."""
_QUERY_NAMES = ("query", "question", "anchor", "text", "sentence1")
_DOCUMENT_NAMES = ("document", "passage", "positive", "text_pair", "sentence2", "positives", "documents", "passages")
_NEGATIVE_NAMES = ("negative", "negatives", "hard_negative", "hard_negatives")
_RELEVANCE_NAMES = ("relevance", "score", "label", "labels", "rel", "scores")
_QUERY_IDS = ("query_id", "query-id", "qid", "_id", "id")
_DOCUMENT_IDS = ("doc_id", "corpus-id", "corpus_id", "docid", "pid", "_id", "id")
_PARTS = ("corpus", "queries", "qrels")


def is_collection(folder: Path) -> bool:
    """Whether a folder holds a test collection: `corpus.*`, `queries.*`, and `qrels.*` or a folder `qrels`."""
    return folder.is_dir() and all(_part(folder, name) is not None or (folder / name).is_dir() for name in _PARTS)


def read_collection(folder: Path) -> dict[str, pd.DataFrame]:
    """Split name -> rows of `text`, `text_pair` and `label` of a test collection.

    Each query has the documents that somebody has judged for it, and `NUM_CANDIDATES` others whose words are the most
    similar to its own (TF-IDF), which count as no answer. A title stands before the text of its document.

    Args:
        folder: `corpus.tsv` (doc_id, text, maybe title), `queries.tsv` (query_id, text) and `qrels.tsv` (query_id,
            doc_id, relevance), or other kinds of files of these names; a folder `qrels` holds a file for each split.

    Raises:
        InvalidDataError: if a file or column is missing, or no judgment names a query and a document that are there.
    """
    documents = _texts(folder, "corpus", _DOCUMENT_IDS)
    queries = _texts(folder, "queries", _QUERY_IDS)
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    words = vectorizer.fit_transform(documents.to_list())
    made = {}
    for split, path in _judgments(folder).items():
        judged = _judged(read_file(path), queries, documents, path)
        near = vectorizer.transform([queries[query] for query in judged]) @ words.T
        rows = []
        for place, (query, relevance) in enumerate(judged.items()):
            similarity = near[[place]].toarray()[0]
            order = documents.index[np.argsort(-similarity, kind="stable")]
            others = [name for name in order[: NUM_CANDIDATES + len(relevance)] if name not in relevance]
            graded = {**relevance, **dict.fromkeys(others[:NUM_CANDIDATES], 0.0)}
            rows += [(queries[query], documents[name], value) for name, value in graded.items()]
        made[split] = pd.DataFrame(rows, columns=[QUERY, DOCUMENT, RELEVANCE])
    return made


def ranking_rows(
    table: pd.DataFrame, *, query: str | None, document: str | None, relevance: str | None, seed: int
) -> pd.DataFrame:
    """Rows of `text`, `text_pair` and `label` of a table with a query and one or several documents in a row.

    Without a column of scores, documents are answers, and those of the column `negative` (or `negatives`) are none;
    without such a column too, a few documents of other queries are none.

    Args:
        table: unchecked.
        query: its column; None: by its usual names.
        document: of the documents.
        relevance: of the numbers.
        seed: of the draw of other documents.

    Raises:
        InvalidDataError: if a column is missing.
    """
    names = list(table.columns)
    asked, answer = query or first_of(_QUERY_NAMES, names), document or first_of(_DOCUMENT_NAMES, names)
    score, wrong = relevance or first_of(_RELEVANCE_NAMES, names), first_of(_NEGATIVE_NAMES, names)
    missing = [what for what, name in (("query", asked), ("document", answer)) if name is None or name not in names]
    if missing or (relevance is not None and relevance not in names):
        raise InvalidDataError(
            f"Rows to rank must have a column of the {' and of the '.join(missing) or 'relevance'}",
            f"the columns are {listed(names, limit=20)}",
            "Name it query, document (or positive) and relevance, or give --text-column, --text-pair-column and "
            "--label-column",
        )
    rows: list[tuple[Any, Any, Any]] = []
    for row in table.to_dict("records"):
        documents = _listed(row[answer])
        values = [1.0] * len(documents) if score is None else _listed(row[score])
        if len(values) != len(documents):
            raise InvalidDataError(
                "Each document must have one number",
                f"a row has {len(documents)} documents and {len(values)} numbers",
                f"Check the columns {answer} and {score}",
            )
        rows += [(row[asked], item, value) for item, value in zip(documents, values, strict=True)]
        rows += [(row[asked], item, 0.0) for item in (_listed(row[wrong]) if wrong is not None else ())]
    made = pd.DataFrame(rows, columns=[QUERY, DOCUMENT, RELEVANCE])
    return made if score is not None or wrong is not None else _with_others(made, seed)


def _with_others(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rows, and for each query a few documents of other queries."""
    generator, documents = np.random.default_rng(seed), rows[DOCUMENT].drop_duplicates().to_list()
    further = []
    for query, own in rows.groupby(QUERY, sort=False)[DOCUMENT]:
        kept = set(own)
        drawn = generator.permutation(len(documents))[: _NUM_OTHERS + len(kept)]
        others = [documents[index] for index in drawn if documents[index] not in kept]
        further += [(query, document, 0.0) for document in others[:_NUM_OTHERS]]
    return pd.concat([rows, pd.DataFrame(further, columns=rows.columns)], ignore_index=True)


def _listed(value: Any) -> list[Any]:
    if is_list(value):
        return [item for item in value if not is_missing(item)]
    return [] if is_missing(value) else [value]


def _part(folder: Path, name: str) -> Path | None:
    found = [path for path in sorted(folder.glob(f"{name}.*")) if path.suffix.lower() in SUFFIXES]
    return found[0] if found else None


def _texts(folder: Path, name: str, ids: tuple[str, ...]) -> "pd.Series[str]":
    """The texts of the corpus or of the queries by their names; empty ones are left out."""
    path = _part(folder, name)
    if path is None:
        raise InvalidDataError(
            f"The folder {folder} must hold a file {name}.*", "there is none", f"Add it ({', '.join(SUFFIXES)})"
        )
    table = read_file(path)
    key, text = (
        first_of(ids, list(table.columns)),
        first_of(("text", "query", "contents"), list(table.columns)),
    )
    if key is None or text is None:
        raise InvalidDataError(
            f"{path} must have the columns {ids[0]} and text", f"it has {listed(table.columns)}", "Rename its columns"
        )
    texts = table[text].fillna("").astype(str).str.strip()
    if "title" in table.columns:
        titles = table["title"].fillna("").astype(str).str.strip()
        texts = pd.Series(
            [body if body.startswith(title) else f"{title} {body}" for title, body in zip(titles, texts, strict=True)]
        )
    texts.index = pd.Index([_name(value) for value in table[key]])
    return texts[(texts != "").to_numpy() & ~texts.index.duplicated()]


def _judgments(folder: Path) -> dict[str, Path]:
    single = _part(folder, "qrels")
    if single is not None:
        return {"train": single}
    inside = folder / "qrels"
    found = {
        split: next(filter(None, (_part(inside, name) for name in names)), None) for split, names in SPLITS.items()
    }
    kept = {split: path for split, path in found.items() if path is not None}
    if "train" not in kept and kept:  # a collection that only tests: its queries are divided
        kept = {"train": next(iter(kept.values()))}
    if not kept:
        raise InvalidDataError(
            f"The folder {inside} must hold train.*, dev.* or test.*", "it holds none of them", "Add the judgments"
        )
    return kept


def _judged(
    table: pd.DataFrame, queries: "pd.Series[str]", documents: "pd.Series[str]", path: Path
) -> Mapping[str, dict[str, float]]:
    """Query -> document -> relevance, at least 0, of judgments whose query and document are there."""
    names = list(table.columns)
    query, document = first_of(_QUERY_IDS, names), first_of(_DOCUMENT_IDS, names)
    value = first_of(_RELEVANCE_NAMES, names)
    if query is None or document is None or value is None:
        raise InvalidDataError(
            f"{path} must have the columns query_id, doc_id and relevance", f"it has {listed(names)}", "Rename them"
        )
    found: dict[str, dict[str, float]] = {}
    for asked, name, number in zip(table[query], table[document], table[value], strict=True):
        if _name(asked) in queries.index and _name(name) in documents.index:
            found.setdefault(_name(asked), {})[_name(name)] = max(_grade(number, path), 0.0)
    if not found:
        raise InvalidDataError(
            f"{path} must judge queries and documents of its collection", "it names none of them", "Check the names"
        )
    return found


def _grade(value: Any, path: Path) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(
            f"Relevance in {path} must be a number", f"got {value!r:.80}", "Correct the file"
        ) from error


def _name(value: Any) -> str:
    """A name as text, whether it was read as a number or not."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()

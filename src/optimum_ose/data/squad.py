"""Reads files of SQuAD's form: articles of paragraphs, each a context with questions and their answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from optimum_ose.data.tables import table_of
from optimum_ose.wording import shown

QUESTION, CONTEXT, ANSWERS = "question", "context", "answers"
"""Columns of rows with a question each."""
POSITIONS = ("start_positions", "end_positions")
"""Columns of token rows: the first and the last token of the answer."""


def is_squad(content: Mapping[str, Any]) -> bool:
    """Whether the object that a JSON file holds has SQuAD's form."""
    data = content.get("data")
    return (
        isinstance(data, list) and bool(data) and all(isinstance(item, dict) and "paragraphs" in item for item in data)
    )


def squad_table(content: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each question: `id`, `title`, `context`, `question`, `answers` (`text` and `answer_start`, of each).

    Raises:
        ValueError: if a part of the file has another form.
    """
    try:
        rows = [
            _row(article.get("title"), paragraph["context"], asked)
            for article in content["data"]
            for paragraph in article["paragraphs"]
            for asked in paragraph["qas"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a part of it has not SQuAD's form ({type(error).__name__}: {shown(str(error))})") from error
    names = list(rows[0]) if rows else []
    return table_of({name: [row[name] for row in rows] for name in names})


def _row(title: Any, context: Any, asked: Mapping[str, Any]) -> dict[str, Any]:
    found: Sequence[Mapping[str, Any]] = [] if asked.get("is_impossible") else asked.get("answers") or []
    answers = {"text": [item["text"] for item in found], "answer_start": [item["answer_start"] for item in found]}
    return {"id": asked.get("id"), "title": title, CONTEXT: context, QUESTION: asked["question"], ANSWERS: answers}

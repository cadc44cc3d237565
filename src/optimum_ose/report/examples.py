"""A sample answer on one line: what came, what the row is labeled with, and its text."""

from collections.abc import Mapping
from typing import Any

from optimum_ose.wording import one_line

_TEXT_LIMIT = 100
_LABELS_LIMIT = 200


def answer_line(example: Mapping[str, Any]) -> str:
    """Answer and text for a terminal: short, and without control characters."""
    return f"{answer_told(example)}: {text_told(example)}"


def answer_told(example: Mapping[str, Any]) -> str:
    """The answer, with its score if it has one, and the label of the row."""
    score = example.get("score")
    answer, gold = (one_line(example.get(name, ""), limit=_LABELS_LIMIT) for name in ("label", "gold"))
    told = [f"{score:.2f}"] if isinstance(score, float | int) else []
    told += [f"labeled {gold}"] if "gold" in example else []
    return f"{answer} ({'; '.join(told)})" if told else answer


def text_told(example: Mapping[str, Any], *, limit: int = _TEXT_LIMIT) -> str:
    """The text, or both texts of a pair."""
    texts = [example.get("text", ""), *([example["text_pair"]] if example.get("text_pair") is not None else [])]
    return " | ".join(one_line(text, limit=limit) for text in texts)

"""What the exported student answers to a few rows of the test split, beside what they are labeled with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from optimum_ose.data.labels import class_names
from optimum_ose.data.targets import Kind, kind_of_rows
from optimum_ose.optimizer.served import image_inputs
from optimum_ose.preprocessing import IMAGE
from optimum_ose.serving.images import rgb_image
from optimum_ose.serving.pipeline import OnnxPipeline

_NUM_EXAMPLES = 3
_THRESHOLD = 0.5
"""From here on a class belongs to the set that answers a text."""


def sample_answers(folder: Path, file_name: str, rows: Dataset) -> list[dict[str, Any]]:
    """Answers to the first rows of a data set.

    Args:
        folder: the exported model.
        file_name: ONNX file, relative to it.
        rows: with `text` and perhaps `text_pair`, or `tokens`, or `image`, and `label`.

    Returns:
        A JSON-able dict per row: `text` (of an image its row and size), `text_pair` if there is one, `gold`, `label`
        (the answer as people read it: a class, all classes of a set, a number, or entities) and `score` (of a class;
        else None). None of other rows.
    """
    if not {"text", "tokens", IMAGE} & set(rows.column_names):
        return []
    chosen = rows.select(range(min(_NUM_EXAMPLES, len(rows))))
    kind, names = kind_of_rows(chosen), class_names(rows)
    pairs = chosen["text_pair"][:] if "text_pair" in rows.column_names else [None] * len(chosen)
    texts, inputs = _inputs(chosen, pairs, kind)
    answers = _answers(OnnxPipeline.from_pretrained(folder, file_name=file_name), inputs, kind)
    return [
        {
            "text": text,
            **({} if pair is None else {"text_pair": pair}),
            "gold": _gold(row, kind, names),
            **answer,
        }
        for text, pair, row, answer in zip(texts, pairs, chosen, answers, strict=True)
    ]


def _inputs(rows: Dataset, pairs: Sequence[str | None], kind: Kind) -> tuple[list[str], list[Any]]:
    """Each row in words, and as a client sends it."""
    if not {"text", "tokens"} & set(rows.column_names):
        images = image_inputs(rows)
        told = [
            f"image {index}, {image.width} x {image.height} pixels"
            for index, image in enumerate(map(rgb_image, images))
        ]
        return told, images
    texts = rows["text"][:] if kind != "tags" else [" ".join(words) for words in rows["tokens"]]
    return texts, [
        text if pair is None else {"text": text, "text_pair": pair} for text, pair in zip(texts, pairs, strict=True)
    ]


def _answers(pipeline: OnnxPipeline, inputs: list[Any], kind: Kind) -> list[dict[str, Any]]:
    if kind == "tags":
        found = pipeline(inputs, aggregation_strategy="simple")
        return [{"label": _entities((item["entity_group"], item["word"]) for item in items)} for items in found]
    if kind == "classes":
        return [{"label": _set_of(items)} for items in pipeline(inputs, top_k=None)]
    best: list[Mapping[str, Any]] = [items[0] for items in pipeline(inputs, top_k=1)]
    if kind == "number":
        return [{"label": f"{item['score']:.4g}"} for item in best]
    return [{"label": item["label"], "score": item["score"]} for item in best]


def _set_of(items: Sequence[Mapping[str, Any]]) -> str:
    told = [f"{item['label']} ({item['score']:.2f})" for item in items if item["score"] > _THRESHOLD]
    return ", ".join(told) or "no class"


def _entities(found: Any) -> str:
    return ", ".join(f"{word} ({name})" for name, word in found) or "no entity"


def _gold(row: Mapping[str, Any], kind: Kind, names: Sequence[str]) -> str:
    """The label of a row as people read it."""
    value = row["label"]
    if kind == "number":
        return f"{value:.4g}" if value is not None else "none"
    if kind == "class":
        return str(names[value])
    if kind == "classes":
        return ", ".join(str(names[index]) for index in value) or "no class"
    tags = [str(names[index]) if index >= 0 else "O" for index in value]
    marked = [(tag, word) for tag, word in zip(tags, row["tokens"], strict=True) if tag != "O"]
    return _entities(marked)

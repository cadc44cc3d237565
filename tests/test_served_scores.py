"""The score that is reported is the score of the served folder on the raw rows, and of transformers' pipeline on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Sequence as ListFeature
from PIL import Image
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForTokenClassification,
    ViTForImageClassification,
    pipeline,
)

from digits import NAMES, digit_rows, save, trained_vit, vit_config
from optimum_ose import ExportConfig, OSEOptimizer
from optimum_ose.exceptions import ExportError
from optimum_ose.optimizer.served import require_same_score
from optimum_ose.serving import OnnxPipeline
from optimum_ose.tasks.parts.token_labels import NO_TAG
from themes import THEMES, VOCABULARY, teacher_config, theme_table, word_tokenizer

TAGS = ("B-thing", "I-thing", "O")
LENGTH = 12
CLOSE = 0.002


def random_teacher(**settings: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = teacher_config(initializer_range=0.6, **settings)
        if settings.get("num_labels") == len(TAGS) and "B-thing" in (config.id2label or {}).values():
            return BertForTokenClassification(config).eval()
        return AutoModelForSequenceClassification.from_config(config).eval()


def named(*names: str) -> dict[str, Any]:
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
    }


def texts(num_rows: int = 60) -> list[str]:
    return theme_table(num_rows, seed=5)["text"].to_list()


def dataset(columns: dict[str, list[Any]], label: Any) -> Dataset:
    kinds = {
        name: ListFeature(Value("string")) if isinstance(values[0], list) else Value("string")
        for name, values in columns.items()
        if name != "label"
    }
    return Dataset.from_dict(columns, features=Features({**kinds, "label": label}))


def classes(pairs: bool = False) -> Dataset:
    found = texts()
    columns: dict[str, list[Any]] = {"text": found, "label": [index % 3 for index in range(len(found))]}
    if pairs:
        columns["text_pair"] = list(reversed(found))
    return dataset(columns, ClassLabel(names=["tools", "Food", "animals"]))  # another order, another case


def sets() -> Dataset:
    found = texts()
    labels = [[index % 3, (index + 1) % 3][: index % 3] for index in range(len(found))]
    return dataset({"text": found, "label": labels}, ListFeature(ClassLabel(names=list(THEMES))))


def numbers() -> Dataset:
    found = texts()
    return dataset({"text": found, "label": [float(len(text)) for text in found]}, Value("float32"))


def tags() -> Dataset:
    rows = [text.split() for text in texts()]
    rows[0] = ["the", "", "big cat", "\x00", *rows[0]]
    labels = [[(len(word) + place) % 3 for place, word in enumerate(words)] for words in rows]
    return dataset({"tokens": rows, "label": labels}, ListFeature(ClassLabel(names=["O", "B-thing", "I-thing"])))


CASES: dict[str, tuple[str, dict[str, Any], Callable[[], Dataset]]] = {
    "classes": ("text-classification", {}, classes),
    "pairs": ("text-classification", {}, lambda: classes(pairs=True)),
    "sets": ("text-classification", {"problem_type": "multi_label_classification"}, sets),
    "numbers": ("text-classification", {"num_labels": 1, "id2label": None, "label2id": None}, numbers),
    "tags": ("token-classification", named(*TAGS), tags),
}


@pytest.fixture(scope="module", params=CASES)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[OSEOptimizer, Path, Dataset]:
    """An optimizer that cuts texts at a length below the tokenizer's, its exported teacher, and raw rows."""
    task, settings, rows = CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    optimizer = OSEOptimizer(random_teacher(**settings), word_tokenizer(), task=task, max_length=LENGTH)
    optimizer.export(optimizer.teacher, folder / "out", ExportConfig(quantization="none"))
    return optimizer, folder / "out", rows()


def test_what_is_served_scores_what_the_model_scores(exported: tuple[OSEOptimizer, Path, Dataset]) -> None:
    optimizer, folder, rows = exported
    computed = optimizer.scores(optimizer.teacher, rows)
    assert optimizer.served_scores(folder, rows) == pytest.approx(computed, abs=CLOSE)
    assert optimizer.served_score(folder, rows) == pytest.approx(computed[optimizer.metric.name], abs=CLOSE)


def test_transformers_pipeline_on_the_folder_scores_the_same(exported: tuple[OSEOptimizer, Path, Dataset]) -> None:
    optimizer, folder, rows = exported
    ours, theirs = OnnxPipeline.from_pretrained(folder), pipeline(optimizer.task, model=str(folder), device="cpu")
    if optimizer.task == "token-classification":
        sentences = [" ".join(words) for words in rows["tokens"]]
        found = [word_names(words, answer) for words, answer in zip(rows["tokens"], theirs(sentences), strict=True)]
        assert found == [
            word_names(words, answer) for words, answer in zip(rows["tokens"], ours(sentences), strict=True)
        ]
        names = [optimizer.teacher.config.label2id[name] for name in ("O", "B-thing", "I-thing")]
        wanted = [[names[tag] for tag in tags] for tags in rows["label"]]
        score = optimizer.metric.judged(found, wanted)["f1"]
    else:
        pairs = rows["text_pair"][:] if "text_pair" in rows.column_names else [""] * len(rows)
        inputs = [
            {"text": text, "text_pair": pair} if pair else {"text": text}
            for text, pair in zip(rows["text"], pairs, strict=True)
        ]
        answers = [theirs(item, top_k=None, truncation=True) for item in inputs]
        score = optimizer.metric.judged(decided(answers, optimizer), references(rows, optimizer))[optimizer.metric.name]
    assert score == pytest.approx(optimizer.served_score(folder, rows), abs=CLOSE)


def word_names(words: list[str], entities: list[dict[str, Any]]) -> list[int]:
    """The tag of each word by where it starts, counted without the package."""
    starts = {entity["start"]: TAGS.index(entity["entity"]) for entity in entities}
    found, place = [], 0
    for word in words:
        found.append(starts.get(place, TAGS.index("O")) if word else NO_TAG)
        place += len(word) + 1
    return found


def decided(answers: list[list[dict[str, Any]]], optimizer: OSEOptimizer) -> np.ndarray[Any, Any]:
    label2id = optimizer.teacher.config.label2id
    if optimizer.problem.name == "regression":
        return np.array([answer[0]["score"] for answer in answers])
    scores = np.array([[{label2id[i["label"]]: i["score"] for i in answer}[k] for k in range(3)] for answer in answers])
    return scores > 0.5 if optimizer.problem.name == "multi-label" else scores.argmax(-1)


def references(rows: Dataset, optimizer: OSEOptimizer) -> np.ndarray[Any, Any]:
    if optimizer.problem.name == "regression":
        return np.array(rows["label"])
    if optimizer.problem.name == "multi-label":
        return np.array([[float(index in label) for index in range(3)] for label in rows["label"]])
    order = [list(THEMES).index(name.lower()) for name in rows.features["label"].names]
    return np.array([order[label] for label in rows["label"]])


def test_the_folder_says_where_texts_are_cut(exported: tuple[OSEOptimizer, Path, Dataset]) -> None:
    optimizer, folder, _ = exported
    assert AutoTokenizer.from_pretrained(folder).model_max_length == LENGTH
    long = " ".join(VOCABULARY[5:25])
    (encoding,) = OnnxPipeline.from_pretrained(folder).encodings([(long, None)])
    assert len(encoding.ids) == LENGTH
    assert word_tokenizer().model_max_length == optimizer.text_tokenizer.model_max_length == 32  # not the user's own


@pytest.mark.parametrize("kind", ["images", "arrays", "sets"])
def test_images_are_scored_as_they_are_served(tmp_path: Path, kind: str) -> None:
    rows = digit_rows(1500, 1797)
    model: Any = trained_vit() if kind != "sets" else random_vit(problem_type="multi_label_classification")
    if kind == "arrays":
        pixels = [np.asarray(image) for image in rows["image"]]
        rows = Dataset.from_dict({"image": pixels, "label": rows["label"][:]})
        rows = rows.cast_column("label", ClassLabel(names=NAMES))
    if kind == "sets":
        labels = [[label, (label + 3) % 10] for label in rows["label"]]
        rows = rows.remove_columns("label").add_column("label", labels, feature=ListFeature(ClassLabel(names=NAMES)))
    optimizer = OSEOptimizer.from_pretrained(save(model, tmp_path / "vit"), task="image-classification")
    folder = tmp_path / "out"
    optimizer.export(optimizer.teacher, folder, ExportConfig(quantization="none"))
    served = optimizer.served_scores(folder, rows)
    assert served == pytest.approx(optimizer.scores(optimizer.teacher, rows), abs=CLOSE)
    images = [image if kind != "arrays" else Image.fromarray(np.array(image, np.uint8)) for image in rows["image"]]
    theirs = pipeline("image-classification", model=str(folder), device="cpu")(images, top_k=10)
    scores = np.array([[{i["label"]: i["score"] for i in answer}[name] for name in NAMES] for answer in theirs])
    if kind == "sets":
        found, wanted = scores > 0.5, np.array([[index in label for index in range(10)] for label in rows["label"]])
    else:
        found, wanted = scores.argmax(-1), np.array(rows["label"])
        assert served["accuracy"] > 0.8
    assert optimizer.metric.judged(found, wanted) == pytest.approx(served, abs=CLOSE)


def random_vit(**changes: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ViTForImageClassification(vit_config(initializer_range=0.5, **changes)).eval()


def test_served_scores_that_differ_end_the_run() -> None:
    require_same_score({"accuracy": 0.9}, {"accuracy": 0.901}, metric="accuracy", num_rows=1000)
    require_same_score({"accuracy": 0.9}, {"accuracy": 0.8}, metric="accuracy", num_rows=10)  # one row: a tie
    with pytest.raises(ExportError, match=r"must score what its model scores.*0\.9000, the PyTorch model 0\.9050"):
        require_same_score({"accuracy": 0.9}, {"accuracy": 0.905}, metric="accuracy", num_rows=1000)


def test_a_number_is_served_as_a_number_without_problem_type(tmp_path: Path) -> None:
    config = BertConfig(**{**teacher_config().to_dict(), "num_labels": 1, "id2label": None, "label2id": None})
    model = AutoModelForSequenceClassification.from_config(config)
    torch.nn.init.constant_(model.classifier.bias, 4.2)
    optimizer = OSEOptimizer(model.eval(), word_tokenizer(), task="text-classification", max_length=LENGTH)
    optimizer.export(optimizer.teacher, tmp_path / "out", ExportConfig(quantization="none"))
    (ours,) = OnnxPipeline.from_pretrained(tmp_path / "out")("the cat")
    theirs = pipeline("text-classification", model=str(tmp_path / "out"), device="cpu")("the cat")[0]
    assert ours["score"] == pytest.approx(theirs["score"], abs=1e-4)
    assert ours["score"] > 2

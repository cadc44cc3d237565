"""A tokenizer without special tokens makes nothing of some texts: those are not trained on, scored or served."""

import logging
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Sequence as ListFeature
from tokenizers import processors
from transformers import BertForTokenClassification, PreTrainedTokenizerFast

from optimum_ose import DistillationConfig, ExportConfig, OSEOptimizer
from optimum_ose.commands.request import RunRequest, open_request
from optimum_ose.exceptions import InvalidDataError
from optimum_ose.progress import SilentListener
from optimum_ose.serving import OnnxPipeline
from themes import THEMES, teacher_config, theme_table, trained_teacher, word_tokenizer

NOTHING = "\x07\u200b"
"""Characters that the tokenizer's normalizer removes."""
TAGS = ("O", "X")


def bare_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = word_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1")
    return tokenizer


def texts(*, every: int | None = 5) -> Dataset:
    """Rows of the themes; each so-manieth is a text without tokens."""
    table = theme_table(30, seed=7)
    found = [NOTHING if every and not row % every else text for row, text in enumerate(table["text"])]
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(THEMES))})
    labels = [list(THEMES).index(label) for label in table["label"]]
    return Dataset.from_dict({"text": found, "label": labels}, features=features)


def words() -> Dataset:
    rows = [[NOTHING] if not row % 5 else text.split() for row, text in enumerate(theme_table(30, seed=7)["text"])]
    features = Features({"tokens": ListFeature(Value("string")), "label": ListFeature(ClassLabel(names=list(TAGS)))})
    return Dataset.from_dict({"tokens": rows, "label": [[len(w) % 2 for w in row] for row in rows]}, features=features)


def optimizer(task: str = "text-classification") -> OSEOptimizer:
    names: dict[str, Any] = {
        "num_labels": len(TAGS),
        "id2label": dict(enumerate(TAGS)),
        "label2id": {name: index for index, name in enumerate(TAGS)},
    }
    is_tagger = task == "token-classification"
    teacher = BertForTokenClassification(teacher_config(**names)).eval() if is_tagger else trained_teacher()
    return OSEOptimizer(teacher, bare_tokenizer(), task=task, max_length=16)


def test_rows_without_tokens_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        rows = optimizer().rows(texts())
    assert len(rows) == 24
    assert all(rows["input_ids"])
    assert "6 of 30 rows are left out: the tokenizer makes no token of their text" in caplog.text


def test_when_nothing_is_left_the_data_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="At least one row must have a token; .* none of any of the 30 texts"):
        optimizer().rows(texts(every=1))


def test_further_text_of_which_nothing_is_left_is_refused_before_the_search(tmp_path: Path) -> None:
    trained_teacher().save_pretrained(tmp_path / "teacher")
    bare_tokenizer().save_pretrained(tmp_path / "teacher")
    theme_table(60, seed=7).to_csv(tmp_path / "train.csv", index=False)
    (tmp_path / "more.txt").write_text("\x07\u200b\n", encoding="utf-8")
    names = {"model": str(tmp_path / "teacher"), "dataset": str(tmp_path / "train.csv")}
    request = RunRequest(**names, unlabeled=str(tmp_path / "more.txt"), config={"max_length": 16})
    with pytest.raises(InvalidDataError, match="At least one row must have a token"):
        open_request(request, tmp_path / "out", SilentListener())
    assert not (tmp_path / "out" / "ose" / "run.json").exists()


@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_training_scores_and_serving_leave_out_the_same_rows(task: str, tmp_path: Path) -> None:
    made = optimizer(task)
    rows = texts() if task == "text-classification" else words()
    without = rows.select([row for row in range(len(rows)) if row % 5])
    student = made.initialize(made.search_space().maximum_point, calibration_dataset=rows)
    made.distill(student, rows, DistillationConfig(num_steps=2, batch_size=8))
    assert made.scores(student, rows) == made.scores(student, without)
    made.export(student, tmp_path / "out", ExportConfig(quantization="none"))
    served = made.served_scores(tmp_path / "out", rows)
    assert served == made.served_scores(tmp_path / "out", without)
    assert served == pytest.approx(made.scores(student, rows), abs=0.002)


def test_a_text_without_tokens_is_refused_in_serving_and_spoils_no_other(tmp_path: Path) -> None:
    made = optimizer()
    made.export(made.teacher, tmp_path / "out", ExportConfig(quantization="none"))
    pipeline = OnnxPipeline.from_pretrained(tmp_path / "out")
    for text in (NOTHING, ""):
        with pytest.raises(InvalidDataError, match="A text must have at least one token; text 1 has none"):
            pipeline(["the cat", text])
    assert len(pipeline(["the cat"])) == 1

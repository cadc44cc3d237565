"""The server answers the other tasks as the pipeline does, and refuses those that it cannot."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    BertConfig,
)

from export.tiny_text import BERT_SIZES
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.server import create_server
from serving.server_client import ask, predict, running
from serving.test_tasks import GPT2, LABELS, exported

CONFIG = BertConfig(**{**BERT_SIZES, "initializer_range": 0.4}, id2label=LABELS)


def infer(port: int, texts: list[str]) -> tuple[int, Any]:
    column = {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
    return ask(port, json.dumps({"inputs": [column]}).encode(), path="/v2/models/model/infer")


def test_entities_come_in_groups(tmp_path: Path) -> None:
    texts = ["the catsing cats sat on a mat", "a bad movie .", ""]
    served, _, _ = exported(AutoModelForTokenClassification, CONFIG, tmp_path)
    expected = [served(text, aggregation_strategy="simple") for text in texts]
    with running(create_server(tmp_path, port=0, name="model", num_threads=1)) as port:
        status, answers = predict(port, texts)
        assert (status, [[item["word"] for item in row] for row in answers]) == (
            200,
            [[item["word"] for item in row] for row in expected],
        )
        status, single = predict(port, texts[0], aggregation_strategy="none")
        tokens = served(texts[0])
        assert (status, [item["index"] for item in single[0]]) == (200, [item["index"] for item in tokens])
        assert predict(port, texts, aggregation_strategy="best")[0] == 400
        status, content = infer(port, texts)
    assert status == 200
    assert [json.loads(text) for text in content["outputs"][0]["data"]] == answers


def test_masks_are_filled_and_a_text_without_one_is_refused_alone(tmp_path: Path) -> None:
    served, _, _ = exported(AutoModelForMaskedLM, BertConfig(**BERT_SIZES), tmp_path)
    limits = ServerLimits(max_answer_values=100)
    with running(create_server(tmp_path, port=0, num_threads=1, limits=limits)) as port:
        assert predict(port, "the [MASK] sat", top_k=2) == (200, [served("the [MASK] sat", top_k=2)])
        status, refusal = predict(port, ["the [MASK]", "the cat"])
        assert (status, refusal["actual"]) == (400, "one holds 0")
        status, refusal = predict(port, "the [MASK] sat on " + "the mat " * 10, top_k=19)
        assert (status, refusal["expected"]) == (422, "An answer may hold at most 100 numbers")


def test_a_text_gets_its_one_vector(tmp_path: Path) -> None:
    texts = ["the cat", "a good film"]
    served, _, _ = exported(AutoModel, BertConfig(**BERT_SIZES), tmp_path, pooling="mean")
    with running(create_server(tmp_path, port=0, name="model", num_threads=1)) as port:
        status, answers = predict(port, texts)
        assert status == 200
        for answer, vector in zip(answers, served(texts), strict=True):
            assert answer == pytest.approx(vector, abs=1e-6)
        status, content = infer(port, texts)
    assert (status, content["outputs"][0]["shape"]) == (200, [2, 32])


def test_questions_are_answered(tmp_path: Path) -> None:
    served, _, _ = exported(AutoModelForQuestionAnswering, BertConfig(**BERT_SIZES), tmp_path)
    asked = {"question": "the cat", "context": "the cat sat on the mat " * 30}
    limits = ServerLimits(max_texts=3, max_text_characters=1000)
    with running(create_server(tmp_path, port=0, name="model", num_threads=1, limits=limits)) as port:
        assert ask(port, None, method="GET", path="/ready")[0] == 200
        assert predict(port, asked) == (200, served(asked))
        assert predict(port, [asked, asked], top_k=2) == (200, served([asked, asked], top_k=2))
        assert predict(port, "the cat")[0] == 400
        assert predict(port, {**asked, "question": ""})[0] == 400
        assert predict(port, asked, top_k=0)[0] == 400
        assert predict(port, asked, top_k=257)[0] == 422
        assert predict(port, {**asked, "question": "the cat " * 100})[0] == 400
        assert predict(port, asked, aggregation_strategy="simple")[0] == 400
        assert predict(port, [asked] * 4)[0] == 422
        assert predict(port, {**asked, "context": "a" * 1001})[0] == 422
        assert ask(port, b"no json")[0] == 400
        assert infer(port, ["the cat"])[0] == 404


def test_texts_are_continued(tmp_path: Path) -> None:
    served, _, _ = exported(AutoModelForCausalLM, GPT2, tmp_path)
    with running(create_server(tmp_path, port=0, num_threads=1)) as port:
        assert predict(port, "the cat", max_new_tokens=4) == (200, served("the cat", max_new_tokens=4))
        assert predict(port, ["the cat"] * 2) == (200, served(["the cat"] * 2))
        assert predict(port, "the cat", max_new_tokens=257)[0] == 422
        assert predict(port, 7)[0] == 400


def test_what_does_not_fit_into_the_queue_is_refused_and_what_takes_too_long_given_up(tmp_path: Path) -> None:
    exported(AutoModelForCausalLM, GPT2, tmp_path)
    limits = ServerLimits(answer_seconds=0.0001, max_queue_texts=1)
    with running(create_server(tmp_path, port=0, num_threads=1, limits=limits)) as port:
        found = {predict(port, "the cat", max_new_tokens=200)[0] for _ in range(5)}
    assert found <= {200, 503, 504}  # 200: on a busy machine the answer was there when the time was looked at
    assert 504 in found

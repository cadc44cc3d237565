"""Requests in the shapes of Text Embeddings Inference are answered as the pipeline answers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.serving.server import create_server
from serving.server_client import ask, predict, running

TEXTS = ["the cat sat", "a good movie"]
LONG = "the cat " * 60
LIMITS = ServerLimits(max_texts=4, max_text_characters=1000, max_body_bytes=20_000)


def post(port: int, path: str, **body: object) -> tuple[int, Any]:
    return ask(port, json.dumps(body).encode(), path=path)


@pytest.fixture(scope="module")
def embedder(folder_of: Callable[[str], Path]) -> Iterator[int]:
    with running(create_server(folder_of("sentence-embedding"), port=0, num_threads=1, limits=LIMITS)) as port:
        yield port


@pytest.fixture(scope="module")
def ranker(folder_of: Callable[[str], Path]) -> Iterator[int]:
    with running(create_server(folder_of("text-ranking"), port=0, num_threads=1, limits=LIMITS)) as port:
        yield port


@pytest.fixture(scope="module")
def classifier(folder: Path) -> Iterator[int]:
    with running(create_server(folder, port=0, num_threads=1, limits=LIMITS)) as port:
        yield port


def test_embed_gives_vectors_of_length_one_unless_told_otherwise(
    embedder: int, folder_of: Callable[[str], Path]
) -> None:
    rows = np.array(OnnxPipeline.from_pretrained(folder_of("sentence-embedding"), num_threads=1)(TEXTS))
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    status, found = post(embedder, "/embed", inputs=TEXTS)
    assert status == 200
    assert np.allclose(found, units, atol=1e-5)
    assert np.allclose(post(embedder, "/embed", inputs=TEXTS, normalize=False)[1], rows, atol=1e-5)
    assert np.allclose(post(embedder, "/embed", inputs=TEXTS[0])[1], units[:1], atol=1e-5)
    cut = units[:, :7] / np.linalg.norm(units[:, :7], axis=1, keepdims=True)
    assert np.allclose(post(embedder, "/embed", inputs=TEXTS, dimensions=7, truncate=True)[1], cut, atol=1e-5)
    body = {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS}}
    assert np.allclose(post(embedder, "/similarity", **body)[1], units @ units[0], atol=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"inputs": []}, 400, "inputs is no text or list of texts"),
        ({"inputs": [1, 2]}, 400, "token ids"),
        ({"inputs": ["a"] * 5}, 422, "it holds 5"),
        ({"inputs": "a" * 1001}, 422, "one has 1001"),
        ({"inputs": "a", "normalize": "yes"}, 400, "normalize is neither true nor false"),
        ({"inputs": "a", "truncate": 1}, 400, "truncate is neither true nor false"),
        ({"inputs": "a", "prompt_name": "query"}, 400, "prompts are not applied"),
        ({"inputs": "a", "truncation_direction": "Left"}, 400, "it is Left"),
        ({"inputs": "a", "truncation_direction": "up"}, 400, "truncation_direction is none of"),
        ({"inputs": "a", "parameters": {}}, 400, "it has parameters"),
        ({"inputs": LONG, "truncate": False}, 422, "one has more than 64 tokens"),
        ({"inputs": LONG, "truncate": True, "truncation_direction": "Right"}, 200, ""),
        ({"inputs": LONG}, 200, ""),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_embed_cannot_do_is_refused(embedder: int, body: Any, status: int, message: str) -> None:
    answered, content = post(embedder, "/embed", **body)
    assert answered == status
    assert message in (json.dumps(content) if status != 200 else "")


def test_rerank_gives_the_best_document_first(ranker: int, folder_of: Callable[[str], Path]) -> None:
    texts = ["a good movie", "the cat sat on a mat", "a bad movie", "the cat"]
    served = OnnxPipeline.from_pretrained(folder_of("text-ranking"), num_threads=1)
    raw = np.array([served({"query": "the cat", "document": text})["score"] for text in texts])
    status, found = post(ranker, "/rerank", query="the cat", texts=texts, return_text=True)
    assert status == 200
    assert [item["index"] for item in found] == np.argsort(-raw, kind="stable").tolist()
    assert [item["text"] for item in found] == [texts[item["index"]] for item in found]
    expected = 1 / (1 + np.exp(-raw[[item["index"] for item in found]]))
    assert np.allclose([item["score"] for item in found], expected, atol=1e-5)
    values = post(ranker, "/rerank", query="the cat", texts=texts, raw_scores=True)[1]
    assert np.allclose([item["score"] for item in values], raw[[item["index"] for item in values]], atol=1e-5)
    assert all(set(item) == {"index", "score"} for item in values)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"query": "a", "texts": []}, 400, "texts is no list of texts"),
        ({"query": "a", "texts": "a"}, 400, "texts is no list of texts"),
        ({"query": ["a"], "texts": ["a"]}, 400, "query is no text"),
        ({"texts": ["a"]}, 400, "no object with the keys query, texts"),
        ({"query": "a", "texts": ["a"] * 5}, 422, "it holds 5"),
        ({"query": "a", "texts": [LONG], "truncate": False}, 422, "more than 64 tokens"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_rerank_cannot_do_is_refused(ranker: int, body: Any, status: int, message: str) -> None:
    answered, content = post(ranker, "/rerank", **body)
    assert (answered, message in json.dumps(content)) == (status, True)


def test_a_query_is_bounded_by_what_it_is_read_with(folder_of: Callable[[str], Path]) -> None:
    limits = ServerLimits(max_body_bytes=2000)
    with running(create_server(folder_of("text-ranking"), port=0, num_threads=1, limits=limits)) as port:
        assert post(port, "/rerank", query="a" * 900, texts=["b", "c"])[0] == 200
        status, content = post(port, "/rerank", query="a" * 900, texts=["b", "c", "d"])
    assert (status, content["actual"]) == (422, "they have 2703")


def test_predict_answers_both_shapes_by_their_bodies(classifier: int, folder: Path) -> None:
    served = OnnxPipeline.from_pretrained(folder, num_threads=1)
    lone, pair = served("the cat", top_k=None), served({"text": "the cat", "text_pair": "a mat"}, top_k=None)
    other = served("a mat", top_k=None)

    def same(found: Any, expected: Any) -> None:
        assert [item["label"] for item in found] == [item["label"] for item in expected]
        assert [item["score"] for item in found] == pytest.approx([item["score"] for item in expected], abs=1e-5)

    # ours: a list for each text
    for answer, expected in zip(predict(classifier, ["the cat", "a mat"])[1], [lone, other], strict=True):
        same(answer, expected)
    same(predict(classifier, "the cat")[1][0], lone)
    # TEI's, by a key of its own or by lists in the list
    same(post(classifier, "/predict", inputs="the cat", truncate=True)[1], lone)
    same(post(classifier, "/predict", inputs=["the cat", "a mat"], raw_scores=False)[1], pair)
    answers = post(classifier, "/predict", inputs=[["the cat"], ["the cat", "a mat"]])[1]
    for answer, expected in zip(answers, [lone, pair], strict=True):
        same(answer, expected)
    raw = post(classifier, "/predict", inputs="the cat", raw_scores=True)[1]
    logits = np.array([item["score"] for item in raw])
    assert np.allclose(np.exp(logits) / np.exp(logits).sum(), [item["score"] for item in lone], atol=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"inputs": [[]]}, 400, "no list of one or two texts"),
        ({"inputs": [["a", "b", "c"]]}, 400, "no list of one or two texts"),
        ({"inputs": ["a", "b", "c"], "truncate": True}, 400, "no list of one or two texts"),
        ({"inputs": [["a"], "b"]}, 400, "no list of one or two texts"),
        ({"inputs": [["a"]] * 5}, 422, "it holds 5"),
        ({"inputs": 7, "truncate": True}, 400, "got a value of type int"),
        ({"truncate": True}, 400, "no object with the key inputs"),
        ({"inputs": [["a"]], "unknown": 1}, 400, "it has unknown"),
        ({"inputs": [[LONG]], "truncate": False}, 422, "more than 64 tokens"),
        ({"inputs": [], "truncate": True}, 200, ""),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_neither_shape_is_refused(classifier: int, body: Any, status: int, message: str) -> None:
    answered, content = post(classifier, "/predict", **body)
    assert answered == status
    assert message in (json.dumps(content) if status != 200 else "")
